/** Limits floods: a token bucket per network address, in bounded memory. */

export interface RateLimitOptions {
  /** Requests per second that an address may go on making; 0: no limit. */
  readonly perSecond: number;
  /** Requests that it may make at once. */
  readonly burst: number;
  /** Addresses remembered; beyond it the one seen longest ago is forgotten. @default 65_536 */
  readonly maxAddresses?: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxAddresses: number;
  /** In the order of their last request. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateLimitOptions) {
    this.#perMs = options.perSecond / 1000;
    this.#burst = options.burst;
    this.#maxAddresses = options.maxAddresses ?? 65_536;
  }

  /** Takes one request; returns how long to wait when it is one too many, else 0. ms. */
  take(address: string, now: number): number {
    if (this.#perMs === 0) return 0;
    let bucket = this.#buckets.get(address);
    if (bucket) this.#buckets.delete(address);
    else {
      bucket = { tokens: this.#burst, at: now };
      if (this.#buckets.size >= this.#maxAddresses) this.#forgetOldest();
    }
    this.#buckets.set(address, bucket);
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.at) * this.#perMs);
    bucket.at = now;
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / this.#perMs);
    bucket.tokens--;
    return 0;
  }

  /** Books what a request turned out to cost beyond one; the address pays it off before its next request. */
  charge(address: string, more: number): void {
    const bucket = this.#buckets.get(address);
    if (bucket) bucket.tokens -= more;
  }

  /** Forgets addresses whose buckets are full again: they are as good as new. */
  sweep(now: number): void {
    for (const [address, { tokens, at }] of this.#buckets)
      if (tokens + (now - at) * this.#perMs >= this.#burst) this.#buckets.delete(address);
  }

  #forgetOldest(): void {
    const oldest = this.#buckets.keys().next().value;
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
