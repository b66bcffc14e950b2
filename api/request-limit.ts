/** The limit of requests by address, told on each answer (draft-ietf-httpapi-ratelimit-headers). */
import type { FastifyReply } from 'fastify';
import { addressKey, GochatError, RateLimit } from '../common/mod.ts';

/** How often addresses whose allowance is whole again are forgotten, ms. */
const SWEEP_MS = 10_000;

export interface RequestLimitOptions {
  /** Requests per second of an address (IPv6: of a /64); 0: no limit. */
  readonly perSecond: number;
  /** Requests of an address at once. */
  readonly burst: number;
}

export class RequestLimit implements Disposable {
  readonly #limit: RateLimit;
  readonly #policy: string;
  readonly #isOn: boolean;
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: RequestLimitOptions) {
    const { perSecond, burst } = options;
    this.#limit = new RateLimit(options);
    this.#isOn = perSecond > 0;
    this.#policy = `"address";q=${burst};w=${Math.max(1, Math.ceil(burst / perSecond))}`;
    this.#sweeper = setInterval(() => this.#limit.sweep(performance.now()), SWEEP_MS).unref();
  }

  /** Takes a request of an address, and tells what is left; returns the refusal of one too many. */
  take(reply: FastifyReply, address: string): GochatError | undefined {
    if (!this.#isOn) return undefined;
    const key = addressKey(address);
    const now = performance.now();
    const waitMs = this.#limit.take(key, now);
    const { tokens, fullInMs } = this.#limit.left(key, now);
    reply.header('ratelimit-policy', this.#policy);
    reply.header('ratelimit', `"address";r=${tokens};t=${Math.ceil(fullInMs / 1000)}`);
    return waitMs > 0 ? new GochatError('RATE_LIMITED', { retryAfterMs: waitMs }) : undefined;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeper);
  }
}
