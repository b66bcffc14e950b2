/** Client interceptor: retries of idempotent unary calls that failed, and hedging of slow ones. */
import { Metadata } from '@grpc/grpc-js';
import { Backoff } from '../backoff.ts';
import { GrpcStatus, isCoded } from '../errors.ts';
import type { CodedError } from '../errors.ts';
import { splitMethod } from './interceptor.ts';
import type { ClientInterceptor, OutgoingCall, UnaryInvoke } from './interceptor.ts';
import { crpcMetrics } from '../metrics.ts';
import { PickContext } from '../client/pick-context.ts';
import { RetryBudget } from './retry-budget.ts';
import type { RetryBudgetOptions } from './retry-budget.ts';

export interface RetryOptions {
  /** Attempts of a call, with the first one. @default 3 */
  readonly maxAttempts?: number;
  /** Bound of the first wait, which doubles each time, with full jitter. @default 20 ms */
  readonly baseMs?: number;
  /** Bound of any wait. @default 1000 ms */
  readonly maxMs?: number;
  /** Retry budget, shared by all calls. */
  readonly budget?: RetryBudgetOptions;
  /** Hedging: time without an answer after which a second attempt starts, ms; the first answer counts. @default off */
  readonly hedgeMs?: number;
}

/** gRPC's own key for the number of attempts before this one. */
const ATTEMPTS_KEY = 'grpc-previous-rpc-attempts';
const DEFAULT_MAX_ATTEMPTS = 3;
const DEFAULT_BASE_MS = 20;
const DEFAULT_MAX_MS = 1000;

/**
 * Retries idempotent calls that no server answered, or that one refused for overload, on another endpoint if there is
 * one, within the call's deadline and the budget. Other calls pass through.
 */
export function retry(options: RetryOptions = {}): ClientInterceptor {
  const { hedgeMs } = options;
  const budget = new RetryBudget(options.budget);
  return {
    unary: (invoke, method) => {
      const count = (): void => crpcMetrics().retries.add(1, splitMethod(method));
      return (call) => {
        // A request stream can be read only once.
        if (!call.idempotent || call.pick.isStream) return invoke(call);
        const first = hedgeMs === undefined ? invoke(call) : hedged(invoke, call, hedgeMs, budget, count);
        return first.then(
          (response) => {
            budget.succeeded();
            return response;
          },
          (error: unknown) => again(invoke, call, error, options, budget, count),
        );
      };
    },
  };
}

async function again(
  invoke: UnaryInvoke,
  call: OutgoingCall,
  firstError: unknown,
  options: RetryOptions,
  budget: RetryBudget,
  count: () => void,
): Promise<unknown> {
  const { maxAttempts = DEFAULT_MAX_ATTEMPTS, baseMs = DEFAULT_BASE_MS, maxMs = DEFAULT_MAX_MS } = options;
  const backoff = new Backoff({ baseMs, maxMs });
  let error = firstError;
  for (let attempts = 1; ; attempts++) {
    if (!isWorthAnother(error, call.signal) || !budget.failed() || attempts >= maxAttempts) throw error;
    const waitMs = Math.max(backoff.next(), error.retryAfterMs ?? 0);
    if (performance.now() + waitMs >= call.deadline) throw error;
    await sleep(waitMs, call.signal);
    if (call.pick.endpoint !== undefined) (call.pick.tried ??= new Set()).add(call.pick.endpoint.id);
    call.metadata.set(ATTEMPTS_KEY, String(attempts));
    count();
    try {
      const response = await invoke(call);
      budget.succeeded();
      return response;
    } catch (failure) {
      error = failure;
    }
  }
}

/** Returns whether another attempt may succeed. A breaker that refuses has tried every endpoint already. */
function isWorthAnother(error: unknown, signal: AbortSignal | undefined): error is CodedError {
  if (signal?.aborted || !isCoded(error) || error.code === 'CIRCUIT_OPEN') return false;
  const { grpcStatus: status } = error;
  // A peer that is destroyed ends its calls as cancelled.
  if (status === GrpcStatus.CANCELLED) return true;
  return error.retryable && (status === GrpcStatus.UNAVAILABLE || status === GrpcStatus.RESOURCE_EXHAUSTED);
}

/** Starts a second attempt if the first is slow. The first answer wins, and the other attempt is cancelled. */
function hedged(
  invoke: UnaryInvoke,
  call: OutgoingCall,
  hedgeMs: number,
  budget: RetryBudget,
  count: () => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const abort = new AbortController();
    const signal = call.signal === undefined ? abort.signal : AbortSignal.any([call.signal, abort.signal]);
    let running = 0;
    const run = (attempt: OutgoingCall): void => {
      running++;
      invoke(attempt).then(
        (response) => {
          clearTimeout(timer);
          resolve(response);
          abort.abort();
        },
        (error: unknown) => {
          // A quick failure is left to the retry; while the other attempt runs it may still succeed.
          if (--running > 0) return;
          clearTimeout(timer);
          reject(error);
        },
      );
    };
    const first = { ...call, signal };
    const timer = setTimeout(() => {
      if (!budget.failed()) return;
      count();
      run(secondOf(first));
    }, hedgeMs);
    run(first);
  });
}

/** Returns a copy of the call for another endpoint. */
function secondOf(call: OutgoingCall): OutgoingCall {
  const pick = new PickContext(false);
  pick.tried = new Set(call.pick.tried);
  if (call.pick.endpoint !== undefined) pick.tried.add(call.pick.endpoint.id);
  const metadata = new Metadata(pick);
  metadata.merge(call.metadata);
  metadata.set(ATTEMPTS_KEY, '1');
  return { ...call, pick, metadata };
}

/** Rejects with the signal's reason when it aborts. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, ms);
    signal?.addEventListener('abort', aborted, { once: true });
  });
}
