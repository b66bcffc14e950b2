/** Concurrency limit, both sides: a bound on calls in flight, a bounded queue, and refusals beyond it. */
import { CrpcError } from '../errors.ts';
import type { CallContext } from '../client/call-context.ts';
import type { ClientInterceptor, OutgoingCall, ServerInterceptor } from './interceptor.ts';
import { crpcMetrics } from '../metrics.ts';

export interface ConcurrencyOptions {
  /** Most calls in flight. */
  readonly maxRunning: number;
  /** Most queued calls, first come first served. @default maxRunning */
  readonly maxQueued?: number;
  /** Longest wait; the call is then refused, as its caller had better try another endpoint. @default 200 ms */
  readonly maxWaitMs?: number;
}

const DEFAULT_MAX_WAIT_MS = 200;

interface Waiter {
  enter(): void;
}

/** Longest wait of a call. */
interface WaitLimits {
  /** On the clock of `performance.now()`; Infinity: none. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  /** Returns the rejection when the signal aborts. */
  readonly gaveUp: () => unknown;
}

/** A semaphore with a bounded queue. */
export class Gate {
  readonly #maxRunning: number;
  readonly #maxQueued: number;
  readonly #maxWaitMs: number;
  #running = 0;
  readonly #queue = new Set<Waiter>();

  constructor({ maxRunning, maxQueued = maxRunning, maxWaitMs = DEFAULT_MAX_WAIT_MS }: ConcurrencyOptions) {
    this.#maxRunning = maxRunning;
    this.#maxQueued = maxQueued;
    this.#maxWaitMs = maxWaitMs;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Enters if there is room. Whoever entered must leave. */
  tryEnter(): boolean {
    if (this.#running >= this.#maxRunning) return false;
    this.#running++;
    return true;
  }

  /**
   * Waits for room.
   *
   * @throws CrpcError OVERLOADED if the queue is full or the wait too long; the result of `gaveUp` on an abort
   */
  wait({ deadline, signal, gaveUp }: WaitLimits): Promise<void> {
    if (this.#queue.size >= this.#maxQueued) return Promise.reject(this.#overloaded());
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        this.#queue.delete(waiter);
      };
      const waiter: Waiter = {
        enter: () => {
          settle();
          resolve();
        },
      };
      const aborted = (): void => {
        settle();
        reject(gaveUp());
      };
      const timer = setTimeout(
        () => {
          settle();
          reject(this.#overloaded());
        },
        Math.min(this.#maxWaitMs, deadline - performance.now()),
      );
      signal?.addEventListener('abort', aborted, { once: true });
      this.#queue.add(waiter);
    });
  }

  leave(): void {
    const [first] = this.#queue;
    // The place passes to the first waiting call.
    if (first === undefined) this.#running--;
    else first.enter();
  }

  #overloaded(): CrpcError {
    crpcMetrics().refusals.add(1, { by: 'concurrency' });
    return new CrpcError('OVERLOADED', { retryAfterMs: this.#maxWaitMs });
  }
}

/** Limits a server's calls in flight over all methods; streams count while they are open. */
export function serverConcurrency(options: ConcurrencyOptions): ServerInterceptor {
  const { unary, stream } = limit<CallContext>(options, (context) => ({
    deadline: context.deadline,
    signal: context.signal,
    gaveUp: () => new CrpcError('CANCELLED', { cause: context.signal.reason }),
  }));
  return {
    unary: (next) => (input, context) => unary(context, () => next(input, context)),
    stream: (next) => (input, context) => stream(context, () => next(input, context)),
  };
}

/** Limits a client's calls in flight over all methods and endpoints: a bulkhead. */
export function clientConcurrency(options: ConcurrencyOptions): ClientInterceptor {
  const { unary, stream } = limit<OutgoingCall>(options, ({ deadline, signal }) => ({
    deadline,
    signal,
    gaveUp: () => signal?.reason,
  }));
  return {
    unary: (next) => (call) => unary(call, () => next(call)),
    stream: (next) => (call) => stream(call, () => next(call)),
  };
}

function limit<C>(options: ConcurrencyOptions, patienceOf: (call: C) => WaitLimits) {
  const gate = new Gate(options);
  return {
    unary: async (call: C, run: () => Promise<unknown>): Promise<unknown> => {
      if (!gate.tryEnter()) await gate.wait(patienceOf(call));
      try {
        return await run();
      } finally {
        gate.leave();
      }
    },
    stream: async function* (this: void, call: C, run: () => AsyncIterable<unknown>): AsyncIterable<unknown> {
      if (!gate.tryEnter()) await gate.wait(patienceOf(call));
      try {
        yield* run();
      } finally {
        gate.leave();
      }
    },
  };
}
