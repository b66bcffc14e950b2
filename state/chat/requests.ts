/** Requests of clients and of the API server: each in its user's turn. */
import { GochatError, type PlainErrorCode, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { Caller } from '../session/location-map.ts';
import { type CallHandlers, handle } from './calls.ts';
import { FairQueue, type FairQueueLimits } from './fair-queue.ts';

/** Retry hint of a refusal, ms. */
export const BUSY_RETRY_MS = 200;
/** Size charged for a request over crpc, bytes; those of the API server are small. */
const CALL_BYTES = 256;

/** Answers requests, one of a user at a time. */
export class Requests {
  readonly #handlers: CallHandlers;
  readonly #queue: FairQueue;
  #draining = false;

  constructor(handlers: CallHandlers, limits: FairQueueLimits) {
    this.#handlers = handlers;
    this.#queue = new FairQueue(limits);
  }

  /** Why no request of a user is taken now, or undefined when one is. */
  refusal(user: UserId): PlainErrorCode | undefined {
    return this.#draining ? 'STATE_UNAVAILABLE' : this.#queue.refusal(user);
  }

  /** Takes a request of so many bytes and works at it now or in its turn; `work` must not reject. See `refusal`. */
  take(user: UserId, bytes: number, work: () => Promise<void>): void {
    this.#queue.add(user, bytes, work);
  }

  /** Answers a request in its user's turn. @throws GochatError STATE_UNAVAILABLE, RATE_LIMITED, OVERLOADED, or as `answer` */
  call(caller: Caller, key: bigint, request: client.Request): Promise<client.Response> {
    const code = this.refusal(caller.user);
    if (code !== undefined) return Promise.reject(new GochatError(code, { retryAfterMs: BUSY_RETRY_MS }));
    return new Promise((resolve, reject) => {
      this.take(caller.user, CALL_BYTES, () => this.answer(caller, key, request).then(resolve, reject));
    });
  }

  /** Takes no more requests; resolves when those in flight are answered. */
  drain(): Promise<void> {
    this.#draining = true;
    return this.#queue.idle();
  }

  /** Answers one request about the conversation `key`. @throws GochatError the caller's error */
  async answer(caller: Caller, key: bigint, { call }: client.Request): Promise<client.Response> {
    // A call that this version does not know decodes as none.
    if (call === undefined)
      throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The call of the REQUEST' } });
    return { result: await handle(this.#handlers, caller, key, call) };
  }
}
