/** Deadlines, both sides: a default deadline, and the caller's deadline for calls made while answering a call. */
import { CrpcError } from '../errors.ts';
import { currentCall, runInCall } from '../client/call-context.ts';
import type { CallContext } from '../client/call-context.ts';
import type { ClientInterceptor, OutgoingCall, ServerInterceptor } from './interceptor.ts';

export interface ClientDeadlineOptions {
  /** Budget of a unary call that names none, ms. @default 10_000 */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Makes the call that is being answered known to what it calls, and refuses calls whose time is over: on arrival, and
 * when their answer is ready. A handler that is told of the end may answer with what it has, and its caller, whose
 * clock is a little later, must not take that for the whole.
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

/** Gives each call a deadline no later than that of the call being answered: the budget shrinks hop by hop. */
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
      // A stream lives as long as its user wants, unless it serves a call that has a deadline.
      shrink(call, Infinity);
      return next(call);
    },
  };
}
