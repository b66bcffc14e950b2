/** Queries of accounts. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { pageLimit, storableId, storableSeq } from '../input.ts';
import { pageKey, parsePageKey, toPage } from '../page-key.ts';
import { sql, type SqlDatabase, type SqlSession } from '../sql.ts';
import {
  type Account,
  ACCOUNT_STATES,
  type AccountState,
  type AccountStore,
  type ListedAccount,
  MAX_BOTS,
  type NewAccount,
  type Page,
  type Profile,
} from '../store.ts';
import { closeAccount, closingStore } from './closings.ts';

type ProfileRow = Profile & { readonly id: UserId };

interface AccountRow {
  readonly id: UserId;
  readonly name: string;
  readonly password_hash: string;
  readonly display_name: string;
  readonly state: bigint | number;
  readonly admin: boolean | bigint;
  readonly owner: UserId | null;
}

const COLUMNS = sql`a.id, a.name, a.password_hash, a.display_name, a.state, a.admin, a.owner`;

export function accountStore(db: SqlDatabase): AccountStore {
  async function findAccount(name: string): Promise<Account | undefined> {
    const [row] = await db.query<AccountRow>(sql`select ${COLUMNS} from accounts a where a.name = ${name}`);
    return row && toAccount(row);
  }

  async function accountOf(user: UserId): Promise<Account | undefined> {
    const [row] = await db.query<AccountRow>(sql`select ${COLUMNS} from accounts a where a.id = ${user}`);
    return row && toAccount(row);
  }

  async function accountsPage(after: string, limit: number): Promise<Page<ListedAccount>> {
    const size = pageLimit(limit);
    const [start] = after === '' ? [0n] : (parsePageKey(after, 1) ?? []);
    if (start === undefined) return { items: [], next: undefined };
    const rows = await db.query<AccountRow>(sql`
      select ${COLUMNS} from accounts a where a.id > ${start} order by a.id limit ${size + 1}`);
    const { items, next } = toPage(rows, size, (last) => pageKey(last.id));
    return { items: items.map(toListed), next };
  }

  async function botsOf(owner: UserId): Promise<ListedAccount[]> {
    const rows = await db.query<AccountRow>(sql`
      select ${COLUMNS} from accounts a
      where a.owner = ${owner} and a.state <> ${stateNumber('closed')} order by a.id`);
    return rows.map(toListed);
  }

  async function createAccount({ id, name, passwordHash }: NewAccount): Promise<Account | undefined> {
    await db.query(sql`
      insert into accounts (id, name, password_hash) values (${id}, ${name}, ${passwordHash})
      on conflict (name) do nothing`);
    const stored = await findAccount(name);
    // A repeated call whose answer was lost finds its own account.
    return stored?.id === id ? stored : undefined;
  }

  function createBot(
    { id, name, passwordHash }: NewAccount,
    owner: UserId,
    displayName: string,
  ): Promise<Account | 'NAME_TAKEN' | 'BOTS_FULL'> {
    return db.transaction(async (session) => {
      await session.query(sql`select id from accounts where id = ${owner} ${session.dialect.forChange}`);
      const [others] = await session.query<{ count: bigint }>(sql`
        select count(*) as count from accounts
        where owner = ${owner} and id <> ${id} and state <> ${stateNumber('closed')}`);
      if (Number(others?.count) >= MAX_BOTS) return 'BOTS_FULL';
      await session.query(sql`
        insert into accounts (id, name, password_hash, display_name, owner)
        values (${id}, ${name}, ${passwordHash}, ${displayName}, ${owner})
        on conflict (name) do nothing`);
      const [row] = await session.query<AccountRow>(sql`
        select ${COLUMNS} from accounts a where a.name = ${name}`);
      return row?.id === id ? toAccount(row) : 'NAME_TAKEN';
    });
  }

  async function setPasswordHash(user: UserId, hash: string, before: string | undefined): Promise<boolean> {
    const rows = await db.query(sql`
      update accounts set password_hash = ${hash}
      where id = ${user} and state <> ${stateNumber('closed')} and owner is null
        and ${before === undefined ? sql`${db.dialect.isTrue} = ${db.dialect.isTrue}` : sql`password_hash in (${before}, ${hash})`}
      returning id`);
    return rows.length > 0;
  }

  async function setAccountState(user: UserId, state: 'active' | 'suspended'): Promise<UserId[]> {
    const rows = await db.query<{ id: UserId }>(sql`
      update accounts set state = ${stateNumber(state)}
      where (id = ${user} or owner = ${user}) and state <> ${stateNumber('closed')}
      returning id`);
    return rows.map(({ id }) => id);
  }

  async function setAdmin(user: UserId, isAdmin: boolean): Promise<boolean> {
    const rows = await db.query(sql`
      update accounts set admin = ${isAdmin}
      where id = ${user} and state <> ${stateNumber('closed')} and owner is null
      returning id`);
    return rows.length > 0;
  }

  async function roomsOf(user: UserId, limit: number): Promise<ConversationId[]> {
    const rows = await db.query<{ id: ConversationId }>(sql`
      select c.id from members m join conversations c on c.id = m.conversation
      where m.user_id = ${user} and c.kind = 'room' and not c.deleted order by c.id limit ${pageLimit(limit)}`);
    return rows.map(({ id }) => id);
  }

  async function findIdentity(issuer: string, subject: string): Promise<Account | undefined> {
    const [row] = await db.query<AccountRow>(sql`
      select ${COLUMNS} from identities i join accounts a on a.id = i.user_id
      where i.issuer = ${issuer} and i.subject = ${subject}`);
    return row && toAccount(row);
  }

  async function createIdentity(
    issuer: string,
    subject: string,
    { id, name, passwordHash }: NewAccount,
  ): Promise<Account | undefined> {
    await db.transaction(async (session) => {
      const made = await session.query(sql`
        insert into accounts (id, name, password_hash) values (${id}, ${name}, ${passwordHash})
        on conflict (name) do nothing returning id`);
      if (made.length === 0) return;
      const tied = await session.query(sql`
        insert into identities (issuer, subject, user_id) values (${issuer}, ${subject}, ${id})
        on conflict (issuer, subject) do nothing returning user_id`);
      // Another log-in of the same user was first.
      if (tied.length === 0) await session.query(sql`delete from accounts where id = ${id}`);
    });
    return findIdentity(issuer, subject);
  }

  async function profilesOf(users: readonly UserId[]): Promise<Map<UserId, Profile>> {
    const rows = await db.query<ProfileRow>(sql`
      select id, name, display_name as "displayName" from accounts
      where id in ${db.dialect.listOf(users.map(storableId))}`);
    return toProfiles(rows);
  }

  async function profilesSince(ms: number): Promise<Map<UserId, Profile>> {
    const rows = await db.query<ProfileRow>(sql`
      select id, name, display_name as "displayName" from accounts
      where renamed_at_ms > 0 and renamed_at_ms >= ${storableSeq(ms)}`);
    return toProfiles(rows);
  }

  async function setDisplayName(user: UserId, displayName: string, ifShown?: string): Promise<boolean> {
    const isShown =
      ifShown === undefined
        ? sql``
        : sql` and case when display_name = '' then name else display_name end = ${ifShown}`;
    const set = await db.query(sql`
      update accounts set display_name = ${displayName}, renamed_at_ms = ${Date.now()}
      where id = ${user}${isShown} returning id`);
    return set.length > 0;
  }

  return {
    createAccount,
    findAccount,
    accountOf,
    accountsPage,
    botsOf,
    createBot,
    setPasswordHash,
    setAccountState,
    setAdmin,
    roomsOf,
    findIdentity,
    createIdentity,
    profilesOf,
    profilesSince,
    setDisplayName,
    closeAccount: (user, hash, retracts, nowMs) =>
      db.transaction((session: SqlSession) => closeAccount(session, user, { hash, retracts, nowMs })),
    ...closingStore(db),
  };
}

export function toAccountState(state: bigint | number): AccountState {
  return ACCOUNT_STATES[Number(state)] as AccountState;
}

export function stateNumber(state: AccountState): number {
  return ACCOUNT_STATES.indexOf(state);
}

function toListed({ id, name, display_name, state, admin, owner }: AccountRow): ListedAccount {
  return {
    id,
    name,
    displayName: display_name,
    state: toAccountState(state),
    isAdmin: Boolean(admin),
    owner: owner ?? undefined,
  };
}

function toAccount(row: AccountRow): Account {
  const { displayName: _, ...account } = toListed(row);
  return { ...account, passwordHash: row.password_hash };
}

function toProfiles(rows: readonly ProfileRow[]): Map<UserId, Profile> {
  return new Map(rows.map(({ id, name, displayName }) => [id, { name, displayName }]));
}
