/** The hot-state port: shared, fast and rebuildable facts about sessions. Losing all of it loses no message. */
import type { ErrorCode, SessionId, UserId } from '../../common/mod.ts';

/** Who holds a device's session now. */
export interface DeviceSession {
  readonly session: SessionId;
  /** Fencing number of the holder: a later claim of the same device has a greater one. */
  readonly epoch: bigint;
}

/** One of the attempts of a client to connect. */
export interface Attempt {
  /** A random number of the client's start; not 0. */
  readonly run: bigint;
  /** Counts the run's attempts up. */
  readonly number: number;
}

export interface Claim {
  readonly epoch: bigint;
  readonly session: SessionId;
  /** The claim goes on with the session that was asked for. */
  readonly resumed: boolean;
}

/**
 * How long a session is kept that nobody released, ms: a crash of everything leaves no garbage for ever. A connection
 * that lives longer is not ended by it; it merely cannot be resumed any more.
 */
export const HELD_TTL_MS = 30 * 24 * 3_600_000;

export interface Allowance {
  readonly allowed: boolean;
  /** When the next request may be allowed, ms from now; 0 when allowed. */
  readonly retryAfterMs: number;
}

/** Whom an eviction is about, beside its user. */
export const EvictionScope = {
  /** Whoever came with this one access token; it is revoked. */
  TOKEN: 'token',
  /** Whoever came with a token up to this one, by its id; they are revoked. */
  TOKENS: 'tokens',
  /** Connections of a device, or of all, that were claimed before; they may come back. */
  DEVICE: 'device',
} as const;
export type EvictionScope = (typeof EvictionScope)[keyof typeof EvictionScope];

/** An order to end connections, and perhaps tokens, on every gateway. */
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
  /** When it was given, µs by the clock of the hot state; each is greater than the one before. */
  readonly atUs: number;
}

/** Most members of a set that are remembered. */
export const MAX_REMEMBERED = 32;
/** Most evictions that one call answers. */
export const MAX_EVICTIONS_PAGE = 1000;
/** Most evictions that are kept; the oldest go. */
export const MAX_EVICTIONS = 100_000;

/**
 * Every method rejects with GochatError HOT_UNAVAILABLE when the engine does not answer in time.
 *
 * Epochs grow also across a loss of all data: a new one is never smaller than the wall clock in µs at its making.
 */
export interface HotState extends AsyncDisposable {
  /**
   * Makes the caller the holder of (user, device). The session is `resume` where that is what the device has now (or
   * had within the grace period), else `fresh`. The epoch is greater than `after`, what the caller knows of.
   *
   * Rejects with SESSION_REPLACED where the device was claimed last by a later attempt of the same run: what comes late,
   * as from a gateway that was frozen, must not put out what the client has connected since.
   */
  claim(
    user: UserId,
    device: string,
    fresh: SessionId,
    resume: SessionId | undefined,
    after?: bigint,
    attempt?: Attempt,
  ): Promise<Claim>;
  /** Ends the hold of this epoch, if it still is the holder: the session can be resumed for `graceMs` more. */
  release(user: UserId, device: string, epoch: bigint, graceMs: number): Promise<void>;
  /** Returns undefined when nobody claimed the device, or the last claim was released. */
  holder(user: UserId, device: string): Promise<DeviceSession | undefined>;
  /**
   * Takes one from a bucket of `burst` that refills at `perSecond` (GCRA); a RangeError unless perSecond > 0 and burst
   * is a whole number > 0.
   */
  allow(key: string, perSecond: number, burst: number): Promise<Allowance>;
  /** Gives back what `allow` took from a bucket; the arguments are as then. */
  giveBack(key: string, perSecond: number, burst: number): Promise<void>;
  /**
   * Remembers a member of a set for `ttlMs`, which is about the same for all of the set; of each set the MAX_REMEMBERED
   * that were remembered last are kept.
   */
  remember(set: string, member: string, ttlMs: number): Promise<void>;
  /** Returns whether a member of a set is remembered. */
  remembers(set: string, member: string): Promise<boolean>;
  /** Gives an order, later than `after`, that every node gets to know by `evictions` for `ttlMs`. */
  evict(order: EvictionOrder, ttlMs: number, after?: bigint): Promise<Eviction>;
  /** Returns the orders since `fromUs`, that time included, ascending; MAX_EVICTIONS_PAGE at most. */
  evictions(fromUs: number): Promise<readonly Eviction[]>;
  /**
   * Puts orders back that were lost with the engine's data, each unless it is older than `ttlMs`; resolves with how
   * many are not.
   */
  restoreEvictions(evictions: readonly Eviction[], ttlMs: number): Promise<number>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Returns the µs in which a bucket of HotState.allow gets one back; whole, so that sums of it are exact. Throws a
 * RangeError when the bucket could never work.
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
