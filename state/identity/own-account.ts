/** Calls of users about their own account: password, sessions, closing. */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { Rate } from '../limits.ts';
import type { Caller } from '../session/location-map.ts';
import type { Account, AccountStore } from '../store/store.ts';
import type { LoginSessions } from './login-sessions.ts';
import { characters, checkNewPassword, MAX_PASSWORD_CHARACTERS } from './password-rules.ts';
import type { Passwords } from './passwords.ts';
import type { Throttle } from './throttle.ts';

export interface OwnAccountOptions {
  readonly store: Pick<AccountStore, 'accountOf' | 'setPasswordHash' | 'closeAccount'>;
  readonly passwords: Pick<Passwords, 'hash' | 'verify'>;
  readonly logins: Pick<LoginSessions, 'list' | 'endOne' | 'endOthers' | 'endAll'>;
  readonly throttle: Throttle;
  /** Wrong passwords of a user who is logged in. */
  readonly guesses: Rate;
  /** Accounts were closed; the rest is to be done in the background. */
  readonly onClosed: () => void;
}

/** Every method throws GochatErrors. */
export class OwnAccount {
  readonly #options: OwnAccountOptions;

  constructor(options: OwnAccountOptions) {
    this.#options = options;
  }

  /**
   * Changes the password and ends the other sessions. Of two who do it at once, one is told that the password is wrong.
   *
   * @throws GochatError PASSWORD_WRONG, PASSWORD_WEAK, PASSWORD_COMMON, RATE_LIMITED
   */
  async changePassword(
    { user, session = 0n }: Caller,
    { password, newPassword }: client.ChangePassword,
  ): Promise<void> {
    const { store, passwords, logins } = this.#options;
    const account = await this.#account(user);
    await checkNewPassword(newPassword, account.name);
    await this.#check(account, password);
    const hash = await passwords.hash(newPassword, callerOf(user));
    if (!(await store.setPasswordHash(user, hash, account.passwordHash)))
      throw new GochatError('PASSWORD_WRONG');
    await logins.endOthers(user, session);
  }

  async sessions({ user, session: current = 0n }: Caller): Promise<client.Sessions> {
    const sessions = await this.#options.logins.list(user);
    return {
      sessions: sessions.map(({ id, client, address, createdAtMs, usedAtMs, expiresAtMs }) => ({
        id,
        client,
        address,
        createdAtMs: BigInt(createdAtMs),
        usedAtMs: BigInt(usedAtMs),
        expiresAtMs: BigInt(expiresAtMs),
        current: id === current,
      })),
    };
  }

  /** Ends a session with its connections. @throws GochatError SESSION_NOT_FOUND */
  endSession({ user }: Caller, { session }: client.EndSession): Promise<void> {
    return this.#options.logins.endOne(user, session);
  }

  /** Closes the account for good. @throws GochatError PASSWORD_WRONG, RATE_LIMITED */
  async close({ user }: Caller, { password, retract }: client.CloseAccount): Promise<void> {
    const { store, logins, onClosed } = this.#options;
    const account = await this.#account(user);
    if (account.passwordHash !== '' || password !== '') await this.#check(account, password);
    const closed = await store.closeAccount(user, account.passwordHash, retract, Date.now());
    if (closed.length === 0) throw new GochatError('PASSWORD_WRONG');
    onClosed();
    for (const each of closed) await logins.endAll(each, 'ACCOUNT_CLOSED');
  }

  async #account(user: UserId): Promise<Account> {
    const account = await this.#options.store.accountOf(user);
    if (account === undefined || account.state === 'closed') throw new GochatError('ACCOUNT_CLOSED');
    if (account.owner !== undefined) throw new GochatError('BOT_FORBIDDEN');
    return account;
  }

  async #check({ id, passwordHash }: Account, password: string): Promise<void> {
    const { passwords, throttle, guesses } = this.#options;
    if (characters(password) > MAX_PASSWORD_CHARACTERS) throw new GochatError('PASSWORD_WRONG');
    const isRight = await throttle.guess([{ key: `guess:own:${id}`, rate: guesses }], async () => {
      const matches = await passwords.verify(passwordHash || undefined, password, callerOf(id));
      return matches || undefined;
    });
    if (isRight === undefined) throw new GochatError('PASSWORD_WRONG');
  }
}

/** Whoever is logged in waits for a hash among the users at known addresses. */
function callerOf(user: UserId) {
  return { address: `user:${user}`, isKnownAddress: true, isGone: () => false };
}
