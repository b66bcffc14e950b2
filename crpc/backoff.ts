/** Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). */
// The same as common/backoff.ts: crpc and common import nothing of each other.

export interface BackoffOptions {
  /** @default 200 ms */
  readonly baseMs?: number;
  /** @default 10_000 ms */
  readonly maxMs?: number;
  readonly random?: () => number;
}

/** Counts failures and returns the wait before the next attempt. */
export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions = {}) {
    this.#baseMs = options.baseMs ?? 200;
    this.#maxMs = options.maxMs ?? 10_000;
    this.#random = options.random ?? Math.random;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Returns the wait after one more failure, ms: uniform between 1 and a bound that doubles with each failure. */
  next(): number {
    const bound = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return Math.max(1, Math.round(this.#random() * bound));
  }

  /** Forgets the failures after a success. */
  reset(): void {
    this.#failures = 0;
  }
}
