/** Calls that wait for their RESPONSE. They outlive a connection: unanswered ones are sent again on the next. */
import type { Nack, Request, Response } from '../../proto/client.ts';
import { Request as RequestMessage } from '../../proto/client.ts';
import { Backoff } from './backoff.ts';
import { ClientError } from './errors.ts';
import type { ResolvedOptions } from './options.ts';

const MAX_CALLS = 256;

export type Call = NonNullable<Request['call']>;
export type Result = NonNullable<Response['result']>;

interface Pending {
  readonly isDelete: boolean;
  readonly key: bigint;
  readonly payload: Uint8Array;
  readonly backoff: Backoff;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: ClientError) => void;
  readonly deadline: ReturnType<typeof setTimeout>;
  retry: ReturnType<typeof setTimeout> | undefined;
  /** Number of attempts. */
  tries: number;
  /** The last refusal, which says more than a timeout. */
  refusal: ClientError | undefined;
}

export interface RequestsHooks {
  /** Sends a REQUEST frame; false while there is no connection. */
  write(ref: number, key: bigint, payload: Uint8Array): boolean;
  nextRef(): number;
}

/** At most 256 calls in flight; further ones fail with OUTBOX_FULL. */
export class Requests {
  readonly #options: ResolvedOptions;
  readonly #hooks: RequestsHooks;
  readonly #pending = new Map<number, Pending>();

  constructor(options: ResolvedOptions, hooks: RequestsHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  usesRef(ref: number): boolean {
    return this.#pending.has(ref);
  }

  /** Makes a call, with retries after retryable refusals, until it is answered or times out. */
  call(call: Call, key = 0n): Promise<Result> {
    if (this.#pending.size >= MAX_CALLS) {
      return Promise.reject(ClientError.local('OUTBOX_FULL', { details: { max: MAX_CALLS } }));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const ref = this.#hooks.nextRef();
    const pending: Pending = {
      isDelete: call.$case === 'deleteRoom',
      key,
      payload: RequestMessage.encode({ call }).finish(),
      backoff: new Backoff(this.#options.backoff, this.#options.random),
      resolve,
      reject,
      deadline: setTimeout(() => {
        this.#take(ref)?.reject(pending.refusal ?? ClientError.local('DEADLINE_EXCEEDED'));
      }, this.#options.callTimeoutMs),
      retry: undefined,
      tries: 0,
      refusal: undefined,
    };
    this.#pending.set(ref, pending);
    this.#write(ref, pending);
    return promise;
  }

  /** A connection is up or its path was interrupted: sends all unanswered calls again. */
  resend(): void {
    for (const [ref, pending] of this.#pending) this.#write(ref, pending);
  }

  answered(ref: number, response: Response): void {
    const pending = this.#take(ref);
    if (pending === undefined) return;
    if (response.result === undefined) {
      pending.reject(ClientError.local('FRAME_INVALID'));
    } else {
      pending.resolve(response.result);
    }
  }

  /** A request was refused. Returns false if the ref is not one of a call. */
  refused(ref: number, nack: Nack): boolean {
    const pending = this.#pending.get(ref);
    if (pending === undefined) return false;
    const error = new ClientError(nack.code, nack.message, nack.retryable, nack.retryAfterMs);
    if (nack.retryable) {
      pending.refusal = error;
      clearTimeout(pending.retry);
      pending.retry = setTimeout(() => this.#write(ref, pending), pending.backoff.next(nack.retryAfterMs));
    } else if (pending.isDelete && pending.tries > 1 && nack.code === 'ROOM_NOT_FOUND') {
      // An earlier attempt succeeded, and its answer was lost.
      this.#take(ref)?.resolve({ $case: 'done', done: {} });
    } else {
      this.#take(ref)?.reject(error);
    }
    return true;
  }

  failAll(error: ClientError): void {
    for (const ref of this.#pending.keys()) this.#take(ref)?.reject(error);
  }

  #write(ref: number, pending: Pending): void {
    clearTimeout(pending.retry);
    pending.retry = undefined;
    if (this.#hooks.write(ref, pending.key, pending.payload)) pending.tries++;
  }

  #take(ref: number): Pending | undefined {
    const pending = this.#pending.get(ref);
    if (pending === undefined) return undefined;
    this.#pending.delete(ref);
    clearTimeout(pending.deadline);
    clearTimeout(pending.retry);
    return pending;
  }
}
