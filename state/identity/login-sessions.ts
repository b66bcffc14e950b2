/** Login sessions: what a login begins, a refresh token keeps going, and log-out, reuse or expiry ends. */
import { GochatError, type UserId } from '../../common/mod.ts';
import { EvictionScope } from '../hot/hot-state.ts';
import type { Evictions } from '../session/evictions.ts';
import type { LoginSession, LoginSessionStore } from '../store/store.ts';
import {
  encodeRefreshToken,
  hashesOf,
  newRefreshToken,
  newSalt,
  parseRefreshToken,
  successorOf,
} from './refresh-tokens.ts';

/** How long a session lives without a refresh, ms. */
export const SESSION_TTL_MS = 30 * 24 * 3_600_000;
/** How long the token before the current one is still good: two tabs refresh at once, and an answer gets lost. ms. */
export const REFRESH_GRACE_MS = 30_000;
/** Most sessions of a user; beyond: the one that was used longest ago goes. */
export const MAX_SESSIONS = 100;
/** Longest name of a client's software, characters. */
const MAX_CLIENT = 100;
/** Control characters, and those that change the direction of text or are not shown. */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The end of the year 9999, Unix ms. */
const NEVER_MS = 253_402_300_799_000;
const BOT_ORIGIN: LoginOrigin = { client: 'bot', address: '' };

interface Named {
  readonly id: UserId;
  readonly name: string;
}

/** Where a login comes from. */
export interface LoginOrigin {
  /** Name of the client's software, as it says. */
  readonly client: string;
  /** Network address. */
  readonly address: string;
}

/** A session with the token that continues it. */
export interface OpenSession {
  readonly user: UserId;
  readonly name: string;
  /** Id of the session and of its access tokens. */
  readonly session: bigint;
  /** The next refresh token; empty: the one presented stays. */
  readonly refreshToken: string;
  /** When the refresh token expires unless it is used, Unix ms. */
  readonly expiresAtMs: number;
}

/** Why all sessions of a user end, as their connections are told. */
export type EndCode = 'LOGGED_OUT' | 'KICKED' | 'ACCOUNT_SUSPENDED' | 'ACCOUNT_CLOSED';

export interface LoginSessionsOptions {
  readonly store: LoginSessionStore;
  readonly evictions: Pick<Evictions, 'tokenId' | 'evict' | 'revokeAll'>;
  /** Wall clock, Unix ms. @default Date.now */
  readonly now?: () => number;
}

/** Every method throws GochatErrors, STORE_UNAVAILABLE and HOT_UNAVAILABLE among them; all are safe to repeat. */
export class LoginSessions {
  readonly #options: LoginSessionsOptions;
  readonly #now: () => number;

  constructor(options: LoginSessionsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Begins a session. @throws GochatError CREDENTIALS_WRONG if the account was closed or suspended meanwhile */
  open(account: Named, origin: LoginOrigin): Promise<OpenSession> {
    return this.#open(account, origin, SESSION_TTL_MS);
  }

  /** Begins the session of a bot, in place of the one it has: its token stays the same, and does not expire. */
  async openForBot(bot: Named): Promise<OpenSession> {
    await this.endAll(bot.id, 'LOGGED_OUT');
    return this.#open(bot, BOT_ORIGIN, undefined);
  }

  /** @param ttlMs undefined: the token of a bot */
  async #open(
    account: Named,
    { client, address }: LoginOrigin,
    ttlMs: number | undefined,
  ): Promise<OpenSession> {
    const { store, evictions } = this.#options;
    const id = await evictions.tokenId(account.id);
    const token = newRefreshToken(id);
    const nowMs = this.#now();
    const expiresAtMs = ttlMs === undefined ? NEVER_MS : nowMs + ttlMs;
    const isAdded = await store.addSession(
      {
        id,
        user: account.id,
        client: shownClient(client),
        address,
        createdAtMs: nowMs,
        usedAtMs: nowMs,
        expiresAtMs,
        hashes: hashesOf(token),
        rotates: ttlMs !== undefined,
      },
      MAX_SESSIONS,
    );
    if (!isAdded) throw new GochatError('CREDENTIALS_WRONG');
    return {
      user: account.id,
      name: account.name,
      session: id,
      refreshToken: encodeRefreshToken(token),
      expiresAtMs,
    };
  }

  /**
   * Exchanges a refresh token for its successor. One that was exchanged more than REFRESH_GRACE_MS ago has been stolen, or
   * its successor has: the session ends.
   *
   * @throws GochatError REFRESH_INVALID, REFRESH_REUSED, ACCOUNT_SUSPENDED
   */
  async refresh(text: string): Promise<OpenSession> {
    const { store, evictions } = this.#options;
    const token = parseRefreshToken(text);
    if (token === undefined) throw new GochatError('REFRESH_INVALID');
    const { session } = token;
    const salt = newSalt();
    const nowMs = this.#now();
    const rotated = await store.rotateSession({
      session,
      presented: hashesOf(token),
      salt,
      nextSecret: hashesOf(successorOf(token, salt)).secret,
      nowMs,
      graceMs: REFRESH_GRACE_MS,
      expiresAtMs: nowMs + SESSION_TTL_MS,
    });
    if (rotated === undefined) throw new GochatError('REFRESH_INVALID');
    const { user } = rotated;
    if (rotated.result === 'suspended') throw new GochatError('ACCOUNT_SUSPENDED');
    if (rotated.result === 'reused') {
      await evictions.evict(orderTo(user, session, 'REFRESH_REUSED'));
      throw new GochatError('REFRESH_REUSED');
    }
    const refreshToken =
      rotated.result === 'kept' ? '' : encodeRefreshToken(successorOf(token, rotated.salt));
    return { user, name: rotated.name, session, refreshToken, expiresAtMs: rotated.expiresAtMs };
  }

  /** Returns the sessions of a user, the last used first. */
  list(user: UserId): Promise<readonly LoginSession[]> {
    return this.#options.store.sessionsOf(user, this.#now());
  }

  /** Ends the session that the caller has shown a token of, with its connections. */
  async end(user: UserId, session: bigint): Promise<void> {
    const { store, evictions } = this.#options;
    await evictions.evict(orderTo(user, session, 'LOGGED_OUT'));
    await store.removeSessions(user, { only: session });
  }

  /** Ends a session of a user with its connections. @throws GochatError SESSION_NOT_FOUND */
  async endOne(user: UserId, session: bigint): Promise<void> {
    // An order for whatever number was asked for would push others' orders out of the hot state.
    const sessions = await this.list(user);
    if (!sessions.some(({ id }) => id === session)) throw new GochatError('SESSION_NOT_FOUND');
    await this.end(user, session);
  }

  /** Ends all sessions of a user that began until now, with their connections and access tokens. */
  async endAll(user: UserId, code: EndCode, reason = ''): Promise<void> {
    const { store, evictions } = this.#options;
    const { token } = await evictions.revokeAll({ user, code, reason });
    await store.removeSessions(user, { upTo: token });
  }

  /** Ends the sessions of a user except one. */
  async endOthers(user: UserId, session: bigint): Promise<void> {
    for (const { id } of await this.list(user)) if (id !== session) await this.end(user, id);
  }
}

function orderTo(user: UserId, session: bigint, code: 'LOGGED_OUT' | 'REFRESH_REUSED') {
  return { user, code, reason: '', scope: EvictionScope.TOKEN, token: session, device: '' } as const;
}

/** Returns the name of a client's software as lists show it. */
function shownClient(client: string): string {
  return client
    .slice(0, 10 * MAX_CLIENT)
    .normalize('NFC')
    .replaceAll(UNSHOWN, '')
    .trim()
    .slice(0, MAX_CLIENT)
    .toWellFormed();
}
