/** Sessions: a login claims its device in the hot state, the end of the connection releases it. */
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
import type { NameOf, Profiles } from '../identity/profiles.ts';
import type { StateLimits } from '../limits.ts';
import type { Evictions } from './evictions.ts';

/** Most claims in flight: the deadline of a hot-state call must not include the queue of a reconnect storm. */
const MAX_CLAIMS_IN_FLIGHT = 64;
const MAX_RELEASES_IN_FLIGHT = 64;
/** Beyond it releases are dropped: the session stays resumable, and the next login takes the device over. */
const MAX_RELEASES_WAITING = 100_000;
/** How long a login waits for the display name of its user: it must not depend on the store. */
const DISPLAY_NAME_TIMEOUT_MS = 200;
const HOT_RETRY_MS = 1000;
const OVERLOADED_RETRY_MS = 500;
const DRAINING_RETRY_MS = 100;

/** The claim of one connection on its device. */
export interface DeviceClaim {
  readonly user: UserId;
  readonly device: string;
  readonly epoch: bigint;
}

export interface SessionsOptions {
  readonly hot: Pick<HotState, 'claim' | 'release'>;
  readonly evictions: Pick<Evictions, 'ready' | 'poll' | 'refusal' | 'newest'>;
  readonly profiles: Pick<Profiles, 'namesOf'>;
  readonly limits: StateLimits;
  readonly logger: Logger;
  /** Makes a session id. @throws GochatError while this node has no leased number */
  readonly nextSession: () => SessionId;
}

/** Claims and releases sessions. */
export class Sessions {
  readonly #options: SessionsOptions;
  /** Logins in progress. */
  #logins = 0;
  /** Bounded by the bound of the logins. */
  readonly #claims = new TaskQueue(MAX_CLAIMS_IN_FLIGHT);
  readonly #releases = new TaskQueue(MAX_RELEASES_IN_FLIGHT);
  #draining = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Claims the device for a connection. Never rejects: the result carries the error. */
  async login(login: link.Login): Promise<link.LoginResult> {
    if (this.#draining) return refusal(login.conn, 'SERVER_DRAINING', DRAINING_RETRY_MS);
    if (this.#logins >= this.#options.limits.logins) {
      return refusal(login.conn, 'OVERLOADED', OVERLOADED_RETRY_MS);
    }
    this.#logins++;
    try {
      const { evictions, nextSession } = this.#options;
      if (!evictions.ready) await evictions.poll();
      // Without the evictions it is unknown whether the token is still valid.
      if (!evictions.ready) return refusal(login.conn, 'HOT_UNAVAILABLE', HOT_RETRY_MS);
      const refused = evictions.refusal(login.user as UserId, login.token);
      if (refused !== undefined) return refusal(login.conn, refused, 0);
      const [claim, displayName] = await Promise.all([
        this.#claim(login, nextSession()),
        this.#displayName(login),
      ]);
      return {
        conn: login.conn,
        errorCode: '',
        session: claim.session,
        epoch: claim.epoch,
        resumed: claim.resumed,
        retryAfterMs: 0,
        displayName,
      };
    } catch (cause) {
      const error = GochatError.from(cause);
      // The client has logged in again since.
      if (error.code !== 'SESSION_REPLACED')
        this.#options.logger.warn({ err: error, code: error.code }, 'login failed');
      return refusal(login.conn, error.code, error.retryAfterMs ?? HOT_RETRY_MS);
    } finally {
      this.#logins--;
    }
  }

  /** Releases a claim; the session can be resumed during the grace period. */
  release(claim: DeviceClaim): void {
    if (this.#releases.waiting >= MAX_RELEASES_WAITING) return;
    const { hot, limits, logger } = this.#options;
    this.#releases
      .run(() => hot.release(claim.user, claim.device, claim.epoch, limits.sessionGraceMs))
      // The claim then lasts until the next login of the device, which is harmless.
      .catch((error: unknown) => logger.debug({ err: error }, 'release failed'));
  }

  /** Refuses further logins. */
  drain(): void {
    this.#draining = true;
  }

  /** Returns the display name of the user, or the handle if the store does not answer soon. Never rejects. */
  async #displayName({ user, userName }: link.Login): Promise<string> {
    const late = Promise.withResolvers<NameOf>();
    const timer = setTimeout(late.resolve, DISPLAY_NAME_TIMEOUT_MS, () => userName);
    try {
      const nameOf = await Promise.race([this.#options.profiles.namesOf([user as UserId]), late.promise]);
      return nameOf(user as UserId) || userName;
    } catch {
      // A login that the hot state grants does not fail for want of a name.
      return userName;
    } finally {
      clearTimeout(timer);
    }
  }

  #claim(login: link.Login, fresh: SessionId): Promise<Claim> {
    const { hot, evictions } = this.#options;
    const user = login.user as UserId;
    return this.#claims.run(() =>
      hot.claim(
        user,
        claimKey(login),
        fresh,
        login.resumeSession === 0n ? undefined : (login.resumeSession as SessionId),
        evictions.newest(user),
        login.run === 0n ? undefined : { run: login.run, number: login.attempt },
      ),
    );
  }
}

/** Returns the key under which a connection claims its device; an unnamed connection is a device of its own. */
export function claimKey(login: link.Login): string {
  return login.device === '' ? `~${login.connection}` : login.device;
}

function refusal(conn: number, errorCode: ErrorCode, retryAfterMs: number): link.LoginResult {
  return { conn, errorCode, session: 0n, epoch: 0n, resumed: false, retryAfterMs, displayName: '' };
}
