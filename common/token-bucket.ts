/** A token bucket: a rate per second and a burst. */

/** Rate of a bucket. Many buckets may share one, and it may change. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A bucket that refills by the time that its callers pass in. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #filledMs: number;

  /** Makes a full bucket. @param nowMs time of a monotonic clock */
  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#filledMs = nowMs;
  }

  /** Takes one token; returns false, and takes nothing, if there is none. */
  take(nowMs: number): boolean {
    if (!this.has(nowMs)) return false;
    this.#tokens--;
    return true;
  }

  /** Returns whether `take` would succeed. */
  has(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens >= 1;
  }

  /** Returns the time until `take` succeeds, ms; 0 if it would now. */
  waitMs(nowMs: number): number {
    if (this.has(nowMs)) return 0;
    return Math.ceil(((1 - this.#tokens) * 1000) / this.#rate.perSecond);
  }

  /** Takes tokens even if there are too few; the balance becomes negative. */
  charge(tokens: number): void {
    this.#tokens -= tokens;
  }

  /** Returns whether the bucket is full, so that it can be discarded. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens >= this.#rate.burst;
  }

  /** Returns the whole tokens that are left, and the time until it is full, ms. */
  left(nowMs: number): { readonly tokens: number; readonly fullInMs: number } {
    this.#fill(nowMs);
    const { perSecond, burst } = this.#rate;
    return {
      tokens: Math.max(0, Math.floor(this.#tokens)),
      fullInMs: ((burst - this.#tokens) * 1000) / perSecond,
    };
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#filledMs);
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + (elapsedMs * perSecond) / 1000);
    this.#filledMs = nowMs;
  }
}
