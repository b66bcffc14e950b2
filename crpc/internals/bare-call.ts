/**
 * Makes unary calls on a gRPC channel itself, instead of by `Client.makeUnaryRequest`.
 *
 * Reaches into: the calls that `Channel.createCall` of grpc-js makes for its own client (checked with 1.14.7).
 * Why: for each call `makeUnaryRequest` makes a stack trace, an event emitter and a chain of interceptors, which crpc does
 * not use: an eighth of the CPU time of a small call, both ends counted.
 * Upstream: https://github.com/grpc/grpc-node/pull/3083, an option to leave the stack trace out
 * Without it: crpc calls `makeUnaryRequest`.
 */
import { Client, credentials, status as GrpcCode, Metadata } from '@grpc/grpc-js';
import type { experimental } from '@grpc/grpc-js';
import { CrpcError } from '../errors.ts';
import { toWall } from '../registry/clock.ts';
import type { AnyMethod } from '../client/definition.ts';
import type { OutgoingCall } from '../interceptors/interceptor.ts';
import type { WireStatus } from '../client/status.ts';
import type { Logger } from '../logger.ts';

type GrpcStatusObject = Parameters<Parameters<experimental.CallStream['start']>[1]['onReceiveStatus']>[0];

/**
 * Makes a call and returns a function that cancels it.
 *
 * @param done Called once, with the failure or the response.
 * @throws CrpcError INTERNAL when the request cannot be encoded; Error when the client is closed
 */
export type StartUnaryCall = (
  client: Client,
  method: AnyMethod,
  call: OutgoingCall,
  done: (failure: WireStatus | null, response?: unknown) => void,
) => () => void;

/** Methods of a call that startBareCall uses. */
const METHODS = ['start', 'startRead', 'sendMessageWithContext', 'halfClose', 'cancelWithStatus'];

let isFit: boolean | undefined;

/** Returns what makes such calls; undefined where GOCHAT_NATIVE=0 turns it off, or grpc-js makes other calls, as the log then says once. */
export function openBareCalls(logger: Logger | undefined): StartUnaryCall | undefined {
  if (process.env['GOCHAT_NATIVE'] === '0') return undefined;
  if (isFit === undefined) {
    isFit = isBareCall(makeCall());
    if (!isFit)
      logger?.warn(
        { piece: 'bare-call', without: 'a call costs an eighth more' },
        'turned off: its check failed',
      );
  }
  return isFit ? startBareCall : undefined;
}

/** Returns whether a call has these methods. */
export function isBareCall(call: object): boolean {
  return METHODS.every((method) => typeof Reflect.get(call, method) === 'function');
}

/** Makes a call without a server. */
function makeCall(): object {
  const client = new Client('localhost', credentials.createInsecure());
  try {
    return client.getChannel().createCall('/', Infinity, null, null, null);
  } finally {
    client.close();
  }
}

function startBareCall(
  client: Client,
  { path, requestSerialize, responseDeserialize }: AnyMethod,
  { input, metadata, deadline }: OutgoingCall,
  done: Parameters<StartUnaryCall>[3],
): () => void {
  const request = encode(requestSerialize, input);
  const call = client.getChannel().createCall(path, toWall(deadline), null, null, null);
  let response: { readonly value: unknown } | undefined;
  let broken: GrpcStatusObject | undefined;
  call.start(metadata, {
    onReceiveMetadata: () => {},
    onReceiveMessage: (bytes: Buffer) => {
      try {
        response = { value: responseDeserialize(bytes) };
      } catch (error) {
        const details = `Response message parsing error: ${String(error)}`;
        broken = { code: GrpcCode.INTERNAL, details, metadata: new Metadata() };
        call.cancelWithStatus(broken.code, details);
      }
    },
    onReceiveStatus: (status) => {
      if (broken !== undefined) done(failureOf(broken));
      else if (status.code !== GrpcCode.OK) done(failureOf(status));
      else if (response !== undefined) done(null, response.value);
      else done(failureOf({ ...status, code: GrpcCode.UNIMPLEMENTED, details: 'No message received' }));
    },
  });
  call.startRead();
  call.sendMessageWithContext({}, request);
  call.halfClose();
  return () => call.cancelWithStatus(GrpcCode.CANCELLED, 'Cancelled on client');
}

function encode(serialize: AnyMethod['requestSerialize'], input: unknown): Buffer {
  try {
    return serialize(input);
  } catch (cause) {
    throw new CrpcError('INTERNAL', { cause });
  }
}

function failureOf({ code, details, metadata }: GrpcStatusObject): Error & WireStatus {
  return Object.assign(new Error(`${code} ${GrpcCode[code]}: ${details}`), { code, details, metadata });
}
