/** The crpc server: gRPC services of async functions, and batch streams. */
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import type {
  Metadata,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { CrpcError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { once } from '../once.ts';
import { Announcement } from '../registry/announcement.ts';
import type { AnnounceOptions } from '../registry/announcement.ts';
import { DEFAULT_MAX_MESSAGE_BYTES } from '../batch/batch-pipe.ts';
import type { BatchPipe } from '../batch/batch-pipe.ts';
import { serveBatchStream } from '../batch/batch-server.ts';
import type { AcceptStream } from '../batch/batch-server.ts';
import type { BatchStreamOptions } from '../batch/batch-stream.ts';
import { CallContext } from '../client/call-context.ts';
import { tokenCheck, transportOptions } from '../client/credentials.ts';
import type { SecurityOptions } from '../client/credentials.ts';
import type { AnyMethod, Definition, Handlers } from '../client/definition.ts';
import { HealthService } from './health.ts';
import { authentication } from '../interceptors/interceptor-auth.ts';
import { serverDeadline } from '../interceptors/interceptor-deadline.ts';
import { callMetrics } from '../interceptors/interceptor-metrics.ts';
import { recovery } from '../interceptors/interceptor-recovery.ts';
import { serverSlowCalls } from '../interceptors/interceptor-slow-call.ts';
import { serverTracing } from '../interceptors/interceptor-tracing.ts';
import { compose, splitMethod } from '../interceptors/interceptor.ts';
import type { ServerInterceptor, StreamHandler, UnaryHandler } from '../interceptors/interceptor.ts';
import { Listener } from './listener.ts';
import { serverObservers } from '../client/observer.ts';
import type { Registration } from '../registry/registry.ts';
import { addReflection } from './reflection.ts';
import type { ReflectionOptions } from './reflection.ts';
import { toStatus } from '../client/status.ts';
import type { WireStatus } from '../client/status.ts';

const DEFAULT_KEEPALIVE_INTERVAL_MS = 5000;
const DEFAULT_KEEPALIVE_TIMEOUT_MS = 3000;
const DEFAULT_MAX_CONCURRENT_CALLS = 10_000;

export interface CrpcServerOptions extends SecurityOptions {
  readonly logger: Logger;
  /** @default 127.0.0.1 */
  readonly host?: string;
  /** 0 takes a free one. @default 0 */
  readonly port?: number;
  /** Command-line flag of the port, for errors. @default --port */
  readonly flag?: string;
  /** gRPC's limit for one message. @default 8 MiB */
  readonly maxMessageBytes?: number;
  /** Open calls per connection. @default 10_000 */
  readonly maxConcurrentCalls?: number;
  /** Silence after which a connection is probed. @default 5000 ms */
  readonly keepaliveIntervalMs?: number;
  /** An unanswered probe ends the connection. @default 3000 ms */
  readonly keepaliveTimeoutMs?: number;
  /** Registers the server when it listens, and deregisters it first when it drains. @default not registered */
  readonly announce?: AnnounceOptions;
  /** Whether tools can list the services; for development. @default off */
  readonly reflection?: ReflectionOptions;
  /** Duration from which calls are logged, ms; Infinity: none. @default 1000 */
  readonly slowCallMs?: number;
  /** Run inside recovery, tracing, metrics, slow-call log, authentication and deadline; the first is the outermost. */
  readonly interceptors?: readonly ServerInterceptor[];
}

/**
 * Serves gRPC services. Recovery, tracing, metrics, slow-call log, authentication (if a token is set) and deadlines are
 * always on, and so is the gRPC health service, which needs no token.
 *
 * Services are added before `start`. `drain` announces the end to every caller (GOAWAY), ends batch streams with 'peer-
 * draining' and lets calls finish; `stop` ends the rest. Both are idempotent.
 */
export class CrpcServer implements AsyncDisposable {
  readonly #server: GrpcServer;
  readonly #options: CrpcServerOptions;
  readonly #interceptors: readonly ServerInterceptor[];
  readonly #health = new HealthService();
  readonly #pipes = new Set<BatchPipe>();
  #listener: Listener | undefined;
  #port = 0;
  #draining = false;
  #drained: Promise<void> | undefined;
  readonly #announcement: Announcement | undefined;

  constructor(options: CrpcServerOptions) {
    this.#options = options;
    this.#announcement = options.announce === undefined ? undefined : new Announcement(options.announce);
    this.#server = new GrpcServer({
      ...transportOptions(
        options,
        {
          intervalMs: options.keepaliveIntervalMs ?? DEFAULT_KEEPALIVE_INTERVAL_MS,
          timeoutMs: options.keepaliveTimeoutMs ?? DEFAULT_KEEPALIVE_TIMEOUT_MS,
        },
        options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
      ),
      'grpc.max_concurrent_streams': options.maxConcurrentCalls ?? DEFAULT_MAX_CONCURRENT_CALLS,
    });
    this.#interceptors = [
      recovery(options.logger),
      serverObservers([serverTracing(), callMetrics('server'), serverSlowCalls(options)]),
      authentication(options),
      serverDeadline(),
      ...(options.interceptors ?? []),
    ];
  }

  /** Adds a generated service with its handlers. */
  addService<D extends Definition>(definition: D, handlers: Handlers<D>): this {
    const implementation: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(definition)) {
      const handler: unknown = handlers[name];
      if (typeof handler !== 'function') throw new TypeError(`there is no handler for ${method.path}`);
      implementation[name] = (
        method.responseStream
          ? this.#streamAdapter(method, handler.bind(handlers) as StreamHandler)
          : this.#unaryAdapter(method, handler.bind(handlers) as UnaryHandler)
      ) as UntypedServiceImplementation[string];
    }
    this.#add(definition, implementation);
    return this;
  }

  /** Adds a service whose only method, bidi, is a batch stream. @param accept called for each stream that opens */
  addBatchService(definition: Definition, accept: AcceptStream, options: BatchStreamOptions = {}): this {
    const isAllowed = tokenCheck(this.#options);
    const bounds = { maxMessageBytes: this.#options.maxMessageBytes, ...options };
    const raw: Record<string, AnyMethod> = {};
    const implementation: Record<string, (call: ServerDuplexStream<Buffer, Buffer>) => void> = {};
    for (const [name, method] of Object.entries(definition)) {
      if (!method.requestStream || !method.responseStream)
        throw new TypeError(`${method.path} does not stream both ways`);
      raw[name] = {
        ...method,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      } as AnyMethod;
      implementation[name] = (call) => {
        if (this.#draining) call.emit('error', toStatus(new CrpcError('SERVER_DRAINING')));
        else if (!isAllowed(call.metadata)) call.emit('error', toStatus(new CrpcError('TOKEN_INVALID')));
        else
          serveBatchStream(call, accept, bounds, this.#options.logger, (pipe) => {
            this.#pipes.add(pipe);
            return () => this.#pipes.delete(pipe);
          });
      };
    }
    this.#add(raw, implementation);
    return this;
  }

  /** The underlying server, for services made for grpc-js. */
  get grpc(): GrpcServer {
    return this.#server;
  }

  get host(): string {
    return this.#options.host ?? '127.0.0.1';
  }

  /** The actual port, once started. */
  get port(): number {
    return this.#port;
  }

  /** Listening address, host:port, once started. */
  get address(): string {
    return `${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.#port}`;
  }

  /** Listens, then registers. @throws CrpcError PORT_IN_USE, LISTEN_FAILED, REGISTRY_UNREACHABLE */
  readonly start = once(async () => {
    const { port = 0, flag = '--port', tls, logger, reflection } = this.#options;
    await this.#health.addTo(this.#server);
    if (reflection !== undefined) await addReflection(this.#server, reflection);
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#listener = new Listener({ injector, tls, logger });
    this.#port = await this.#listener.listen({ host: this.host, port, flag });
    this.#health.serving();
    try {
      await this.#announcement?.enter(this.host, this.#port);
    } catch (error) {
      await this.stop();
      throw error;
    }
  });

  /** Its registration, once started with `announce`: for load figures and weight. */
  get registration(): Registration | undefined {
    return this.#announcement?.registration;
  }

  /**
   * Deregisters, refuses new calls, lets calls in flight finish, and stops, all within `deadlineMs`. A second call
   * joins the first.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#drained ??= this.#drain(deadlineMs);
    return this.#drained;
  }

  async #drain(deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    this.#health.draining();
    // Until callers know, their calls are still answered.
    await this.#announcement?.leave(deadlineMs / 2);
    this.#draining = true;
    this.#listener?.close();
    this.#server.tryShutdown(() => {});
    // Node 24 closes a server's HTTP/2 sessions with it, so grpc-js calls back before their calls have ended.
    const closed = this.#listener?.emptied() ?? Promise.resolve();
    for (const pipe of this.#pipes) pipe.closeDraining();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.max(0, end - performance.now()));
    });
    await Promise.race([closed, late]);
    clearTimeout(timer);
    await this.stop();
  }

  /** Closes every connection now. */
  readonly stop = once(async () => {
    this.#draining = true;
    const left = this.#announcement?.close();
    this.#server.forceShutdown();
    await this.#listener?.destroy();
    await left;
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #add(definition: Definition, implementation: UntypedServiceImplementation): void {
    this.#server.addService(definition, implementation);
    for (const { path } of Object.values(definition)) this.#health.add(splitMethod(path).service);
  }

  #unaryAdapter(method: Definition[string], handler: UnaryHandler) {
    const invoke = compose<UnaryHandler>(this.#interceptors, 'unary', handler, method.path);
    return (
      call: ServerUnaryCall<unknown, unknown> & ServerReadableStream<unknown, unknown>,
      respond: (error: WireStatus | null, response?: unknown, trailers?: Metadata) => void,
    ): void => {
      const context = new CallContext(method.path, call);
      invoke(method.requestStream ? call : call.request, context).then(
        (response) => {
          context.finished();
          respond(null, response, context.sentTrailers);
        },
        (error: unknown) => {
          context.finished();
          respond(toStatus(error, context.trailers));
        },
      );
    };
  }

  #streamAdapter(method: Definition[string], handler: StreamHandler) {
    const invoke = compose<StreamHandler>(this.#interceptors, 'stream', handler, method.path);
    return (call: ServerWritableStream<unknown, unknown> & ServerDuplexStream<unknown, unknown>): void => {
      const context = new CallContext(method.path, call);
      void pump(invoke(method.requestStream ? call : call.request, context), call).then(
        () => {
          context.finished();
          call.end(context.sentTrailers);
        },
        (error: unknown) => {
          context.finished();
          call.emit('error', toStatus(error, context.trailers));
        },
      );
    };
  }
}

/** Writes responses as fast as the caller reads; stops if the caller has gone. */
async function pump(
  responses: AsyncIterable<unknown>,
  call: ServerWritableStream<unknown, unknown>,
): Promise<void> {
  let wake: (() => void) | undefined;
  const wakeUp = (): void => wake?.();
  call.on('drain', wakeUp);
  call.on('cancelled', wakeUp);
  for await (const response of responses) {
    if (call.cancelled) return;
    if (!call.write(response)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (call.cancelled || !call.writableNeedDrain) resolve();
      });
    }
  }
}

function identity(bytes: unknown): unknown {
  return bytes;
}
