/** Queries of accounts. */
import type { UserId } from '../../../common/mod.ts';
import { storableId, storableSeq } from '../input.ts';
import { sql, type SqlSession } from '../sql.ts';
import {
  type Account,
  ACCOUNT_STATES,
  type AccountState,
  type AccountStore,
  type NewAccount,
  type Profile,
} from '../store.ts';

type ProfileRow = Profile & { readonly id: UserId };

interface AccountRow {
  readonly id: UserId;
  readonly name: string;
  readonly password_hash: string;
  readonly state: bigint | number;
  readonly admin: boolean | bigint;
}

export function accountStore(db: SqlSession): AccountStore {
  async function findAccount(name: string): Promise<Account | undefined> {
    const [row] = await db.query<AccountRow>(sql`
      select id, name, password_hash, state, admin from accounts where name = ${name}`);
    return row && toAccount(row);
  }

  async function createAccount({ id, name, passwordHash }: NewAccount): Promise<Account | undefined> {
    await db.query(sql`
      insert into accounts (id, name, password_hash) values (${id}, ${name}, ${passwordHash})
      on conflict (name) do nothing`);
    const stored = await findAccount(name);
    // A repeated call whose answer was lost finds its own account.
    return stored?.id === id ? stored : undefined;
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

  async function setDisplayName(user: UserId, displayName: string): Promise<void> {
    await db.query(sql`
      update accounts set display_name = ${displayName}, renamed_at_ms = ${Date.now()} where id = ${user}`);
  }

  return { createAccount, findAccount, profilesOf, profilesSince, setDisplayName };
}

export function toAccountState(state: bigint | number): AccountState {
  return ACCOUNT_STATES[Number(state)] as AccountState;
}

function toAccount({ id, name, password_hash, state, admin }: AccountRow): Account {
  return {
    id,
    name,
    passwordHash: password_hash,
    state: toAccountState(state),
    isAdmin: Boolean(admin),
  };
}

function toProfiles(rows: readonly ProfileRow[]): Map<UserId, Profile> {
  return new Map(rows.map(({ id, name, displayName }) => [id, { name, displayName }]));
}
