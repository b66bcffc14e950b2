/** Waits between attempts: exponential backoff with full jitter, and an abortable delay. */

export interface BackoffOptions {
  /** @default 200 ms */
  readonly baseMs?: number;
  /** @default 10_000 ms */
  readonly maxMs?: number;
}

/** Counts failures and returns the wait before the next attempt. */
export class Backoff {
  readonly #options: BackoffOptions;
  #suggested: BackoffOptions = {};
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  /**
   * Returns the wait after one more failure, ms: uniform up to a bound that doubles each time, and at least the
   * server's hint. The hint is jittered upwards by half, so that clients do not all come back at once.
   */
  next(retryAfterMs = 0): number {
    const { baseMs = 200, maxMs = 10_000 } = { ...this.#suggested, ...this.#options };
    const bound = Math.min(maxMs, baseMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    const wait = Math.max(1, Math.round(this.#random() * bound));
    return Math.max(wait, Math.round(retryAfterMs * (1 + this.#random() / 2)));
  }

  /** Uses the bounds that the server suggests, unless the options set their own. */
  suggest(bounds: BackoffOptions): void {
    this.#suggested = bounds;
  }

  /** Forgets the failures after a success. */
  reset(): void {
    this.#failures = 0;
  }
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
