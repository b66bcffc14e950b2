/** Observers of calls (traces, metrics, logs). All observers of a side share one layer around the call. */
import { outcomeOf } from '../interceptors/interceptor.ts';
import type { CallContext } from './call-context.ts';
import type { ClientInterceptor, OutgoingCall, ServerInterceptor } from '../interceptors/interceptor.ts';
import { observe } from './observe.ts';

export const OK = 'OK';

/** Called once with the outcome of a call: OK or its code. */
export type ObserveEnd = (code: string) => void;
/** Called when a call starts. */
export type ObserveBegin<C> = (call: C) => ObserveEnd;
/** Made once per method; undefined: does not observe such calls. */
export type Observer<C> = (method: string, kind: 'unary' | 'stream') => ObserveBegin<C> | undefined;

/** Observes the calls to a server. */
export function serverObservers(observers: readonly Observer<CallContext>[]): ServerInterceptor {
  const isCancelled = (call: CallContext): boolean => call.isCancelled;
  return {
    unary: (next, method) => {
      const begin = all(observers, method, 'unary');
      return (input, call) => observeOne(() => next(input, call), begin, call, isCancelled);
    },
    stream: (next, method) => {
      const begin = all(observers, method, 'stream');
      return (input, call) => observeStream(() => next(input, call), begin, call, isCancelled);
    },
  };
}

/** Observes the calls of a client, retries included. */
export function clientObservers(observers: readonly Observer<OutgoingCall>[]): ClientInterceptor {
  const isCancelled = (call: OutgoingCall): boolean => call.signal?.aborted ?? false;
  return {
    unary: (next, method) => {
      const begin = all(observers, method, 'unary');
      return (call) => observeOne(() => next(call), begin, call, isCancelled);
    },
    stream: (next, method) => {
      const begin = all(observers, method, 'stream');
      return (call) => observeStream(() => next(call), begin, call, isCancelled);
    },
  };
}

function all<C>(
  observers: readonly Observer<C>[],
  method: string,
  kind: 'unary' | 'stream',
): ObserveBegin<C> {
  const begins = observers.flatMap((observer) => observer(method, kind) ?? []);
  return (call) => {
    const ends = begins.map((begin) => begin(call));
    return (code) => {
      for (const end of ends) end(code);
    };
  };
}

function observeOne<C>(
  run: () => Promise<unknown>,
  begin: ObserveBegin<C>,
  call: C,
  isCancelled: (call: C) => boolean,
): Promise<unknown> {
  const end = begin(call);
  return run().then(
    (response) => {
      end(OK);
      return response;
    },
    (error: unknown) => {
      end(outcomeOf(error, isCancelled(call)));
      throw error;
    },
  );
}

/** A stream that is left early has succeeded. */
function observeStream<C>(
  run: () => AsyncIterable<unknown>,
  begin: ObserveBegin<C>,
  call: C,
  isCancelled: (call: C) => boolean,
): AsyncIterable<unknown> {
  return observe(run, () => {
    const end = begin(call);
    return (failure) => end(failure ? outcomeOf(failure.error, isCancelled(call)) : OK);
  });
}
