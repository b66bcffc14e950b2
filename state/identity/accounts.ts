/** Accounts: signup and login by password. */
import { isIP } from 'node:net';
import { addressKey, GochatError, type UserId } from '../../common/mod.ts';
import type { HotState } from '../hot/hot-state.ts';
import type { Rate, StateLimits } from '../limits.ts';
import type { Account, Store } from '../store/store.ts';
import { parseName } from './names.ts';
import {
  type Asker,
  type IsGone,
  MAX_PASSWORD_CHARACTERS,
  MIN_PASSWORD_CHARACTERS,
  type Passwords,
} from './passwords.ts';
import type { IssuedToken, Tokens } from './tokens.ts';

/** Time for which an address of a successful login is remembered, ms. */
const KNOWN_ADDRESS_MS = 30 * 24 * 3_600_000;

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
  readonly hot: Pick<HotState, 'allow' | 'giveBack' | 'remember' | 'remembers'>;
  readonly passwords: Pick<Passwords, 'hash' | 'verify'>;
  readonly limits: StateLimits;
  readonly nextUser: () => UserId;
}

/** A bucket in the hot state. */
interface Bucket {
  readonly key: string;
  readonly rate: Rate;
}

/**
 * Makes accounts and checks passwords.
 *
 * Wrong passwords are limited across all nodes: for a name from an address, for an address, and for a name from anywhere.
 * The last two are for others than a user who has logged in from the address before: what strangers guess, or somebody
 * behind the same address, does not keep that user out. A log-in counts until it has turned out right. While the limits
 * cannot be read nobody logs in by password.
 *
 * An unknown user is told the same as a wrong password, after the same work and within the same limits: who has used up
 * those of an address may learn at most which names have logged in from that very address.
 */
export class Accounts {
  readonly #options: AccountsOptions;

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /** Makes an account. @throws GochatError NAME_INVALID, PASSWORD_WEAK, NAME_TAKEN, RATE_LIMITED, OVERLOADED */
  async signup(credentials: Credentials, isGone: IsGone = () => false): Promise<Account> {
    const name = parseName(credentials.name);
    checkPassword(credentials.password);
    const address = addressOf(credentials);
    await this.#allow({ key: `signup:address:${address}`, rate: this.#options.limits.signupPerAddress });
    const account = await this.#create(name, credentials.password, { address, isKnown: false, isGone });
    if (account === undefined) throw new GochatError('NAME_TAKEN', { details: { name } });
    return account;
  }

  /** Returns the account and a token. @throws GochatError CREDENTIALS_WRONG, RATE_LIMITED, OVERLOADED */
  async login(
    credentials: Credentials,
    tokens: Tokens,
    isGone: IsGone = () => false,
  ): Promise<{ account: Account; issued: IssuedToken }> {
    const { hot, passwords, store } = this.#options;
    const { password } = credentials;
    const name = credentials.name.toLowerCase();
    // An impossible password is not hashed, and gets no bucket in the hot state under a name of any length.
    if (characters(password) > MAX_PASSWORD_CHARACTERS || !isName(name))
      throw new GochatError('CREDENTIALS_WRONG');
    const address = addressOf(credentials);
    const isKnown = await hot.remembers(knownAddresses(name), address);
    const account = await this.#guess(this.#guesses(name, address, isKnown), async () => {
      const found = await store.findAccount(name);
      const isRight = await passwords.verify(found?.passwordHash, password, { address, isKnown, isGone });
      return isRight ? found : undefined;
    });
    if (account === undefined) throw new GochatError('CREDENTIALS_WRONG');
    await hot.remember(knownAddresses(name), address, KNOWN_ADDRESS_MS);
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

  async #create(name: string, password: string, asker?: Asker): Promise<Account | undefined> {
    const { store, passwords, nextUser } = this.#options;
    const passwordHash = await passwords.hash(password, asker);
    return store.createAccount({ id: nextUser(), name, passwordHash });
  }

  /** The buckets that a wrong password costs; those that others can empty as well come last. */
  #guesses(name: string, address: string, isKnown: boolean): readonly Bucket[] {
    const { guessesPerNameAndAddress, guessesPerAddress, guessesPerName } = this.#options.limits;
    const own = { key: `guess:${name}@${address}`, rate: guessesPerNameAndAddress };
    if (isKnown) return [own];
    return [
      own,
      { key: `guess:address:${address}`, rate: guessesPerAddress },
      { key: `guess:name:${name}`, rate: guessesPerName },
    ];
  }

  /** Makes a guess, and gives back what it cost unless it was wrong, that is, resolves with undefined. */
  async #guess<T>(buckets: readonly Bucket[], guess: () => Promise<T | undefined>): Promise<T | undefined> {
    const taken: Bucket[] = [];
    let isWrong = false;
    try {
      for (const bucket of buckets) {
        await this.#allow(bucket);
        taken.push(bucket);
      }
      const result = await guess();
      isWrong = result === undefined;
      return result;
    } finally {
      if (!isWrong)
        for (const { key, rate } of taken) await this.#options.hot.giveBack(key, rate.perSecond, rate.burst);
    }
  }

  async #allow({ key, rate }: Bucket): Promise<void> {
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

/** Returns what the caller's address counts under. */
function addressOf({ address }: Credentials): string {
  return isIP(address) === 0 ? 'unknown' : addressKey(address);
}

/** The set of addresses from which a user has logged in. */
function knownAddresses(name: string): string {
  return `login:${name}`;
}
