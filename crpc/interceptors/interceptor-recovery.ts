/** Server interceptor: turns whatever a handler throws into an error with a code, and logs unexpected ones. */
import { randomBytes } from 'node:crypto';
import { CrpcError, isCoded } from '../errors.ts';
import type { CodedError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { CallContext } from '../client/call-context.ts';
import type { ServerInterceptor } from './interceptor.ts';

/**
 * Turns an error without a code into INTERNAL and logs it with method, peer and trace id. The caller gets the trace id,
 * never the cause; a call without a trace gets an id for finding the line.
 */
export function recovery(logger: Logger): ServerInterceptor {
  const recover = (error: unknown, context: CallContext): CodedError => {
    // A caller that goes away breaks its stream: not the handler's fault.
    if (context.isCancelled) return CrpcError.from(error);
    if (isCoded(error) && error.code !== 'INTERNAL') return error;
    const { method, peer, traceId = randomBytes(16).toString('hex') } = context;
    logger.error({ err: error, method, peer, trace_id: traceId }, 'handler failed');
    return new CrpcError('INTERNAL', { cause: error, details: { trace_id: traceId } });
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
