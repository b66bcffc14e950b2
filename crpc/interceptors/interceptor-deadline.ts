/** Deadlines, both sides: a default deadline, and the caller's deadline for calls made while answering a call. */
import { CrpcError } from '../errors.ts';
import { currentCall, runInCall } from '../client/call-context.ts';
import type { CallContext } from '../client/call-context.ts';
import type { ClientInterceptor, OutgoingCall, ServerInterceptor } from './interceptor.ts';

export interface ClientDeadlineOptions {
  /** Default timeout of a unary call, ms. @default 10_000 */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Makes the current call available to nested calls, and refuses calls after their deadline: on arrival, and when the
 * answer is ready. A handler told of the end may answer with what it has, and its caller, whose clock is a little
 * later, must not take that for the complete answer.
 */
export function serverDeadline(): ServerInterceptor {
  const check = (context: CallContext): void => {
    if (context.deadline <= performance.now()) throw new CrpcError('DEADLINE_EXCEEDED');
  };
  return {
    unary: (next) => async (input, context) => {
      check(context);
      const response = await runInCall(context, () => next(input, context));
      check(context);
      return response;
    },
    stream: (next) =>
      async function* (input, context) {
        check(context);
        const responses = runInCall(context, () => next(input, context)[Symbol.asyncIterator]());
        try {
          for (;;) {
            const step = await runInCall(context, () => responses.next());
            if (step.done) {
              check(context);
              return;
            }
            yield step.value;
          }
        } finally {
          await responses.return?.();
        }
      },
  };
}

/**
 * Gives each call a deadline no later than that of the call being answered, so that the budget shrinks with each hop.
 */
export function clientDeadline(options: ClientDeadlineOptions = {}): ClientInterceptor {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const shrink = (call: OutgoingCall, budgetMs: number): void => {
    const own = call.deadline === Infinity ? performance.now() + budgetMs : call.deadline;
    call.deadline = Math.min(own, currentCall()?.deadline ?? Infinity);
  };
  return {
    unary: (next) => (call) => {
      shrink(call, timeoutMs);
      if (call.deadline <= performance.now()) return Promise.reject(new CrpcError('DEADLINE_EXCEEDED'));
      return next(call);
    },
    stream: (next) => (call) => {
      // A stream has no timeout, unless it serves a call with a deadline.
      shrink(call, Infinity);
      return next(call);
    },
  };
}
