/** Sessions: who holds a device, decided by HotState; a login claims it, the end of the connection releases it. */
import {
  type ErrorCode,
  GochatError,
  type Logger,
  type SessionId,
  TaskQueue,
  type UserId,
} from '../../common/mod.ts';
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
  /** As bounded as the logins are. */
  readonly #claims = new TaskQueue(MAX_CLAIMS_IN_FLIGHT);
  readonly #releases = new TaskQueue(MAX_RELEASES_IN_FLIGHT);
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
      // The client has come again since.
      if (error.code !== 'SESSION_REPLACED')
        this.#options.logger.warn({ err: error, code: error.code }, 'login failed');
      return refusal(login.conn, error.code, error.retryAfterMs ?? HOT_RETRY_MS);
    } finally {
      this.#logins--;
    }
  }

  /** Ends a hold; the session can be resumed during the grace period. */
  release(hold: Hold): void {
    if (this.#releases.waiting >= MAX_RELEASES_WAITING) return;
    const { hot, limits, logger } = this.#options;
    this.#releases.add(async () => {
      try {
        await hot.release(hold.user, hold.device, hold.epoch, limits.sessionGraceMs);
      } catch (error) {
        // The hold then lasts until the next login of the device, which is harmless.
        logger.debug({ err: error }, 'release failed');
      }
    });
  }

  /** Refuses further logins. */
  drain(): void {
    this.#draining = true;
  }

  #claim(login: link.Login): Promise<Claim> {
    const { hot, nextSession, evictions } = this.#options;
    const claim = async () =>
      hot.claim(
        login.user as UserId,
        holdName(login),
        nextSession(),
        login.resumeSession === 0n ? undefined : (login.resumeSession as SessionId),
        evictions.newest(login.user as UserId),
        login.run === 0n ? undefined : { run: login.run, number: login.attempt },
      );
    return new Promise((resolve, reject) => {
      this.#claims.add(() => claim().then(resolve, reject));
    });
  }
}

/** The name under which a connection holds its device; an unnamed one is its own device. */
export function holdName(login: link.Login): string {
  return login.device === '' ? `~${login.connection}` : login.device;
}

function refusal(conn: number, errorCode: ErrorCode, retryAfterMs: number): link.LoginResult {
  return { conn, errorCode, session: 0n, epoch: 0n, resumed: false, retryAfterMs };
}
