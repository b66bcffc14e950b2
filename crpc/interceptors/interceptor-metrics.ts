/** Metrics of calls, both sides: count and latency by service, method and code, and calls in flight. */
import { splitMethod } from './interceptor.ts';
import { crpcMetrics, inFlightOf } from '../metrics.ts';
import type { Side } from '../metrics.ts';
import { OK } from '../client/observer.ts';
import type { Observer } from '../client/observer.ts';

/** Measures every call of a side: on a server including refused ones, on a client including retries. */
export function callMetrics(side: Side): Observer<unknown> {
  return (path) => {
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
  };
}
