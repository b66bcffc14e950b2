/** Rate limit: a token bucket per address, in bounded memory. */
import { type Rate, TokenBucket } from './token-bucket.ts';

export interface RateLimitOptions {
  /** Requests per second of an address; 0: no limit. */
  readonly perSecond: number;
  /** Burst of an address, requests. */
  readonly burst: number;
  /** Most addresses kept; beyond it the one seen longest ago is dropped. @default 65_536 */
  readonly maxAddresses?: number;
}

export class RateLimit {
  readonly #rate: Rate;
  readonly #maxAddresses: number;
  /** In the order of their last request. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor({ perSecond, burst, maxAddresses = 65_536 }: RateLimitOptions) {
    this.#rate = { perSecond, burst };
    this.#maxAddresses = maxAddresses;
  }

  /** Takes one request. Returns the time to wait if it is over the limit, else 0. ms. */
  take(address: string, now: number): number {
    if (this.#rate.perSecond === 0) return 0;
    let bucket = this.#buckets.get(address);
    if (bucket) this.#buckets.delete(address);
    else {
      bucket = new TokenBucket(this.#rate, now);
      if (this.#buckets.size >= this.#maxAddresses) this.#forgetOldest();
    }
    this.#buckets.set(address, bucket);
    return bucket.take(now) ? 0 : bucket.waitMs(now);
  }

  /** Returns the whole tokens that an address has left, and the time until it has all of them, ms. */
  left(address: string, now: number): { readonly tokens: number; readonly fullInMs: number } {
    return this.#buckets.get(address)?.left(now) ?? { tokens: this.#rate.burst, fullInMs: 0 };
  }

  /** Charges the cost of a request beyond one; it delays the address's next request. */
  charge(address: string, more: number): void {
    this.#buckets.get(address)?.charge(more);
  }

  /** Drops addresses whose buckets are full again. */
  sweep(now: number): void {
    for (const [address, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(address);
  }

  #forgetOldest(): void {
    const oldest = this.#buckets.keys().next().value;
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
