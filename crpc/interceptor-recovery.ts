/** Server interceptor: whatever a handler throws becomes a clean error, and a log line where it was not meant. */
import { GochatError } from '../common/mod.ts';
import type { Logger } from '../common/mod.ts';
import type { CallContext } from './call-context.ts';
import type { ServerInterceptor } from './interceptor.ts';

/** Turns anything that is not a GochatError into INTERNAL and logs it with method, peer and trace id. */
export function recovery(logger: Logger): ServerInterceptor {
  const recover = (error: unknown, context: CallContext): GochatError => {
    const known = GochatError.from(error);
    // A caller that goes away breaks what it streamed: that is no fault of the handler.
    if (known.code === 'INTERNAL' && !context.isCancelled) {
      const { method, peer, traceId } = context;
      logger.error({ err: error, method, peer, trace_id: traceId }, 'handler failed');
    }
    return known;
  };
  return {
    unary: (next) => async (input, context) => {
      try {
        return await next(input, context);
      } catch (error) {
        throw recover(error, context);
      }
    },
    stream: (next) =>
      async function* (input, context) {
        try {
          yield* next(input, context);
        } catch (error) {
          throw recover(error, context);
        }
      },
  };
}
