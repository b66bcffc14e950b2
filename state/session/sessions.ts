/** Sessions: who holds a device, decided by HotState; a login claims it, the end of the connection releases it. */
import { type ErrorCode, GochatError, type Logger, type SessionId, type UserId } from '../../common/mod.ts';
import type { link } from '../../proto/mod.ts';
import type { Claim, HotState } from '../hot/hot-state.ts';
import type { StateLimits } from '../limits.ts';
import type { Evictions } from './evictions.ts';

/** What the hot state is asked at once: its deadline is meant for a call, not for the queue that a crowd makes of it. */
const MAX_CLAIMS_IN_FLIGHT = 64;
const MAX_RELEASES_IN_FLIGHT = 64;
/** Beyond it releases are left out: the session stays resumable and the next login takes the device over. */
const MAX_RELEASES_WAITING = 100_000;
const HOT_RETRY_MS = 1000;
const OVERLOADED_RETRY_MS = 500;
const DRAINING_RETRY_MS = 100;

/** The hold of one connection. */
export interface Hold {
  readonly user: UserId;
  readonly device: string;
  readonly epoch: bigint;
}

export interface SessionsOptions {
  readonly hot: Pick<HotState, 'claim' | 'release'>;
  readonly evictions: Pick<Evictions, 'ready' | 'poll' | 'refusal' | 'newest'>;
  readonly limits: StateLimits;
  readonly logger: Logger;
  /** Throws a GochatError while this node cannot make ids. */
  readonly nextSession: () => SessionId;
}

/** Claims and releases sessions. */
export class Sessions {
  readonly #options: SessionsOptions;
  /** Logins that are not answered. */
  #logins = 0;
  #claims = 0;
  /** Logins that wait to claim, in their order; as bounded as they are. */
  readonly #turns: (() => void)[] = [];
  #releases = 0;
  readonly #waiting: Hold[] = [];
  #draining = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Claims the device for a connection. Never rejects: what went wrong is in the result. */
  async login(login: link.Login): Promise<link.LoginResult> {
    if (this.#draining) return refusal(login.conn, 'SERVER_DRAINING', DRAINING_RETRY_MS);
    if (this.#logins >= this.#options.limits.logins) {
      return refusal(login.conn, 'OVERLOADED', OVERLOADED_RETRY_MS);
    }
    this.#logins++;
    try {
      const { evictions } = this.#options;
      if (!evictions.ready) await evictions.poll();
      // Without the orders nobody can tell whether the token still holds.
      if (!evictions.ready) return refusal(login.conn, 'HOT_UNAVAILABLE', HOT_RETRY_MS);
      const refused = evictions.refusal(login.user as UserId, login.token);
      if (refused !== undefined) return refusal(login.conn, refused, 0);
      const claim = await this.#claim(login);
      return {
        conn: login.conn,
        errorCode: '',
        session: claim.session,
        epoch: claim.epoch,
        resumed: claim.resumed,
        retryAfterMs: 0,
      };
    } catch (cause) {
      const error = GochatError.from(cause);
      this.#options.logger.warn({ err: error, code: error.code }, 'login failed');
      return refusal(login.conn, error.code, error.retryAfterMs ?? HOT_RETRY_MS);
    } finally {
      this.#logins--;
    }
  }

  /** Ends a hold; the session can be resumed during the grace period. */
  release(hold: Hold): void {
    if (this.#waiting.length >= MAX_RELEASES_WAITING) return;
    this.#waiting.push(hold);
    this.#releaseNext();
  }

  /** Refuses further logins. */
  drain(): void {
    this.#draining = true;
  }

  async #claim(login: link.Login): Promise<Claim> {
    if (this.#claims >= MAX_CLAIMS_IN_FLIGHT) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#claims++;
    try {
      return await this.#options.hot.claim(
        login.user as UserId,
        holdName(login),
        this.#options.nextSession(),
        login.resumeSession === 0n ? undefined : (login.resumeSession as SessionId),
        this.#options.evictions.newest(login.user as UserId),
      );
    } finally {
      const next = this.#turns.shift();
      if (next === undefined) this.#claims--;
      else next();
    }
  }

  #releaseNext(): void {
    while (this.#releases < MAX_RELEASES_IN_FLIGHT) {
      const hold = this.#waiting.shift();
      if (hold === undefined) return;
      this.#releases++;
      this.#options.hot
        .release(hold.user, hold.device, hold.epoch, this.#options.limits.sessionGraceMs)
        .catch((error: unknown) => {
          // The hold then lasts until the next login of the device, which is harmless.
          this.#options.logger.debug({ err: error }, 'release failed');
        })
        .finally(() => {
          this.#releases--;
          this.#releaseNext();
        });
    }
  }
}

/** The name under which a connection holds its device; an unnamed one is its own device. */
export function holdName(login: link.Login): string {
  return login.device === '' ? `~${login.connection}` : login.device;
}

function refusal(conn: number, errorCode: ErrorCode, retryAfterMs: number): link.LoginResult {
  return { conn, errorCode, session: 0n, epoch: 0n, resumed: false, retryAfterMs };
}
