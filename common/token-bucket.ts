/** A token bucket: so much a second on average, and what was saved up to a bound at once. */

/** Many buckets may have one rate, which may change. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Takes and counts; tokens come with the time that the caller tells. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #filledMs: number;

  /** A full bucket. @param nowMs of a monotonic clock */
  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#filledMs = nowMs;
  }

  /** Takes one token; returns false, and takes none, where there is none. */
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

  /** Returns how long it takes until `take` succeeds, ms; 0: it would now. */
  waitMs(nowMs: number): number {
    if (this.has(nowMs)) return 0;
    return Math.ceil(((1 - this.#tokens) * 1000) / this.#rate.perSecond);
  }

  /** Takes tokens that may not be there: they are owed. */
  charge(tokens: number): void {
    this.#tokens -= tokens;
  }

  /** Nothing was taken that has not come back: it can be forgotten. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens >= this.#rate.burst;
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#filledMs);
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + (elapsedMs * perSecond) / 1000);
    this.#filledMs = nowMs;
  }
}
