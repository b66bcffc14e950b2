/** Accounts: signup and login by password. */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { addressKey, GochatError, type UserId } from '../../common/mod.ts';
import type { HotState } from '../hot/hot-state.ts';
import type { StateLimits } from '../limits.ts';
import type { Account, Store } from '../store/store.ts';
import { parseName } from './names.ts';
import { characters, checkNewPassword, MAX_PASSWORD_CHARACTERS } from './password-rules.ts';
import { type HashCaller, type IsGone, type Passwords } from './passwords.ts';
import { type Bucket, Throttle } from './throttle.ts';

/** Names that are tried for a user of an OpenID Connect provider. */
const MAX_NAMES = 10;
/** Longest part of a name before a suffix. */
const MAX_BASE_NAME = 24;
/** Time for which an address of a successful login is remembered, ms. */
const KNOWN_ADDRESS_MS = 30 * 24 * 3_600_000;

export interface Credentials {
  readonly name: string;
  readonly password: string;
  /** The caller's address, for rate limits. */
  readonly address: string;
}

/** A user whom an OpenID Connect provider has named. */
export interface OpenIdUser {
  readonly issuer: string;
  readonly subject: string;
  /** Wish for the name. */
  readonly name: string;
  readonly address: string;
}

export interface SeedAccount {
  readonly name: string;
  readonly password: string;
  /** Whether the user is an admin of the server. @default false */
  readonly isAdmin?: boolean;
}

export interface AccountsOptions {
  readonly store: Pick<
    Store,
    'createAccount' | 'findAccount' | 'setAdmin' | 'findIdentity' | 'createIdentity'
  >;
  readonly hot: Pick<HotState, 'allow' | 'giveBack' | 'remember' | 'remembers'>;
  readonly passwords: Pick<Passwords, 'hash' | 'verify'>;
  readonly limits: StateLimits;
  readonly nextUser: () => UserId;
}

/**
 * Creates accounts and checks passwords.
 *
 * Wrong passwords are limited across all nodes: per name and address, per address, and per name. The last two do not
 * apply to a user who has logged in from the address before, so guesses by others, even from the same address, do not
 * lock that user out. A login is charged until it succeeds. While the limits cannot be read, nobody can log in by
 * password.
 *
 * An unknown user, and one without a password, gets the same answer as a wrong password, after the same work and within the same limits. So a caller
 * who has used up the limits of an address learns at most which names have logged in from that address.
 */
export class Accounts {
  readonly #options: AccountsOptions;
  readonly #throttle: Throttle;

  constructor(options: AccountsOptions) {
    this.#options = options;
    this.#throttle = new Throttle(options.hot);
  }

  /** Creates an account. @throws GochatError NAME_INVALID, PASSWORD_WEAK, PASSWORD_COMMON, NAME_TAKEN, RATE_LIMITED, OVERLOADED */
  async signup(credentials: Credentials, isGone: IsGone = () => false): Promise<Account> {
    const name = parseName(credentials.name);
    await checkNewPassword(credentials.password, name);
    const address = addressOf(credentials);
    await this.#throttle.allow({
      key: `signup:address:${address}`,
      rate: this.#options.limits.signupPerAddress,
    });
    const account = await this.#create(name, credentials.password, {
      address,
      isKnownAddress: false,
      isGone,
    });
    if (account === undefined) throw new GochatError('NAME_TAKEN', { details: { name } });
    return account;
  }

  /** Returns the account. @throws GochatError CREDENTIALS_WRONG, RATE_LIMITED, OVERLOADED, ACCOUNT_SUSPENDED */
  async login(credentials: Credentials, isGone: IsGone = () => false): Promise<Account> {
    const { hot, passwords, store } = this.#options;
    const { password } = credentials;
    const name = credentials.name.toLowerCase();
    // An impossible password is not hashed, and gets no bucket in the hot state under a name of any length.
    if (characters(password) > MAX_PASSWORD_CHARACTERS || !isName(name))
      throw new GochatError('CREDENTIALS_WRONG');
    const address = addressOf(credentials);
    const isKnownAddress = await hot.remembers(knownAddresses(name), address);
    const account = await this.#throttle.guess(this.#guesses(name, address, isKnownAddress), async () => {
      const found = await store.findAccount(name);
      const hash = found?.state === 'closed' ? undefined : found?.passwordHash;
      const isRight = await passwords.verify(hash || undefined, password, {
        address,
        isKnownAddress,
        isGone,
      });
      return isRight ? found : undefined;
    });
    if (account === undefined) throw new GochatError('CREDENTIALS_WRONG');
    // Only who knows the password is told.
    if (account.state === 'suspended') throw new GochatError('ACCOUNT_SUSPENDED');
    await hot.remember(knownAddresses(name), address, KNOWN_ADDRESS_MS);
    return account;
  }

  /**
   * Returns the account of a user of an OpenID Connect provider; a new one with a name as it is wished, or like it.
   *
   * @throws GochatError ACCOUNT_SUSPENDED, RATE_LIMITED, NAME_TAKEN
   */
  async openId({ issuer, subject, name: wish, address }: OpenIdUser): Promise<Account> {
    const { store, limits, nextUser } = this.#options;
    const found = await store.findIdentity(issuer, subject);
    if (found?.state === 'suspended') throw new GochatError('ACCOUNT_SUSPENDED');
    if (found !== undefined) return found;
    const key = `signup:address:${addressOf({ address })}`;
    await this.#throttle.allow({ key, rate: limits.signupPerAddress });
    const base = nameLike(wish);
    for (let attempt = 0; attempt < MAX_NAMES; attempt++) {
      const name = attempt === 0 ? base : `${base}-${randomBytes(2).toString('hex')}`;
      const account = { id: nextUser(), name, passwordHash: '' };
      const made = await store.createIdentity(issuer, subject, account);
      if (made !== undefined) return made;
    }
    throw new GochatError('NAME_TAKEN', { details: { name: base } });
  }

  /** Creates missing accounts, for the demo mode, with any password; those of existing ones stay. */
  async seed(accounts: readonly SeedAccount[]): Promise<void> {
    const { store } = this.#options;
    for (const { name: input, password, isAdmin = false } of accounts) {
      const name = parseName(input);
      if ((await store.findAccount(name)) !== undefined) continue;
      const account = await this.#create(name, password);
      if (account !== undefined && isAdmin) await store.setAdmin(account.id, true);
    }
  }

  async #create(name: string, password: string, caller?: HashCaller): Promise<Account | undefined> {
    const { store, passwords, nextUser } = this.#options;
    const passwordHash = await passwords.hash(password, caller);
    return store.createAccount({ id: nextUser(), name, passwordHash });
  }

  /** Returns the buckets charged for a wrong password; those that others can empty too come last. */
  #guesses(name: string, address: string, isKnownAddress: boolean): readonly Bucket[] {
    const { guessesPerNameAndAddress, guessesPerAddress, guessesPerName } = this.#options.limits;
    const own = { key: `guess:${name}@${address}`, rate: guessesPerNameAndAddress };
    if (isKnownAddress) return [own];
    return [
      own,
      { key: `guess:address:${address}`, rate: guessesPerAddress },
      { key: `guess:name:${name}`, rate: guessesPerName },
    ];
  }
}

function isName(name: string): boolean {
  try {
    parseName(name);
    return true;
  } catch {
    // It throws only NAME_INVALID.
    return false;
  }
}

/** Returns a valid name that is like a wish, which may be an e-mail address, with room for a suffix. */
function nameLike(wish: string): string {
  const [local = ''] = wish.slice(0, 256).toLowerCase().split('@');
  const name = local
    .replaceAll(/[^a-z0-9._-]/g, '')
    .replace(/^[^a-z]+/, '')
    .slice(0, MAX_BASE_NAME);
  return name === '' ? 'user' : name;
}

/** Returns the key of the caller's address. */
function addressOf({ address }: { readonly address: string }): string {
  return isIP(address) === 0 ? 'unknown' : addressKey(address);
}

/** Returns the key of the set of addresses from which a user has logged in. */
function knownAddresses(name: string): string {
  return `login:${name}`;
}
