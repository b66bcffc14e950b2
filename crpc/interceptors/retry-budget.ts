/** Retry budget: retries are a share of the successes, so that they cannot multiply an outage. */

export interface RetryBudgetOptions {
  /** Size of the budget; below half of it there are no retries. @default 100 */
  readonly tokens?: number;
  /** Budget that a success returns, relative to the cost of a failure. @default 0.1 */
  readonly ratio?: number;
}

/** The token bucket of gRPC's retry throttling (gRFC A6). */
export class RetryBudget {
  readonly #max: number;
  readonly #ratio: number;
  #tokens: number;

  constructor(options: RetryBudgetOptions = {}) {
    this.#max = options.tokens ?? 100;
    this.#ratio = options.ratio ?? 0.1;
    this.#tokens = this.#max;
  }

  succeeded(): void {
    this.#tokens = Math.min(this.#max, this.#tokens + this.#ratio);
  }

  /** Charges a failure. Returns whether a retry is allowed. */
  failed(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1);
    return this.#tokens > this.#max / 2;
  }
}
