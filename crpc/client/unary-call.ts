/** One unary call on a gRPC channel. */
import { status as GrpcCode, Metadata } from '@grpc/grpc-js';
import type { Client, experimental } from '@grpc/grpc-js';
import { CrpcError } from '../errors.ts';
import { toWall } from '../registry/clock.ts';
import type { AnyMethod } from './definition.ts';
import type { OutgoingCall } from '../interceptors/interceptor.ts';
import type { WireStatus } from './status.ts';

type GrpcStatusObject = Parameters<Parameters<experimental.CallStream['start']>[1]['onReceiveStatus']>[0];

/**
 * Makes a call and returns a function that cancels it.
 *
 * It does what `Client.makeUnaryRequest` does, without what that makes for each call and crpc does not use: gRPC's own
 * interceptors, an event emitter, a stack trace.
 *
 * @param done Called once, with the failure or the response.
 * @throws CrpcError INTERNAL when the request cannot be encoded; Error when the channel is closed
 */
export function startUnaryCall(
  channel: ReturnType<Client['getChannel']>,
  { path, requestSerialize, responseDeserialize }: AnyMethod,
  { input, metadata, deadline }: OutgoingCall,
  done: (failure: (Error & WireStatus) | null, response?: unknown) => void,
): () => void {
  const request = encode(requestSerialize, input);
  const call = channel.createCall(path, toWall(deadline), null, null, null);
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
