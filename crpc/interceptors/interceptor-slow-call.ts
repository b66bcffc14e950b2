/** Slow-call log, both sides: a line for each unary call over a threshold. */
import type { Logger } from '../logger.ts';
import type { CallContext } from '../client/call-context.ts';
import type { OutgoingCall } from './interceptor.ts';
import type { Observer } from '../client/observer.ts';

const DEFAULT_SLOW_MS = 1000;
/** Most lines per second; further ones are only counted, as everything is slow under overload. */
const MAX_LINES_PER_SECOND = 10;

export interface SlowCallOptions {
  readonly logger: Logger;
  /** Duration from which calls are logged, ms; Infinity: none. @default 1000 */
  readonly slowCallMs?: number;
}

/** Logs slow calls of a server: method, peer, time, trace id. */
export function serverSlowCalls(options: SlowCallOptions): Observer<CallContext> {
  const note = log(options, 'a call was answered slowly');
  return (method, kind) => {
    if (kind === 'stream') return undefined;
    return (call) => {
      const begin = performance.now();
      return () => note(begin, method, () => call.peer, call.traceId);
    };
  };
}

/** Logs slow calls of a client, with retries and queueing. */
export function clientSlowCalls(
  options: SlowCallOptions & { readonly target: string },
): Observer<OutgoingCall> {
  const note = log(options, 'a call took long');
  return (method, kind) => {
    if (kind === 'stream') return undefined;
    return () => {
      const begin = performance.now();
      return () => note(begin, method, () => options.target);
    };
  };
}

type Note = (begin: number, method: string, peer: () => string, traceId?: string) => void;

function log({ logger, slowCallMs = DEFAULT_SLOW_MS }: SlowCallOptions, text: string): Note {
  let second = 0;
  let lines = 0;
  let suppressed = 0;
  return (begin, method, peer, traceId) => {
    const now = performance.now();
    if (now - begin <= slowCallMs) return;
    if (now - second >= 1000) {
      second = now;
      lines = 0;
    }
    if (++lines > MAX_LINES_PER_SECOND) {
      suppressed++;
      return;
    }
    logger.warn({ method, peer: peer(), ms: Math.round(now - begin), trace_id: traceId, suppressed }, text);
    suppressed = 0;
  };
}
