/** Queries of logins and their refresh tokens. */
import type { UserId } from '../../../common/mod.ts';
import { storableId, storableSeq } from '../input.ts';
import { sql, type SqlDatabase, type SqlSession } from '../sql.ts';
import type { LoginSession, LoginSessionStore, NewLoginSession, Rotated, Rotation } from '../store.ts';
import { toAccountState } from './accounts.ts';

interface SessionRow {
  readonly id: bigint;
  readonly user_id: UserId;
  readonly client: string;
  readonly address: string;
  readonly created_at_ms: bigint;
  readonly used_at_ms: bigint;
  readonly expires_at_ms: bigint;
}

interface TokenRow extends SessionRow {
  readonly rotates: boolean | bigint;
  readonly family_hash: string;
  readonly token_hash: string;
  readonly parent_hash: string;
  readonly salt: string;
  readonly rotated_at_ms: bigint;
  readonly name: string;
  readonly state: bigint | number;
}

export function loginSessionStore(db: SqlDatabase): LoginSessionStore {
  async function sessionsOf(user: UserId, nowMs: number): Promise<LoginSession[]> {
    const rows = await db.query<SessionRow>(sql`
      select id, user_id, client, address, created_at_ms, used_at_ms, expires_at_ms
      from login_sessions
      where user_id = ${user} and expires_at_ms > ${storableSeq(nowMs)} and token_hash <> ''
      order by used_at_ms desc, id desc`);
    return rows.map(toSession);
  }

  async function removeSessions(
    user: UserId,
    which: { readonly only: bigint } | { readonly upTo: bigint },
  ): Promise<void> {
    const ids = 'only' in which ? sql`id = ${storableId(which.only)}` : sql`id <= ${storableId(which.upTo)}`;
    await db.query(sql`delete from login_sessions where user_id = ${user} and ${ids}`);
  }

  return {
    addSession: (session, most) => db.transaction((within) => add(within, session, most)),
    rotateSession: (rotation) => db.transaction((within) => rotate(within, rotation)),
    sessionsOf,
    removeSessions,
  };
}

async function add(session: SqlSession, added: NewLoginSession, most: number): Promise<boolean> {
  const { id, user, client, address, createdAtMs, usedAtMs, expiresAtMs, hashes, rotates } = added;
  const [account] = await session.query<{ state: bigint | number }>(sql`
    select state from accounts where id = ${user} ${session.dialect.forChange}`);
  if (account === undefined || toAccountState(account.state) !== 'active') return false;
  await session.query(sql`
    delete from login_sessions where expires_at_ms <= ${createdAtMs} or id in (
      select id from login_sessions where user_id = ${user} and id <> ${id} and rotates
      order by used_at_ms desc, id desc limit 1000 offset ${most - 1}
    )`);
  await session.query(sql`
    insert into login_sessions (
      id, user_id, rotates, family_hash, token_hash, parent_hash, salt, rotated_at_ms, client, address,
      created_at_ms, used_at_ms, expires_at_ms
    )
    values (
      ${id}, ${user}, ${rotates}, ${hashes.family}, ${hashes.secret}, '', '', 0, ${client}, ${address},
      ${createdAtMs}, ${usedAtMs}, ${expiresAtMs}
    )
    on conflict (id) do nothing`);
  return true;
}

async function rotate(session: SqlSession, rotation: Rotation): Promise<Rotated | undefined> {
  const { presented, salt, nextSecret, nowMs, graceMs, expiresAtMs } = rotation;
  const id = storableId(rotation.session);
  const [row] = await session.query<TokenRow>(sql`
    select s.*, a.name, a.state from login_sessions s join accounts a on a.id = s.user_id
    where s.id = ${id} and s.family_hash = ${presented.family} and s.expires_at_ms > ${nowMs}
    ${session.dialect.forChange}`);
  if (row === undefined) return undefined;
  const { user_id: user, name } = row;
  const state = toAccountState(row.state);
  if (state !== 'active') return state === 'suspended' ? { result: state, user } : undefined;
  if (!row.rotates) {
    if (row.token_hash !== presented.secret) return undefined;
    await session.query(sql`update login_sessions set used_at_ms = ${nowMs} where id = ${id}`);
    return { result: 'kept', user, name, salt: '', expiresAtMs: Number(row.expires_at_ms) };
  }
  if (row.token_hash === presented.secret) {
    await session.query(sql`
      update login_sessions
      set parent_hash = token_hash, token_hash = ${nextSecret}, salt = ${salt}, rotated_at_ms = ${nowMs},
          used_at_ms = ${nowMs}, expires_at_ms = ${expiresAtMs}
      where id = ${id}`);
    return { result: 'rotated', user, name, salt, expiresAtMs };
  }
  if (row.parent_hash === presented.secret && nowMs - Number(row.rotated_at_ms) < graceMs)
    return { result: 'repeated', user, name, salt: row.salt, expiresAtMs: Number(row.expires_at_ms) };
  // The row stays until it expires, so that a repetition has the same result.
  await session.query(sql`update login_sessions set token_hash = '', parent_hash = '' where id = ${id}`);
  return { result: 'reused', user };
}

function toSession(row: SessionRow): LoginSession {
  return {
    id: row.id,
    user: row.user_id,
    client: row.client,
    address: row.address,
    createdAtMs: Number(row.created_at_ms),
    usedAtMs: Number(row.used_at_ms),
    expiresAtMs: Number(row.expires_at_ms),
  };
}
