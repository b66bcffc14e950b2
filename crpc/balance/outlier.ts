/** Outlier detection: ejects endpoints that fail, or that are much slower than the others, for a while. */

/** Limits of ejection: the conditions, the duration, and the most at once. */
export interface OutlierOptions {
  /** Consecutive failures or slow calls. @default 5 */
  readonly consecutiveFailures: number;
  /** Share of failed calls in the window, 0 to 1. @default 0.5 */
  readonly failureRate: number;
  /** Fewest calls in the window for the rate to count. @default 20 */
  readonly minCalls: number;
  /** Factor over the median of the other endpoints from which a call is slow. @default 10 */
  readonly slowFactor: number;
  /** Least duration of a slow call. @default 100 ms */
  readonly slowMs: number;
  /** @default 10_000 ms */
  readonly windowMs: number;
  /** First ejection; the second in a row lasts twice as long, the third three times. @default 5000 ms */
  readonly ejectMs: number;
  /** @default 300_000 ms */
  readonly maxEjectMs: number;
  /** Most of the connected endpoints that may be ejected at once, as a share; one of two always may. @default 0.5 */
  readonly maxEjectedShare: number;
}

export const DEFAULT_OUTLIER: OutlierOptions = Object.freeze({
  consecutiveFailures: 5,
  failureRate: 0.5,
  minCalls: 20,
  slowFactor: 10,
  slowMs: 100,
  windowMs: 10_000,
  ejectMs: 5000,
  maxEjectMs: 300_000,
  maxEjectedShare: 0.5,
});

/** Multiple of its last ejection after which an endpoint's record is cleared. */
const FORGIVE_FACTOR = 10;
/** Share of the window for which slow calls must go on: all calls delayed by one pause end together. */
const SLOW_SHARE = 0.1;

/** Returns whether one more of the connected endpoints may be ejected. The last one never is. */
export function mayEject(ejected: number, connected: number, maxShare: number): boolean {
  if (connected - ejected < 2) return false;
  return ejected + 1 <= Math.max(1, Math.floor(connected * maxShare));
}

/** The record of one endpoint. All times are monotonic ms. */
export class OutlierRecord {
  readonly #options: OutlierOptions;
  #consecutive = 0;
  #slow = 0;
  #slowSince = 0;
  /** Whether it was readmitted and has not answered well since: one more bad call ejects it again. */
  #isOnTrial = false;
  // The window has two halves that alternate: older calls than a whole window are dropped.
  #halfStart = 0;
  #calls = 0;
  #failures = 0;
  #olderCalls = 0;
  #olderFailures = 0;
  #ejections = 0;
  #lastEjectMs = 0;
  #returnedAt = 0;
  /** End of the ejection; 0 if it is not ejected. */
  ejectedUntil = 0;

  constructor(options: OutlierOptions) {
    this.#options = options;
  }

  get isOnTrial(): boolean {
    return this.#isOnTrial;
  }

  /** Records an answer. Returns whether the endpoint is an outlier because it is constantly slow. */
  success(now: number, isSlow = false): boolean {
    const { consecutiveFailures, windowMs } = this.#options;
    this.#consecutive = 0;
    this.#rotate(now);
    this.#calls++;
    if (!isSlow) {
      this.#slow = 0;
      this.#isOnTrial = false;
      return false;
    }
    if (this.#slow++ === 0) this.#slowSince = now;
    const isLasting = now - this.#slowSince >= SLOW_SHARE * windowMs;
    return this.#isOnTrial || (isLasting && this.#slow >= consecutiveFailures);
  }

  /** Records a failure. Returns whether the endpoint is an outlier. */
  failure(now: number): boolean {
    const { consecutiveFailures, failureRate, minCalls } = this.#options;
    this.#consecutive++;
    this.#rotate(now);
    this.#calls++;
    this.#failures++;
    if (this.#isOnTrial || this.#consecutive >= consecutiveFailures) return true;
    const calls = this.#calls + this.#olderCalls;
    return calls >= minCalls && this.#failures + this.#olderFailures >= failureRate * calls;
  }

  /** Returns whether the window is empty. */
  isQuiet(now: number): boolean {
    this.#rotate(now);
    return this.#calls + this.#olderCalls === 0;
  }

  /** Ejects the endpoint. Returns the end of the ejection. */
  eject(now: number): number {
    const { ejectMs, maxEjectMs } = this.#options;
    const isForgiven = now - this.#returnedAt > FORGIVE_FACTOR * this.#lastEjectMs;
    this.#ejections = isForgiven ? 1 : this.#ejections + 1;
    this.#lastEjectMs = Math.min(ejectMs * this.#ejections, maxEjectMs);
    this.ejectedUntil = now + this.#lastEjectMs;
    return this.ejectedUntil;
  }

  /** Readmits the endpoint, on trial and with a clean window. */
  readmit(now: number): void {
    this.ejectedUntil = 0;
    this.#returnedAt = now;
    this.#isOnTrial = true;
    this.#consecutive = 0;
    this.#slow = 0;
    this.#calls = this.#failures = this.#olderCalls = this.#olderFailures = 0;
  }

  #rotate(now: number): void {
    const halfMs = this.#options.windowMs / 2;
    const passed = now - this.#halfStart;
    if (passed < halfMs) return;
    const isRecent = passed < 2 * halfMs;
    this.#olderCalls = isRecent ? this.#calls : 0;
    this.#olderFailures = isRecent ? this.#failures : 0;
    this.#calls = this.#failures = 0;
    this.#halfStart = now;
  }
}
