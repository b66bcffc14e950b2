/** Typed clients: generated services as promise functions and async iterables. */
import { Metadata } from '@grpc/grpc-js';
import type { ClientDuplexStream, ClientWritableStream, ServiceError } from '@grpc/grpc-js';
import { CrpcError, isCoded } from '../errors.ts';
import type { CodedError } from '../errors.ts';
import { KEY_METADATA } from '../balance/balancer-rendezvous.ts';
import { Channel } from './channel.ts';
import type { ChannelOptions } from './channel.ts';
import { toWall } from '../registry/clock.ts';
import { attachToken } from './credentials.ts';
import { isIdempotent } from './definition.ts';
import type { AnyMethod, Definition, Input, ResponseOf } from './definition.ts';
import { compose } from '../interceptors/interceptor.ts';
import type { OutgoingCall, StreamInvoke, UnaryInvoke } from '../interceptors/interceptor.ts';
import { PickContext } from './pick-context.ts';
import { fromStatus } from './status.ts';
import type { WireStatus } from './status.ts';
import { openBareCalls } from '../internals/bare-call.ts';
import type { StartUnaryCall } from '../internals/bare-call.ts';

export interface CallOptions {
  /** Aborts the call, which rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Timeout of this call, ms. @default the channel's */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Routing key for the rendezvous balancer. */
  readonly key?: string | bigint;
  /** Whether the call is safe to repeat and may be retried. @default from the .proto, see withIdempotency */
  readonly idempotent?: boolean;
}

/** Outcome of a call, for callers that do not want to catch. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: CodedError };

export type ClientMethod<M> = M extends { responseStream: true }
  ? (input: Input<M>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
  : (input: Input<M>, options?: CallOptions) => Promise<ResponseOf<M>>;

/** Methods with one response, as tryNAME: they never reject; an abort is CANCELLED. */
type TryMethods<D extends Definition> = {
  readonly [K in keyof D & string as D[K] extends { responseStream: true } ? never : `try${Capitalize<K>}`]: (
    input: Input<D[K]>,
    options?: CallOptions,
  ) => Promise<Result<ResponseOf<D[K]>>>;
};

/** A service for its caller. Errors have a code (CodedError), except an abort, which is the signal's reason. */
export type CrpcClient<D extends Definition> = {
  readonly [K in keyof D]: ClientMethod<D[K]>;
} & TryMethods<D> &
  Disposable;

/**
 * Makes the client of a generated service.
 *
 * @param target a target, or a channel shared by several clients; disposing the client closes only its own channel
 */
export function createClient<D extends Definition>(
  definition: D,
  target: string | Channel,
  options: ChannelOptions = {},
): CrpcClient<D> {
  const channel = typeof target === 'string' ? new Channel(target, options) : target;
  const methods: Record<string | symbol, unknown> = {
    [Symbol.dispose]: () => {
      if (channel !== target) channel.close();
    },
  };
  for (const [name, method] of Object.entries(definition)) {
    const { path } = method;
    if (method.responseStream) {
      const invoke = compose<StreamInvoke>(channel.interceptors, 'stream', streamCall(channel, method), path);
      methods[name] = (input: unknown, call?: CallOptions) => invoke(outgoing(channel, method, input, call));
    } else {
      const last = method.requestStream ? clientStreamCall(channel, method) : unaryCall(channel, method);
      const invoke = compose<UnaryInvoke>(channel.interceptors, 'unary', last, path);
      const run = (input: unknown, call?: CallOptions): Promise<unknown> =>
        invoke(outgoing(channel, method, input, call));
      methods[name] = run;
      methods[`try${name.charAt(0).toUpperCase()}${name.slice(1)}`] = (
        input: unknown,
        call?: CallOptions,
      ): Promise<Result<unknown>> =>
        run(input, call).then(
          (value) => ({ ok: true, value }),
          (error: unknown) => ({ ok: false, error: asCoded(error, call?.signal) }),
        );
    }
  }
  return methods as CrpcClient<D>;
}

function outgoing(
  channel: Channel,
  method: AnyMethod,
  input: unknown,
  options: CallOptions = {},
): OutgoingCall {
  const pick = new PickContext(method.requestStream || method.responseStream);
  const metadata = new Metadata(pick);
  attachToken(metadata, channel.options);
  if (options.metadata !== undefined)
    for (const [key, value] of Object.entries(options.metadata)) metadata.set(key, value);
  if (options.key !== undefined) metadata.set(KEY_METADATA, String(options.key));
  return {
    method: method.path,
    input,
    metadata,
    pick,
    deadline: options.timeoutMs === undefined ? Infinity : performance.now() + options.timeoutMs,
    signal: options.signal,
    idempotent: options.idempotent ?? isIdempotent(method),
  };
}

function unaryCall(channel: Channel, method: AnyMethod): UnaryInvoke {
  const start = openBareCalls(channel.options.logger) ?? startUnaryCall;
  return (call) =>
    new Promise((resolve, reject) => {
      if (call.signal?.aborted) return reject(call.signal.reason);
      const done = settle(channel, call, resolve, reject, () => cancel());
      const cancel = start(channel.grpc, method, call, done);
    });
}

const startUnaryCall: StartUnaryCall = (client, method, { input, metadata, deadline }, done) => {
  const { path, requestSerialize, responseDeserialize } = method;
  const options = { deadline: toWall(deadline) };
  const running = client.makeUnaryRequest(
    path,
    requestSerialize,
    responseDeserialize,
    input,
    metadata,
    options,
    done,
  );
  return () => running.cancel();
};

function clientStreamCall(channel: Channel, method: AnyMethod): UnaryInvoke {
  const { path, requestSerialize, responseDeserialize } = method;
  return (call) =>
    new Promise((resolve, reject) => {
      if (call.signal?.aborted) return reject(call.signal.reason);
      const running = channel.grpc.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        call.metadata,
        { deadline: toWall(call.deadline) },
        settle(channel, call, resolve, reject, () => running.cancel()),
      );
      writeAll(call.input, running).catch((error: unknown) => {
        reject(error);
        running.cancel();
      });
    });
}

/** Returns the callback of a call with one response. @param cancel called when the signal aborts */
function settle(
  channel: Channel,
  call: OutgoingCall,
  resolve: (response: unknown) => void,
  reject: (error: unknown) => void,
  cancel: () => void,
): (error: WireStatus | null, response?: unknown) => void {
  const { signal } = call;
  signal?.addEventListener('abort', cancel, { once: true });
  return (error, response) => {
    signal?.removeEventListener('abort', cancel);
    if (error === null) resolve(response);
    else reject(failure(channel, call, error));
  };
}

function streamCall(channel: Channel, method: AnyMethod): StreamInvoke {
  const { path, requestStream, requestSerialize, responseDeserialize } = method;
  return async function* (call) {
    call.signal?.throwIfAborted();
    const options = { deadline: toWall(call.deadline) };
    let inputError: { error: unknown } | undefined;
    const running = requestStream
      ? channel.grpc.makeBidiStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          call.metadata,
          options,
        )
      : channel.grpc.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          call.input,
          call.metadata,
          options,
        );
    const cancel = (): void => running.cancel();
    call.signal?.addEventListener('abort', cancel, { once: true });
    if (requestStream)
      writeAll(call.input, running as ClientDuplexStream<unknown, unknown>).catch((error: unknown) => {
        inputError = { error };
        running.cancel();
      });
    try {
      for await (const response of running) yield response;
    } catch (error) {
      throw inputError === undefined ? failure(channel, call, error as ServiceError) : inputError.error;
    } finally {
      call.signal?.removeEventListener('abort', cancel);
      // A caller that leaves its loop early ends the call; after the end this has no effect.
      running.on('error', () => {});
      running.cancel();
    }
  };
}

function asCoded(error: unknown, signal: AbortSignal | undefined): CodedError {
  if (signal?.aborted && !isCoded(error)) return new CrpcError('CANCELLED', { cause: error });
  return CrpcError.from(error);
}

function failure(channel: Channel, call: OutgoingCall, error: WireStatus): unknown {
  if (call.signal?.aborted) return call.signal.reason;
  return fromStatus(error, {
    target: channel.target,
    unavailable: channel.options.unavailable ?? 'SERVER_UNREACHABLE',
    method: call.method,
  });
}

/** Writes requests as fast as the peer reads, then ends our half. */
async function writeAll(input: unknown, call: ClientWritableStream<unknown>): Promise<void> {
  let wake: (() => void) | undefined;
  let isOver = false;
  call.on('drain', () => wake?.());
  call.on('status', () => {
    isOver = true;
    wake?.();
  });
  for await (const request of input as AsyncIterable<unknown>) {
    if (isOver) return;
    if (!call.write(request)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (isOver || !call.writableNeedDrain) resolve();
      });
    }
  }
  call.end();
}
