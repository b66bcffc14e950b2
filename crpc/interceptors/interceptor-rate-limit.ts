/** Rate limit, both sides: a rate per second and a burst, overall or per key. */
import { CrpcError } from '../errors.ts';
import type { CallContext } from '../client/call-context.ts';
import type { ClientInterceptor, OutgoingCall, ServerInterceptor } from './interceptor.ts';
import { crpcMetrics } from '../metrics.ts';

export interface RateLimitOptions<C> {
  readonly perSecond: number;
  /** Burst after a pause. @default perSecond */
  readonly burst?: number;
  /** Returns the key of a call; each key has its own limit. @default one limit for all calls */
  readonly keyOf?: (call: C) => string;
  /** Most keys kept; beyond it the one seen first is dropped. @default 10_000 */
  readonly maxKeys?: number;
}

const DEFAULT_MAX_KEYS = 10_000;

/** A leaky bucket as one number per key: the generic cell rate algorithm (ITU-T I.371). */
export class RateLimiter {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  readonly #maxKeys: number;
  /** Time at which the bucket of a key is empty. */
  readonly #emptyAt = new Map<string, number>();

  constructor(perSecond: number, burst: number = Math.max(1, perSecond), maxKeys = DEFAULT_MAX_KEYS) {
    this.#intervalMs = 1000 / perSecond;
    this.#toleranceMs = this.#intervalMs * (burst - 1);
    this.#maxKeys = maxKeys;
  }

  /** Counts a call and returns 0, or returns the time until it would be allowed, ms. */
  take(key: string, now: number): number {
    const emptyAt = this.#emptyAt.get(key) ?? now;
    const earlyMs = emptyAt - now - this.#toleranceMs;
    if (earlyMs > 0) return earlyMs;
    if (!this.#emptyAt.has(key) && this.#emptyAt.size >= this.#maxKeys) this.#makeRoom(now);
    this.#emptyAt.set(key, Math.max(emptyAt, now) + this.#intervalMs);
    return 0;
  }

  /** Drops the keys with empty buckets, or else the oldest one. */
  #makeRoom(now: number): void {
    for (const [key, emptyAt] of this.#emptyAt) if (emptyAt <= now) this.#emptyAt.delete(key);
    if (this.#emptyAt.size < this.#maxKeys) return;
    const [oldest] = this.#emptyAt.keys();
    if (oldest !== undefined) this.#emptyAt.delete(oldest);
  }
}

/** Refuses calls over a server's limit with RATE_LIMITED and the time to wait. */
export function serverRateLimit(options: RateLimitOptions<CallContext>): ServerInterceptor {
  const check = checker(options);
  return {
    unary: (next) => (input, context) => {
      const refused = check(context);
      return refused === undefined ? next(input, context) : Promise.reject(refused);
    },
    stream: (next) => (input, context) => {
      const refused = check(context);
      if (refused !== undefined) throw refused;
      return next(input, context);
    },
  };
}

/** Refuses a client's own calls over the limit; they are not sent. */
export function clientRateLimit(options: RateLimitOptions<OutgoingCall>): ClientInterceptor {
  const check = checker(options);
  return {
    unary: (next) => (call) => {
      const refused = check(call);
      return refused === undefined ? next(call) : Promise.reject(refused);
    },
    stream: (next) => (call) => {
      const refused = check(call);
      if (refused !== undefined) throw refused;
      return next(call);
    },
  };
}

function checker<C>(options: RateLimitOptions<C>): (call: C) => CrpcError | undefined {
  const { perSecond, burst, maxKeys, keyOf = () => '' } = options;
  const limiter = new RateLimiter(perSecond, burst, maxKeys);
  return (call) => {
    const earlyMs = limiter.take(keyOf(call), performance.now());
    if (earlyMs === 0) return undefined;
    crpcMetrics().refusals.add(1, { by: 'rate' });
    return new CrpcError('RATE_LIMITED', { retryAfterMs: Math.ceil(earlyMs) });
  };
}
