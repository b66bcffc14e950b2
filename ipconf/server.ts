/** The ipconf server: tells clients over HTTP which gateways to connect to. */
import {
  createServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { listen, type Logger, once, type Server } from '../common/mod.ts';
import type { Registry } from '../crpc/mod.ts';
import { type Answer, errorAnswer, jsonAnswer, PREFLIGHT, write } from './answer.ts';
import { Fleet } from './fleet.ts';
import { IpconfMetrics } from './metrics.ts';
import { Source } from './source.ts';

/** Most gateways in an answer. */
export const MAX_GATEWAYS = 5;
/** Longest request target: no valid query is longer. Characters. */
export const MAX_TARGET_LENGTH = 2048;
/** Largest request headers: a browser behind proxies stays under it. Bytes. */
const MAX_HEADER_BYTES = 8192;
/** When to ask again while there is no gateway: a gateway takes about that long to start. ms. */
const NO_GATEWAY_RETRY_MS = 2_000;

export interface IpconfOptions {
  /** @default 'ipconf' */
  readonly name?: string;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 takes a free one. @default 6789 */
  readonly port?: number;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Most connections at once; further ones are closed at accept. @default 10_000 */
  readonly maxConnections?: number;
}

/** Serves GET /ip/list from the live picture of the gateways. */
export class IpconfServer implements Server {
  readonly name: string;
  readonly #host: string;
  readonly #port: number;
  readonly #logger: Logger;
  readonly #http: HttpServer;
  readonly #source: Source;
  readonly #fleet = new Fleet();
  readonly #metrics: IpconfMetrics;
  #list: Answer = errorAnswer('NO_GATEWAY', { retryAfterMs: NO_GATEWAY_RETRY_MS });
  #address = '';
  #draining = false;

  constructor(options: IpconfOptions) {
    this.name = options.name ?? 'ipconf';
    this.#host = options.host ?? '127.0.0.1';
    this.#port = options.port ?? 6789;
    this.#logger = options.logger;
    this.#metrics = new IpconfMetrics(this.#fleet);
    this.#source = new Source(options.registry, (snapshot) => {
      this.#fleet.update(snapshot, performance.now());
      this.#list = this.#makeList();
    });
    this.#http = createServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        headersTimeout: 5_000,
        requestTimeout: 10_000,
        keepAliveTimeout: 30_000,
        connectionsCheckingInterval: 2_000,
      },
      (request, response) => this.#answer(request, response),
    );
    this.#http.maxConnections = options.maxConnections ?? 10_000;
    this.#http.on('clientError', (error, socket) => this.#refuse(error, socket as Socket));
  }

  /** host:port that it listens on; after start. */
  get address(): string {
    return this.#address;
  }

  readonly start = once(async () => {
    this.#address = await listen(this.#http, this.#host, this.#port, '--port');
    this.#source.start();
    this.#logger.info({ address: this.#address }, 'ipconf listens');
  });

  async drain(deadlineMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    if (!this.#http.listening) return;
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeIdleConnections();
    const deadline = setTimeout(() => this.#http.closeAllConnections(), deadlineMs);
    await closed;
    clearTimeout(deadline);
  }

  readonly stop = once(async () => {
    this.#source.close();
    this.#metrics.close();
    if (!this.#http.listening) {
      this.#http.closeAllConnections();
      return;
    }
    await new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
      this.#http.closeAllConnections();
    });
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  readiness(): string | undefined {
    if (this.#draining) return 'draining';
    if (!this.#http.listening) return 'not listening';
    return this.#fleet.known ? undefined : 'the registry has not answered yet';
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const answer = this.#route(request);
    this.#metrics.requested(answer.code);
    if (this.#draining) response.shouldKeepAlive = false;
    write(response, answer, request.method === 'HEAD');
  }

  #route(request: IncomingMessage): Answer {
    const target = request.url ?? '/';
    if (target.length > MAX_TARGET_LENGTH)
      return errorAnswer('REQUEST_TOO_LARGE', { status: 414, details: { max: MAX_TARGET_LENGTH } });
    const query = target.indexOf('?');
    const path = query < 0 ? target : target.slice(0, query);
    const route = path === '/ip/list' ? this.#list : path === '/healthz' ? HEALTHY : undefined;
    if (!route) return errorAnswer('ROUTE_NOT_FOUND', { details: { name: path } });
    if (request.method === 'GET' || request.method === 'HEAD') return route;
    if (request.method === 'OPTIONS') return PREFLIGHT;
    return errorAnswer('METHOD_NOT_ALLOWED', {
      details: { method: request.method ?? '', name: path },
      headers: { allow: 'GET, HEAD, OPTIONS' },
    });
  }

  #makeList(): Answer {
    const data = this.#fleet.ranked.slice(0, MAX_GATEWAYS).map(({ address, score }) => ({
      ip: address.ip,
      port: address.port,
      ws_port: address.wsPort,
      zone: address.zone,
      score: Math.round(score * 10_000) / 10_000,
    }));
    if (data.length === 0) return errorAnswer('NO_GATEWAY', { retryAfterMs: NO_GATEWAY_RETRY_MS });
    return jsonAnswer('OK', 200, { code: 'OK', message: 'ok', data, stale: this.#fleet.stale });
  }

  /** Answers what is not HTTP, or too much of it, and ends the connection. */
  #refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const answer =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? errorAnswer('REQUEST_TOO_LARGE', { status: 431, details: { max: MAX_HEADER_BYTES } })
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? errorAnswer('DEADLINE_EXCEEDED', { status: 408 })
          : errorAnswer('ARGUMENT_INVALID', { details: { what: 'The HTTP request' } });
    this.#metrics.requested(answer.code);
    const headers = Object.entries({ ...answer.headers, connection: 'close' })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    socket.end(`HTTP/1.1 ${answer.status} ${answer.code}\r\n${headers}\r\n${answer.body.toString()}`, () =>
      socket.destroy(),
    );
  }
}

const HEALTHY = jsonAnswer('OK', 200, { code: 'OK', message: 'ok' });
