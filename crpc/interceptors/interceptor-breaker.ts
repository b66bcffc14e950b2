/** Client interceptor: a circuit breaker per endpoint, which also refuses if no other endpoint is left. */
import { CrpcError, GrpcStatus, isCoded } from '../errors.ts';
import type { ClientInterceptor, OutgoingCall } from './interceptor.ts';
import { splitMethod } from './interceptor.ts';
import { crpcMetrics } from '../metrics.ts';
import { observe } from '../client/observe.ts';
import { DEFAULT_OUTLIER, OutlierRecord } from '../balance/outlier.ts';
import type { Endpoint } from '../registry/registry.ts';

export interface BreakerOptions {
  /** Share of failed calls within the window that opens the breaker, 0 to 1. @default 0.5 */
  readonly failureRate?: number;
  /** Fewest calls in the window that can open the breaker. @default 20 */
  readonly minCalls?: number;
  /** @default 10_000 ms */
  readonly windowMs?: number;
  /** Time for which an open breaker refuses all calls. @default 5000 ms */
  readonly openMs?: number;
  /** Concurrent trial calls of a half-open breaker; a success closes it, a failure opens it again. @default 1 */
  readonly trials?: number;
}

const DEFAULT_OPEN_MS = 5000;

/** The breaker of an endpoint with recent failures. */
class Breaker {
  readonly record: OutlierRecord;
  /** End of the open state, in which calls are refused; 0: closed. Later it is half open. */
  openUntil = 0;
  trials = 0;

  constructor(record: OutlierRecord) {
    this.record = record;
  }
}

/**
 * Keeps calls from endpoints that mostly fail; the balancer asks it before choosing one. Unlike outlier ejection it may
 * open for every endpoint: then calls fail at once with CIRCUIT_OPEN, so callers do not keep a failing service down.
 * Overload counts as a failure.
 */
export function circuitBreaker(options: BreakerOptions = {}): ClientInterceptor {
  const openMs = options.openMs ?? DEFAULT_OPEN_MS;
  const maxTrials = options.trials ?? 1;
  // Only endpoints with failures have a breaker, so the table is small.
  const breakers = new Map<string, Breaker>();

  const begin = (call: OutgoingCall): ((error?: unknown) => void) => {
    let trial: Breaker | undefined;
    if (breakers.size > 0) {
      call.pick.admit = (endpoint) => {
        if (trial !== undefined) trial.trials--;
        trial = undefined;
        const breaker = breakers.get(endpoint.id);
        if (breaker === undefined || breaker.openUntil === 0) return true;
        if (performance.now() < breaker.openUntil || breaker.trials >= maxTrials) return false;
        breaker.trials++;
        trial = breaker;
        return true;
      };
      call.pick.refusal = () => refusal(call);
    }
    return (error) => {
      const wasTrial = trial !== undefined;
      if (trial !== undefined) trial.trials--;
      if (call.pick.endpoint !== undefined) note(call.pick.endpoint, error, wasTrial);
    };
  };

  const note = ({ id }: Endpoint, error: unknown, wasTrial: boolean): void => {
    const now = performance.now();
    let breaker = breakers.get(id);
    if (isFailure(error)) {
      if (breaker === undefined) {
        const { failureRate, minCalls, windowMs } = { ...DEFAULT_OUTLIER, ...options };
        const record = new OutlierRecord({
          ...DEFAULT_OUTLIER,
          consecutiveFailures: Infinity,
          failureRate,
          minCalls,
          windowMs,
        });
        forget(now);
        breaker = new Breaker(record);
        breakers.set(id, breaker);
      }
      if (breaker.record.failure(now) || wasTrial) breaker.openUntil = now + openMs;
    } else if (wasTrial && error === undefined) breakers.delete(id);
    else if (error === undefined) breaker?.record.success(now);
  };

  /** Drops the breakers of endpoints that are gone. */
  const forget = (now: number): void => {
    for (const [id, { openUntil, record }] of breakers)
      if (openUntil + openMs < now && record.isQuiet(now)) breakers.delete(id);
  };

  const refusal = ({ method }: OutgoingCall): CrpcError => {
    crpcMetrics().refusals.add(1, { by: 'breaker' });
    const first = Math.min(
      ...[...breakers.values()].map(({ openUntil }) => openUntil).filter((at) => at > 0),
    );
    const retryAfterMs = Math.max(1, Math.ceil(first - performance.now()));
    return new CrpcError('CIRCUIT_OPEN', { details: { what: splitMethod(method).service }, retryAfterMs });
  };

  return {
    unary: (next) => (call) => {
      const end = begin(call);
      return next(call).then(
        (response) => {
          end();
          return response;
        },
        (error: unknown) => {
          end(error);
          throw error;
        },
      );
    },
    stream: (next) => (call) =>
      observe(
        () => next(call),
        () => {
          const end = begin(call);
          return (failure) => end(failure?.error);
        },
      ),
  };
}

function isFailure(error: unknown): boolean {
  if (!isCoded(error) || error.code === 'CIRCUIT_OPEN') return false;
  if (error.code === 'OVERLOADED') return true;
  const { grpcStatus: status } = error;
  return (
    status === GrpcStatus.UNAVAILABLE ||
    status === GrpcStatus.DEADLINE_EXCEEDED ||
    status === GrpcStatus.INTERNAL ||
    status === GrpcStatus.UNKNOWN
  );
}
