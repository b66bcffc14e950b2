/** Limits floods: a token bucket per network address, in bounded memory. */
import { type Rate, TokenBucket } from '../common/mod.ts';

export interface RateLimitOptions {
  /** Requests per second that an address may go on making; 0: no limit. */
  readonly perSecond: number;
  /** Requests that it may make at once. */
  readonly burst: number;
  /** Addresses remembered; beyond it the one seen longest ago is forgotten. @default 65_536 */
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

  /** Takes one request; returns how long to wait when it is one too many, else 0. ms. */
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

  /** Books what a request turned out to cost beyond one; the address pays it off before its next request. */
  charge(address: string, more: number): void {
    this.#buckets.get(address)?.charge(more);
  }

  /** Forgets addresses whose buckets are full again: they are as good as new. */
  sweep(now: number): void {
    for (const [address, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(address);
  }

  #forgetOldest(): void {
    const oldest = this.#buckets.keys().next().value;
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
