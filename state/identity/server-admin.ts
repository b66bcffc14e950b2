/** What admins of the server do with accounts, over REST and by `gochat ctl`. */
import { randomBytes } from 'node:crypto';
import { GochatError, type UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { invalid, pageLimit, pageStart } from '../chat/input.ts';
import type { Caller } from '../session/location-map.ts';
import type { Account, AccountState, AccountStore, ListedAccount } from '../store/store.ts';
import type { LoginSessions } from './login-sessions.ts';
import { parseName, quoted } from './names.ts';
import type { Passwords } from './passwords.ts';

const DECIMAL = /^\d{1,20}$/;
const PAGE = { most: 500, standard: 100 };
/** Numbers in the page key. */
const PAGE_KEY = 1;
/** Of a password that is made: 96 bits. */
const PASSWORD_BYTES = 12;
const { AccountChange } = client;
const WIRE_STATES = {
  active: client.AccountState.ACCOUNT_STATE_ACTIVE,
  suspended: client.AccountState.ACCOUNT_STATE_SUSPENDED,
  closed: client.AccountState.ACCOUNT_STATE_CLOSED,
} as const satisfies Readonly<Record<AccountState, client.AccountState>>;

export interface ServerAdminOptions {
  readonly store: Pick<
    AccountStore,
    | 'accountOf'
    | 'findAccount'
    | 'accountsPage'
    | 'setAccountState'
    | 'setAdmin'
    | 'setPasswordHash'
    | 'profilesOf'
  >;
  readonly passwords: Pick<Passwords, 'hash'>;
  readonly logins: Pick<LoginSessions, 'endAll'>;
}

/** Every method throws GochatErrors. `check` comes first, except for operators. */
export class ServerAdmin {
  readonly #options: ServerAdminOptions;

  constructor(options: ServerAdminOptions) {
    this.#options = options;
  }

  /** @throws GochatError ADMIN_ONLY */
  async check({ user }: Caller): Promise<void> {
    const account = await this.#options.store.accountOf(user);
    if (account?.isAdmin !== true || account.state !== 'active') throw new GochatError('ADMIN_ONLY');
  }

  async list({ after, limit }: client.ListAccounts): Promise<client.Accounts> {
    const { items, next = '' } = await this.#options.store.accountsPage(
      pageStart(after, PAGE_KEY),
      pageLimit(limit, PAGE),
    );
    return { accounts: items.map(toAccount), next };
  }

  /** Suspends or restores an account, makes its user an admin or not. @throws GochatError USER_NOT_FOUND, BOT_FORBIDDEN */
  async change({ user: named, change }: client.ChangeAccount): Promise<client.Accounts> {
    const { store, logins } = this.#options;
    const { id } = await this.#find(named);
    switch (change) {
      case AccountChange.ACCOUNT_CHANGE_SUSPEND:
        for (const each of await store.setAccountState(id, 'suspended'))
          await logins.endAll(each, 'ACCOUNT_SUSPENDED');
        break;
      case AccountChange.ACCOUNT_CHANGE_RESTORE:
        await store.setAccountState(id, 'active');
        break;
      case AccountChange.ACCOUNT_CHANGE_GRANT_ADMIN:
      case AccountChange.ACCOUNT_CHANGE_REVOKE_ADMIN:
        if (!(await store.setAdmin(id, change === AccountChange.ACCOUNT_CHANGE_GRANT_ADMIN)))
          throw new GochatError('BOT_FORBIDDEN');
        break;
      default:
        throw invalid('The change');
    }
    const account = await this.#find(String(id));
    const profile = (await store.profilesOf([id])).get(id);
    return { accounts: [toAccount({ ...account, displayName: profile?.displayName ?? '' })], next: '' };
  }

  /** Gives a user a new password, and ends the sessions. @throws GochatError USER_NOT_FOUND, BOT_FORBIDDEN */
  async resetPassword(named: string): Promise<client.NewPassword> {
    const { store, passwords, logins } = this.#options;
    const { id } = await this.#find(named);
    const password = randomBytes(PASSWORD_BYTES).toString('base64url');
    const hash = await passwords.hash(password);
    if (!(await store.setPasswordHash(id, hash, undefined))) throw new GochatError('BOT_FORBIDDEN');
    await logins.endAll(id, 'LOGGED_OUT');
    return { password };
  }

  /** @throws GochatError USER_NOT_FOUND */
  async endSessions(named: string): Promise<void> {
    const { id } = await this.#find(named);
    await this.#options.logins.endAll(id, 'LOGGED_OUT');
  }

  /** Finds an account that is not closed by its name or id. */
  async #find(named: string): Promise<Account> {
    const { store } = this.#options;
    const account = DECIMAL.test(named)
      ? await store.accountOf(BigInt(named) as UserId)
      : await store.findAccount(parseName(named));
    if (account === undefined || account.state === 'closed')
      throw new GochatError('USER_NOT_FOUND', { details: { name: quoted(named) } });
    return account;
  }
}

function toAccount({ id, name, displayName, state, isAdmin, owner }: ListedAccount): client.Account {
  return {
    id,
    name,
    displayName: displayName || name,
    state: WIRE_STATES[state],
    admin: isAdmin,
    owner: owner ?? 0n,
  };
}
