/** The server side of batch streams. */
import { Metadata } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { CodedError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isEndBatch } from './batch-codec.ts';
import { BatchPipe } from './batch-pipe.ts';
import { announce, announced, unsupported } from './batch-protocol.ts';
import type { BatchStream, BatchStreamHandler, BatchStreamOptions } from './batch-stream.ts';
import { toStatus } from '../client/status.ts';

/** Metadata key of the client's name. */
export const PEER_KEY = 'crpc-peer';
/** Trailer by which a draining server ends a stream. */
export const END_KEY = 'crpc-end';
export const END_DRAINING = 'draining';

/** Returns the handler of a client's stream; a throw refuses the stream with that error. */
export type AcceptStream = (stream: BatchStream) => BatchStreamHandler;

/** Serves one stream. @param register gets the pipe, and returns a function to call at its end */
export function serveBatchStream(
  call: ServerDuplexStream<Buffer, Buffer>,
  accept: AcceptStream,
  options: BatchStreamOptions,
  logger: Logger,
  register: (pipe: BatchPipe) => () => void,
): void {
  const [name] = call.metadata.get(PEER_KEY);
  const pipe = new BatchPipe(
    typeof name === 'string' ? name : call.getPeer(),
    {
      write: (batch, done) => call.write(batch, done),
      pause: () => call.pause(),
      resume: () => call.resume(),
      finish: (draining) => {
        const trailers = new Metadata();
        if (draining) trailers.set(END_KEY, END_DRAINING);
        call.end(trailers);
      },
    },
    options,
  );
  const theirs = announced(call.metadata);
  if (!pipe.negotiate(theirs)) {
    const sides = { method: call.getPath(), peer: pipe.peer, client: theirs, server: pipe.offer };
    const error = unsupported(sides, pipe.offer.remedy);
    logger.warn({ err: error, peer: pipe.peer }, 'batch stream refused');
    call.emit('error', toStatus(error));
    return;
  }
  let handler: BatchStreamHandler;
  try {
    handler = accept(pipe);
  } catch (error) {
    call.emit('error', toStatus(error));
    return;
  }
  const unregister = register(pipe);
  const end = (...[reason, cause]: Parameters<BatchStreamHandler['onEnd']>): void => {
    if (pipe.ended(reason, handler, cause)) unregister();
  };
  const fail = (error: CodedError): void => {
    logger.error({ err: error, peer: pipe.peer }, 'batch stream failed');
    call.emit('error', toStatus(error));
    end('closed', error);
  };
  pipe.opened(handler);
  const answer = new Metadata();
  announce(answer, pipe.offer);
  call.sendMetadata(answer);
  let saidGoodbye = false;
  call.on('data', (batch: Buffer) => {
    saidGoodbye ||= isEndBatch(batch);
    const error = pipe.receive(batch);
    if (error !== undefined) fail(error);
  });
  call.on('end', () => {
    if (pipe.isClosing) return;
    end(saidGoodbye ? 'peer-closed' : 'lost');
    call.end();
  });
  // gRPC emits "cancelled" whenever the HTTP/2 stream is gone, even after an orderly end.
  call.on('cancelled', () => end(pipe.isClosing ? 'closed' : 'lost'));
}
