/** Metrics of calls, both sides: count and latency by service, method and code, and how many run now. */
import { outcomeOf, splitMethod } from './interceptor.ts';
import type { ClientInterceptor, ServerInterceptor } from './interceptor.ts';
import { crpcMetrics, inFlightOf } from './metrics.ts';
import type { Side } from './metrics.ts';
import { observe } from './observe.ts';

const OK = 'OK';

/** Measures every call that a server answers, those that are refused too. */
export function serverMetrics(): ServerInterceptor {
  return {
    unary: (next, path) => {
      const begin = recorder('server', path);
      return (input, call) => {
        const end = begin();
        return next(input, call).then(
          (response) => {
            end(OK);
            return response;
          },
          (error: unknown) => {
            end(outcomeOf(error, call.isCancelled));
            throw error;
          },
        );
      };
    },
    stream: (next, path) => {
      const begin = recorder('server', path);
      return (input, call) =>
        observe(
          () => next(input, call),
          () => {
            const end = begin();
            return (failure) => end(failure ? outcomeOf(failure.error, call.isCancelled) : OK);
          },
        );
    },
  };
}

/** Measures every call that a client makes, its retries included. */
export function clientMetrics(): ClientInterceptor {
  return {
    unary: (next, path) => {
      const begin = recorder('client', path);
      return (call) => {
        const end = begin();
        return next(call).then(
          (response) => {
            end(OK);
            return response;
          },
          (error: unknown) => {
            end(outcomeOf(error, call.signal?.aborted));
            throw error;
          },
        );
      };
    },
    stream: (next, path) => {
      const begin = recorder('client', path);
      return (call) =>
        observe(
          () => next(call),
          () => {
            const end = begin();
            return (failure) => end(failure ? outcomeOf(failure.error, call.signal?.aborted) : OK);
          },
        );
    },
  };
}

/** Returns a function that begins the measurement of one call and returns what ends it. */
function recorder(side: Side, path: string): () => (code: string) => void {
  const about = splitMethod(path);
  const running = inFlightOf(side, path);
  const seconds = crpcMetrics().callSeconds[side];
  const ok = { ...about, code: OK };
  return () => {
    const begin = performance.now();
    running.calls++;
    return (code) => {
      running.calls--;
      seconds.record((performance.now() - begin) / 1000, code === OK ? ok : { ...about, code });
    };
  };
}
