/** The interface of the hot state: shared, fast, rebuildable facts about sessions. Losing all of it loses no message. */
import type { ErrorCode, SessionId, UserId } from '../../common/mod.ts';

/** The holder of a device's session. */
export interface DeviceSession {
  readonly session: SessionId;
  /** Fencing token of the holder: a later claim of the same device has a greater one. */
  readonly epoch: bigint;
}

/** One connection attempt of a client. */
export interface Attempt {
  /** Random id of this run of the client; not 0. */
  readonly run: bigint;
  /** Number of the attempt within the run. */
  readonly number: number;
}

export interface Claim {
  readonly epoch: bigint;
  readonly session: SessionId;
  /** Whether the requested session was resumed. */
  readonly resumed: boolean;
}

/**
 * Lifetime of a session that was never released, ms, so that a crash of all servers leaves no garbage. The session of a
 * connection that lasts longer cannot be resumed.
 */
export const HELD_TTL_MS = 30 * 24 * 3_600_000;

export interface Allowance {
  readonly allowed: boolean;
  /** Time until the next request may be allowed, ms; 0 when allowed. */
  readonly retryAfterMs: number;
}

/** What an eviction matches besides its user. */
export const EvictionScope = {
  /** Connections with this access token, which is revoked. */
  TOKEN: 'token',
  /** Connections with a token up to this one, by id; those tokens are revoked. */
  TOKENS: 'tokens',
  /** Earlier connections of a device or of all devices; they may reconnect. */
  DEVICE: 'device',
} as const;
export type EvictionScope = (typeof EvictionScope)[keyof typeof EvictionScope];

/** An order to end connections, and perhaps revoke tokens, on every gateway. */
export interface EvictionOrder {
  readonly user: UserId;
  readonly scope: EvictionScope;
  /** Id of an access token; 0 with DEVICE. */
  readonly token: bigint;
  /** With DEVICE: its name; empty: all devices. */
  readonly device: string;
  readonly code: ErrorCode;
  /** For people. */
  readonly reason: string;
}

export interface Eviction extends EvictionOrder {
  /** Time on the hot state's clock, µs; each is greater than the one before. */
  readonly atUs: number;
}

/** Most members kept of a set. */
export const MAX_REMEMBERED = 32;
/** Most evictions per page. */
export const MAX_EVICTIONS_PAGE = 1000;
/** Most evictions kept; the oldest are dropped. */
export const MAX_EVICTIONS = 100_000;

/**
 * Every method rejects with GochatError HOT_UNAVAILABLE if the engine does not answer in time.
 *
 * Epochs grow even across a loss of all data: a new one is never less than the wall clock in µs.
 */
export interface HotState extends AsyncDisposable {
  /**
   * Makes the caller the holder of (user, device). The session is `resume` if that is the device's current one (or was
   * within the grace period), else `fresh`. The epoch is greater than `after`, the newest that the caller knows.
   *
   * Rejects with SESSION_REPLACED if a later attempt of the same run claimed the device: a late claim, for example from
   * a frozen gateway, must not replace the client's newer connection.
   */
  claim(
    user: UserId,
    device: string,
    fresh: SessionId,
    resume: SessionId | undefined,
    after?: bigint,
    attempt?: Attempt,
  ): Promise<Claim>;
  /** Releases the device if this epoch still holds it; the session can be resumed for `graceMs` more. */
  release(user: UserId, device: string, epoch: bigint, graceMs: number): Promise<void>;
  /** Returns the holder; undefined if nobody claimed the device or the last claim was released. */
  holder(user: UserId, device: string): Promise<DeviceSession | undefined>;
  /**
   * Takes one token from a bucket of `burst` that refills at `perSecond` (GCRA).
   *
   * @throws RangeError unless perSecond > 0 and burst is an integer > 0
   */
  allow(key: string, perSecond: number, burst: number): Promise<Allowance>;
  /** Returns a token taken by `allow`, with the same arguments. */
  giveBack(key: string, perSecond: number, burst: number): Promise<void>;
  /**
   * Adds a member to a set for `ttlMs`, which should be similar for all of the set. The last MAX_REMEMBERED members are
   * kept.
   */
  remember(set: string, member: string, ttlMs: number): Promise<void>;
  /** Returns whether a set has a member. */
  remembers(set: string, member: string): Promise<boolean>;
  /** Ties a value to a key for `ttlMs` unless one is tied to it, and returns the one that is. */
  tie(key: string, value: string, ttlMs: number): Promise<string>;
  /** Unties a key from this value. */
  untie(key: string, value: string): Promise<void>;
  /** Gives an order, later than `after`, that every node gets from `evictions` for `ttlMs`. */
  evict(order: EvictionOrder, ttlMs: number, after?: bigint): Promise<Eviction>;
  /** Returns the orders from `fromUs` on, inclusive, ascending; at most MAX_EVICTIONS_PAGE. */
  evictions(fromUs: number): Promise<readonly Eviction[]>;
  /**
   * Restores orders that were lost with the engine's data, unless older than `ttlMs`. Resolves with the number of those
   * that are not.
   */
  restoreEvictions(evictions: readonly Eviction[], ttlMs: number): Promise<number>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Returns the refill time of one token of HotState.allow, µs; an integer, so that sums are exact.
 *
 * @throws RangeError if the bucket could never work
 */
export function bucketInterval(perSecond: number, burst: number): number {
  const intervalUs = Math.max(1, Math.round(1_000_000 / perSecond));
  if (!(perSecond > 0)) throw new RangeError(`perSecond ${perSecond} is not > 0`);
  if (!(Number.isSafeInteger(burst) && burst > 0))
    throw new RangeError(`burst ${burst} is not a whole number > 0`);
  if (intervalUs * burst > MAX_BUCKET_US)
    throw new RangeError(`a bucket of ${burst} that refills at ${perSecond}/s takes years to fill`);
  return intervalUs;
}

/** 30 years: added to the clock, still exact in a double. */
const MAX_BUCKET_US = 30 * 365 * 86_400 * 1_000_000;
