/** The client side of batch streams: a single stream, and a link that reopens it. */
import { Client, Metadata, status as GrpcCode } from '@grpc/grpc-js';
import type { ClientDuplexStream, ServiceDefinition, StatusObject } from '@grpc/grpc-js';
import { Backoff } from '../backoff.ts';
import type { BackoffOptions } from '../backoff.ts';
import type { Logger } from '../logger.ts';
import { END_BATCH } from './batch-codec.ts';
import { BatchPipe, DEFAULT_MAX_MESSAGE_BYTES } from './batch-pipe.ts';
import { announce, announced, UNANNOUNCED, unsupported, withRemedy } from './batch-protocol.ts';
import { END_DRAINING, END_KEY, PEER_KEY } from './batch-server.ts';
import type { BatchStream, BatchStreamHandler, BatchStreamOptions, StreamEnd } from './batch-stream.ts';
import type { SecurityOptions } from '../client/credentials.ts';
import { attachToken, channelCredentials, transportOptions } from '../client/credentials.ts';
import { fromStatus } from '../client/status.ts';

const DEFAULT_OPEN_TIMEOUT_MS = 5000;
const DEFAULT_KEEPALIVE_INTERVAL_MS = 5000;
const DEFAULT_KEEPALIVE_TIMEOUT_MS = 3000;
/** Deadline for a closed stream to flush before it is reset. */
const LINGER_MS = 5000;
const RECEIVE_WINDOW_BYTES = 1024 * 1024;

/** Callbacks of a client's stream. */
export interface ClientBatchHandler extends BatchStreamHandler {
  /** The server has accepted the stream: records can be sent. */
  onOpen(stream: BatchStream): void;
  /**
   * For a BatchLink: called before `onOpen` of a stream that follows an earlier one. Unanswered records of that one,
   * and the peer's records meanwhile, may be lost: synchronise again.
   *
   * @param end how the earlier stream ended
   */
  onGap?(end: StreamEnd): void;
}

export interface OpenBatchStreamOptions extends BatchStreamOptions, SecurityOptions {
  /** host:port of the server. */
  readonly address: string;
  /** Generated service with the bidi method that the server passed to addBatchService. */
  readonly service: ServiceDefinition;
  /** The client's name, the server's `stream.peer`. */
  readonly peer?: string;
  readonly handler: ClientBatchHandler;
  /** Timeout of the attempt, which then fails as 'lost'. @default 5000 ms */
  readonly openTimeoutMs?: number;
  /** Silence after which the connection is probed. @default 5000 ms */
  readonly keepaliveIntervalMs?: number;
  /** An unanswered probe ends the stream as 'lost'. @default 3000 ms */
  readonly keepaliveTimeoutMs?: number;
}

/** Returns the path of the one bidi method of a service. */
export function batchMethodPath(service: ServiceDefinition): string {
  const bidi = Object.values(service).filter((method) => method.requestStream && method.responseStream);
  const [method] = bidi;
  if (method === undefined || bidi.length > 1)
    throw new TypeError('a batch service has exactly one method with both sides streaming');
  return method.path;
}

/**
 * Tries once to open a stream on its own connection; `onOpen` or `onEnd` reports the outcome.
 *
 * No callback runs before this function has returned. The returned stream accepts records from `onOpen` on.
 */
export function openBatchStream(options: OpenBatchStreamOptions): BatchStream {
  return new ClientStream(options).pipe;
}

class ClientStream {
  readonly pipe: BatchPipe;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #handler: ClientBatchHandler;
  readonly #origin;
  /** The client's name at the server. */
  readonly #name: string;
  #timer: NodeJS.Timeout;
  #status: StatusObject | undefined;

  constructor(options: OpenBatchStreamOptions) {
    this.#handler = options.handler;
    const method = batchMethodPath(options.service);
    this.#origin = { target: options.address, unavailable: 'SERVER_UNREACHABLE' as const, method };
    const keepalive = {
      intervalMs: options.keepaliveIntervalMs ?? DEFAULT_KEEPALIVE_INTERVAL_MS,
      timeoutMs: options.keepaliveTimeoutMs ?? DEFAULT_KEEPALIVE_TIMEOUT_MS,
    };
    this.#client = new Client(options.address, channelCredentials(options), {
      ...transportOptions(options, keepalive, options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES),
      // Its own connection, so that an attempt neither inherits another's backoff nor shares its fate.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
    });
    this.#name = options.peer ?? 'the client';
    const metadata = new Metadata();
    attachToken(metadata, options);
    if (options.peer !== undefined) metadata.set(PEER_KEY, options.peer);
    announce(metadata, options.protocol ?? UNANNOUNCED);
    const call = this.#client.makeBidiStreamRequest<Buffer, Buffer>(method, identity, identity, metadata);
    this.#call = call;
    this.pipe = new BatchPipe(
      options.address,
      {
        write: (batch, done) => call.write(batch, done),
        pause: () => call.pause(),
        resume: () => call.resume(),
        finish: () => this.#finish(),
      },
      options,
    );
    this.#timer = setTimeout(() => call.cancel(), options.openTimeoutMs ?? DEFAULT_OPEN_TIMEOUT_MS);
    this.#listen();
  }

  #listen(): void {
    const call = this.#call;
    call.on('metadata', (metadata) => {
      if (this.#status !== undefined || this.pipe.isClosing) return;
      const theirs = announced(metadata);
      if (!this.pipe.negotiate(theirs)) {
        const sides = {
          method: this.#origin.method,
          peer: this.#name,
          client: this.pipe.offer,
          server: theirs,
        };
        this.#end('lost', unsupported(sides, this.pipe.offer.remedy));
        call.cancel();
        return;
      }
      clearTimeout(this.#timer);
      this.pipe.opened(this.#handler);
      this.#handler.onOpen(this.pipe);
    });
    call.on('data', (batch: Buffer) => {
      const error = this.pipe.receive(batch);
      if (error === undefined) return;
      this.#end('closed', error);
      call.cancel();
    });
    // 'status' follows and reports the same.
    call.on('error', () => {});
    call.on('status', (status) => {
      this.#status = status;
      // An orderly end waits until all received records are delivered.
      if (status.code !== GrpcCode.OK || call.readableEnded) this.#settle(status);
    });
    call.on('end', () => {
      if (this.#status !== undefined) this.#settle(this.#status);
    });
  }

  /** Ends our half after what was written. */
  #finish(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#call.cancel(), LINGER_MS);
    this.#call.write(END_BATCH);
    this.#call.end();
  }

  #settle(status: StatusObject): void {
    const isGood = status.code === GrpcCode.OK;
    if (this.pipe.isClosing)
      return this.#end('closed', isGood ? undefined : fromStatus(status, this.#origin));
    if (isGood) {
      const [end] = status.metadata.get(END_KEY);
      return this.#end(end === END_DRAINING ? 'peer-draining' : 'peer-closed');
    }
    const cause = withRemedy(fromStatus(status, this.#origin), this.pipe.offer.remedy);
    this.#end(cause.code === 'SERVER_DRAINING' ? 'peer-draining' : 'lost', cause);
  }

  #end(...[end, cause]: Parameters<BatchStreamHandler['onEnd']>): void {
    clearTimeout(this.#timer);
    if (!this.pipe.ended(end, this.#handler, cause)) return;
    this.#client.close();
  }
}

export interface BatchLinkOptions extends OpenBatchStreamOptions {
  readonly logger: Logger;
  /** Wait between attempts. @default 100 ms to 5 s, full jitter */
  readonly backoff?: BackoffOptions;
}

/**
 * Keeps a stream to one address open: reopens it with backoff and jitter until `close`.
 *
 * Records of the previous stream may be lost, so the handler synchronises again in `onGap`. `onEnd` is called once per
 * stream that was open; failed attempts are only logged.
 */
export class BatchLink {
  readonly #options: BatchLinkOptions;
  readonly #backoff: Backoff;
  #attempt: BatchStream | undefined;
  #open: BatchStream | undefined;
  /** End of the last open stream, until the next one opens. */
  #gap: StreamEnd | undefined;
  /** Why the last stream or attempt ended. */
  #cause: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: BatchLinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ baseMs: 100, maxMs: 5000, ...options.backoff });
    this.#connect();
  }

  get address(): string {
    return this.#options.address;
  }

  /** The stream, while one is open. */
  get stream(): BatchStream | undefined {
    return this.#open;
  }

  /** Closes the stream and stops reconnecting. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#attempt?.close();
  }

  #connect(): void {
    const { handler, logger, address } = this.#options;
    this.#attempt = openBatchStream({
      ...this.#options,
      handler: {
        onOpen: (stream) => {
          this.#open = stream;
          this.#backoff.reset();
          const gap = this.#gap;
          this.#gap = undefined;
          if (gap !== undefined) handler.onGap?.(gap);
          handler.onOpen(stream);
        },
        onRecords: (records) => handler.onRecords(records),
        onDrain: () => handler.onDrain?.(),
        onEnd: (end, cause) => {
          const wasOpen = this.#open !== undefined;
          this.#open = undefined;
          if (!this.#closed) {
            const waitMs = this.#backoff.next();
            this.#timer = setTimeout(() => this.#connect(), waitMs);
            const isNews = wasOpen || this.#backoff.failures === 1 || cause?.code !== this.#cause;
            this.#cause = cause?.code;
            logger[isNews ? 'warn' : 'debug'](
              { address, end, waitMs, code: cause?.code, cause: cause?.message },
              'batch stream ended; trying again',
            );
          }
          if (!wasOpen) return;
          this.#gap = end;
          handler.onEnd(end, cause);
        },
      },
    });
  }
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}
