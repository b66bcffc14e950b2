/** Accounts: signup and login by password. */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { HotState } from '../hot/hot-state.ts';
import type { Rate, StateLimits } from '../limits.ts';
import type { Account, Store } from '../store/store.ts';
import { parseName } from './names.ts';
import {
  type IsGone,
  MAX_PASSWORD_CHARACTERS,
  MIN_PASSWORD_CHARACTERS,
  type Passwords,
} from './passwords.ts';
import type { IssuedToken, Tokens } from './tokens.ts';

const MAX_ADDRESS_CHARACTERS = 64;

export interface Credentials {
  readonly name: string;
  readonly password: string;
  /** The caller's network address, for rate limits. */
  readonly address: string;
}

export interface SeedAccount {
  readonly name: string;
  readonly password: string;
}

export interface AccountsOptions {
  readonly store: Pick<Store, 'createAccount' | 'findAccount'>;
  readonly hot: Pick<HotState, 'allow'>;
  readonly passwords: Passwords;
  readonly limits: StateLimits;
  readonly nextUser: () => UserId;
}

/**
 * Makes accounts and checks passwords.
 *
 * Guessing is limited for each account and each address, across all nodes; while the limits cannot be read nobody
 * logs in by password. An unknown user is told the same as a wrong password, after the same work.
 */
export class Accounts {
  readonly #options: AccountsOptions;

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /** Makes an account. @throws GochatError NAME_INVALID, PASSWORD_WEAK, NAME_TAKEN, RATE_LIMITED, OVERLOADED */
  async signup(credentials: Credentials, isGone?: IsGone): Promise<Account> {
    const name = parseName(credentials.name);
    checkPassword(credentials.password);
    const { signupPerAddress } = this.#options.limits;
    await this.#allow(`signup:address:${addressKey(credentials)}`, signupPerAddress);
    const account = await this.#create(name, credentials.password, isGone);
    if (account === undefined) throw new GochatError('NAME_TAKEN', { details: { name } });
    return account;
  }

  /** Returns the account and a token. @throws GochatError CREDENTIALS_WRONG, RATE_LIMITED, OVERLOADED */
  async login(
    credentials: Credentials,
    tokens: Tokens,
    isGone?: IsGone,
  ): Promise<{ account: Account; issued: IssuedToken }> {
    const { store, passwords, limits } = this.#options;
    const { password } = credentials;
    const name = credentials.name.toLowerCase();
    // What cannot be right is not worth hashing, nor a bucket in HotState under a name of any length.
    if (characters(password) > MAX_PASSWORD_CHARACTERS || !isName(name))
      throw new GochatError('CREDENTIALS_WRONG');
    await this.#allow(`login:address:${addressKey(credentials)}`, limits.loginPerAddress);
    await this.#allow(`login:account:${name}`, limits.loginPerAccount);
    const account = await store.findAccount(name);
    const isRight = await passwords.verify(account?.passwordHash, password, isGone);
    if (account === undefined || !isRight) throw new GochatError('CREDENTIALS_WRONG');
    return { account, issued: await tokens.issue({ user: account.id, name: account.name }) };
  }

  /** Makes the accounts that are missing, for the demo mode; passwords of those that exist stay. */
  async seed(accounts: readonly SeedAccount[]): Promise<void> {
    for (const { name: input, password } of accounts) {
      const name = parseName(input);
      checkPassword(password);
      if ((await this.#options.store.findAccount(name)) === undefined) await this.#create(name, password);
    }
  }

  async #create(name: string, password: string, isGone?: IsGone): Promise<Account | undefined> {
    const { store, passwords, nextUser } = this.#options;
    const passwordHash = await passwords.hash(password, isGone);
    return store.createAccount({ id: nextUser(), name, passwordHash });
  }

  async #allow(key: string, rate: Rate): Promise<void> {
    const { allowed, retryAfterMs } = await this.#options.hot.allow(key, rate.perSecond, rate.burst);
    if (!allowed) throw new GochatError('RATE_LIMITED', { retryAfterMs });
  }
}

function checkPassword(password: string): void {
  const length = characters(password);
  if (length < MIN_PASSWORD_CHARACTERS || length > MAX_PASSWORD_CHARACTERS)
    throw new GochatError('PASSWORD_WEAK');
}

function isName(name: string): boolean {
  try {
    parseName(name);
    return true;
  } catch {
    // The only thing it throws is NAME_INVALID.
    return false;
  }
}

/** Counts code points, but not those of a text of megabytes. */
function characters(text: string): number {
  if (text.length > MAX_PASSWORD_CHARACTERS * 2) return text.length;
  return text.replaceAll(/[\ud800-\udbff][\udc00-\udfff]/g, '.').length;
}

function addressKey({ address }: Credentials): string {
  return address === '' ? 'unknown' : address.slice(0, MAX_ADDRESS_CHARACTERS);
}
