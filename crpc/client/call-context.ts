/** The context of a call for the server's handler. */
import { Metadata } from '@grpc/grpc-js';
import { context as otel } from '@opentelemetry/api';
import type { Context } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import { fromWall } from '../registry/clock.ts';

/** The gRPC call under a context, of any kind. */
export interface UnderlyingCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** A call as seen by its handler and the server's interceptors. */
export class CallContext {
  /** Full method name: /package.Service/Method. */
  readonly method: string;
  /** Set by the tracing interceptor; 32 hex digits. */
  traceId: string | undefined;
  /** Trace of the call; set by the tracing interceptor. */
  trace: Context | undefined;
  readonly #call: UnderlyingCall;
  readonly #deadline: number;
  #trailers: Metadata | undefined;
  #abort: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(method: string, call: UnderlyingCall) {
    this.method = method;
    this.#call = call;
    this.#deadline = fromWall(Number(call.getDeadline()));
  }

  /** Trailers, sent after the response. */
  get trailers(): Metadata {
    this.#trailers ??= new Metadata();
    return this.#trailers;
  }

  /** The trailers, if there are any. */
  get sentTrailers(): Metadata | undefined {
    return this.#trailers;
  }

  get metadata(): Metadata {
    return this.#call.metadata;
  }

  /** Address of the caller. */
  get peer(): string {
    return this.#call.getPeer();
  }

  /** Whether the caller has gone or its deadline has passed. */
  get isCancelled(): boolean {
    return this.#call.cancelled;
  }

  /** Deadline of the caller on the clock of `performance.now()`; Infinity: none. */
  get deadline(): number {
    return this.#deadline;
  }

  /** Aborted when the caller has gone or the deadline has passed. Created on first use, because it costs time. */
  get signal(): AbortSignal {
    if (this.#abort !== undefined) return this.#abort.signal;
    const abort = new AbortController();
    this.#abort = abort;
    this.#call.on('cancelled', () => abort.abort(new Error('the caller has gone')));
    if (Number.isFinite(this.#deadline)) {
      this.#timer = setTimeout(
        () => abort.abort(new Error('the deadline has passed')),
        // A timer may fire almost 1 ms early, while the caller is still in time.
        Math.max(0, Math.ceil(this.#deadline - performance.now()) + 1),
      );
      this.#timer.unref();
    }
    return abort.signal;
  }

  /** Returns the first value of a metadata key if it is text. */
  header(key: string): string | undefined {
    const [value] = this.#call.metadata.get(key);
    return typeof value === 'string' ? value : undefined;
  }

  /** The call is over. */
  finished(): void {
    clearTimeout(this.#timer);
  }
}

const storage = new AsyncLocalStorage<CallContext>();

/** Returns the call that is being answered, if any. */
export function currentCall(): CallContext | undefined {
  return storage.getStore();
}

/** Runs a handler so that `currentCall` returns this context, also in what it awaits, and within the call's trace. */
export function runInCall<T>(context: CallContext, run: () => T): T {
  const { trace } = context;
  return storage.run(context, trace === undefined ? run : () => otel.with(trace, run));
}
