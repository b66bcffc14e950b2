/** The hot-state port: shared, fast and rebuildable facts about sessions. Losing all of it loses no message. */
import type { SessionId, UserId } from '../../common/mod.ts';

/** Who holds a device's session now. */
export interface DeviceSession {
  readonly session: SessionId;
  /** Fencing number of the holder: a later claim of the same device has a greater one. */
  readonly epoch: bigint;
}

export interface Claim {
  readonly epoch: bigint;
  readonly session: SessionId;
  /** The claim goes on with the session that was asked for. */
  readonly resumed: boolean;
}

export interface Allowance {
  readonly allowed: boolean;
  /** When the next request may be allowed, ms from now; 0 when allowed. */
  readonly retryAfterMs: number;
}

/**
 * Every method rejects with GochatError HOT_UNAVAILABLE when the engine does not answer in time.
 *
 * Epochs grow also across a loss of all data: a new one is never smaller than the wall clock in µs at its making.
 */
export interface HotState extends AsyncDisposable {
  /**
   * Makes the caller the holder of (user, device). The session is `resume` where that is what the device has now (or
   * had within the grace period), else `fresh`.
   */
  claim(user: UserId, device: string, fresh: SessionId, resume: SessionId | undefined): Promise<Claim>;
  /** Ends the hold of this epoch, if it still is the holder: the session can be resumed for `graceMs` more. */
  release(user: UserId, device: string, epoch: bigint, graceMs: number): Promise<void>;
  holder(user: UserId, device: string): Promise<DeviceSession | undefined>;
  /** Takes one from a bucket of `burst` that refills at `perSecond` (GCRA). */
  allow(key: string, perSecond: number, burst: number): Promise<Allowance>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
