/** Closing an account, and what is left to be done after the commit of it. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { metaOfDraft } from '../entry-meta.ts';
import { NO_EXTRA } from '../rows.ts';
import { sql, type SqlDatabase, type SqlSession } from '../sql.ts';
import {
  ACCOUNT_STATES,
  type Closing,
  ENTRY_KINDS,
  type EntryStamp,
  MAX_RANGES,
  type RetractedAll,
  THREAD_REPLY,
} from '../store.ts';
import { unpinRetracted } from './retraction.ts';

const CLOSED = ACCOUNT_STATES.indexOf('closed');
const MESSAGE = ENTRY_KINDS.indexOf('message');
const RETRACT = ENTRY_KINDS.indexOf('retract');
/** Most conversations that are looked at for one RETRACT, as some may be full. */
const MAX_LOOKED_AT = 50;

interface ClosingRow {
  readonly user_id: UserId;
  readonly retracts: boolean | bigint;
  readonly closed_at_ms: bigint;
}

interface LockedRow {
  readonly last_seq: bigint;
  readonly last_at_ms: bigint;
  readonly skipped: bigint;
  readonly member_version: bigint;
}

/** See AccountStore.closeAccount. */
export async function closeAccount(
  session: SqlSession,
  user: UserId,
  {
    hash,
    retracts,
    nowMs,
  }: { readonly hash: string | undefined; readonly retracts: boolean; readonly nowMs: number },
): Promise<UserId[]> {
  const rows = await session.query<{ id: UserId; state: bigint | number; password_hash: string }>(sql`
    select id, state, password_hash from accounts where id = ${user} or owner = ${user}
    order by id ${session.dialect.forChange}`);
  const account = rows.find(({ id }) => id === user);
  if (account === undefined) return [];
  const users = rows.map(({ id }) => id);
  if (Number(account.state) === CLOSED) return users;
  if (hash !== undefined && account.password_hash !== hash) return [];
  const theirs = sql`user_id in ${session.dialect.listOf(users)}`;
  for (const row of rows) {
    if (Number(row.state) === CLOSED) continue;
    await session.query(sql`
      update accounts
      set state = ${CLOSED}, admin = ${false}, password_hash = '', display_name = '', renamed_at_ms = ${nowMs}
      where id = ${row.id}`);
    await session.query(sql`
      insert into closings (user_id, retracts, closed_at_ms)
      values (${row.id}, ${retracts && row.id === user}, ${nowMs})
      on conflict (user_id) do nothing`);
  }
  for (const table of [sql`login_sessions`, sql`identities`, sql`user_settings`, sql`drafts`, sql`mutes`])
    await session.query(sql`delete from ${table} where ${theirs}`);
  return users;
}

export function closingStore(db: SqlDatabase) {
  async function closings(): Promise<Closing[]> {
    const rows = await db.query<ClosingRow>(sql`
      select user_id, retracts, closed_at_ms from closings order by closed_at_ms limit 100`);
    return rows.map(({ user_id, retracts, closed_at_ms }) => ({
      user: user_id,
      retracts: Boolean(retracts),
      closedAtMs: Number(closed_at_ms),
    }));
  }

  async function removeClosing(user: UserId): Promise<void> {
    await db.query(sql`delete from closings where user_id = ${user}`);
  }

  return { closings, removeClosing };
}

/** See LogStore.retractAllOf. */
export async function retractAllOf(
  db: SqlDatabase,
  user: UserId,
  stamp: EntryStamp,
): Promise<RetractedAll | 'later' | undefined> {
  const conversations = await db.query<{ id: ConversationId }>(sql`
    select c.id from (
      select conversation from members where user_id = ${user}
      union select conversation from former_members where user_id = ${user}
    ) u
    join conversations c on c.id = u.conversation and not c.deleted
    where ${hasUnretracted(user)}
    order by c.id limit ${MAX_LOOKED_AT}`);
  for (const { id } of conversations) {
    const retracted = await db.transaction((session) => retract(session, id, user, stamp));
    if (retracted !== undefined) return retracted;
  }
  return conversations.length === 0 ? undefined : 'later';
}

/** Whether the user has written a message in the conversation `c` that no RETRACT concerns. */
function hasUnretracted(user: UserId) {
  return sql`exists (
    select 1 from messages m
    where m.conversation = c.id and m.sender = ${user} and m.kind in (${MESSAGE}, ${THREAD_REPLY}) and not m.retracted
      and m.seq > c.floor_seq and not exists (
        select 1 from erasures e
        where e.conversation = m.conversation and e.sender = m.sender and m.seq between e.from_seq and e.to_seq
      )
  )`;
}

/** Appends the RETRACT; undefined if another node has done it, or there are too many that wait to be erased. */
async function retract(
  session: SqlSession,
  conversation: ConversationId,
  user: UserId,
  { ids: [id], atMs: nowMs }: EntryStamp,
): Promise<RetractedAll | undefined> {
  if (id === undefined) throw new Error('a stamp has too few ids');
  const [before] = await session.query<LockedRow>(sql`
    select last_seq, last_at_ms, skipped, member_version from conversations
    where id = ${conversation} and not deleted ${session.dialect.forChange}`);
  if (before === undefined) return undefined;
  const [ranges] = await session.query<{ count: bigint }>(sql`
    select count(*) as count from erasures
    where conversation = ${conversation} and entry_seq > 0 and evidence_until_ms is null`);
  const [left] = await session.query(sql`
    select c.id from conversations c where c.id = ${conversation} and ${hasUnretracted(user)}`);
  if (left === undefined || Number(ranges?.count) >= MAX_RANGES) return undefined;
  const [lastSeq, seq] = [Number(before.last_seq), Number(before.last_seq) + 1];
  const atMs = Math.max(nowMs, Number(before.last_at_ms));
  const range = { sender: user, fromSeq: 1, toSeq: lastSeq };
  const clientMsgId = `closed-${id}`;
  const meta = metaOfDraft({ range, reason: '' });
  await session.query(sql`
    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body, kind)
    values (${conversation}, ${seq}, ${id}, ${user}, ${atMs}, ${clientMsgId}, '', ${RETRACT})`);
  await session.query(sql`
    insert into extras (conversation, seq, skipped, target, meta)
    values (${conversation}, ${seq}, ${Number(before.skipped) + 1}, 0, ${meta})`);
  await session.query(sql`
    insert into erasures (conversation, entry_seq, sender, from_seq, to_seq)
    values (${conversation}, ${seq}, ${user}, 1, ${lastSeq})`);
  await session.query(sql`
    update conversations
    set last_seq = ${seq}, skipped = skipped + 1, last_at_ms = ${atMs},
        pins_version = case when exists (
          select 1 from pins p join messages m on m.conversation = p.conversation and m.seq = p.seq
          where p.conversation = ${conversation} and m.sender = ${user}
        ) then ${seq} else pins_version end
    where id = ${conversation}`);
  await session.query(unpinRetracted({ conversation, ...range }));
  const extra = { ...NO_EXTRA, kind: 'retract', version: seq, range } as const;
  const entry = { conversation, seq, id, sender: user, clientMsgId, text: '', atMs, extra };
  return { entry, memberVersion: Number(before.member_version) };
}
