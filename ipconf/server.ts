/** The ipconf server: tells clients over HTTP which gateways to connect to. */
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  addressKey,
  type AdminHandler,
  Cors,
  createHttpServer,
  listenAt,
  type Logger,
  methodNotAllowed,
  once,
  pathOf,
  RateLimit,
  refuseExpectation,
  refuseUnreadable,
  resetSocket,
  type Server,
  type ServerCertificate,
  TICKET_KEY,
  TrustedProxies,
} from '../common/mod.ts';
import type { Endpoint, Registry } from '../crpc/mod.ts';
import { errorAnswer, refusalAnswer, toAscii, write, writeLast, type Answer } from './answer.ts';
import { ConnectionLimit } from './connection-limit.ts';
import { explain } from './explain.ts';
import { Fleet } from './fleet.ts';
import { List } from './list.ts';
import { IpconfMetrics } from './metrics.ts';
import { Placement } from './placement.ts';
import { Presence } from './presence.ts';
import { refuseFlood, route, type RoutesOptions } from './routes.ts';
import { Source } from './source.ts';
import { TicketIssuer } from './ticket.ts';

/** Largest request headers; a browser behind proxies stays below. Bytes. */
const MAX_HEADER_BYTES = 8192;
/** Interval at which time-dependent figures are updated: ages, credit, hints. ms. */
const TICK_MS = 100;
const SWEEP_MS = 10_000;
/** Retry hint for an address with too many connections: idle ones end by then. ms. */
const ADDRESS_RETRY_MS = 5_000;

export interface IpconfOptions {
  /** @default 'ipconf' */
  readonly name?: string;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 takes a free one. @default 6789 */
  readonly port?: number;
  /** Command-line flag of the port, for errors. @default '--port' */
  readonly portFlag?: string;
  /** Certificate of the port; undefined: no TLS. */
  readonly certificate?: ServerCertificate | undefined;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Most connections; further ones are closed on arrival. @default 10_000 */
  readonly maxConnections?: number;
  /** Most connections of one address; 0: no limit. Trusted proxies have none. @default 3_000 */
  readonly maxConnectionsPerAddress?: number;
  /** Requests per second of one address; 0: no limit. @default 1_000 */
  readonly ratePerSecond?: number;
  /** Burst of one address, requests: a whole network behind one address reconnects. @default 3_000 */
  readonly rateBurst?: number;
  /** Proxies whose X-Forwarded-For is believed; see TrustedProxies. @default '' none */
  readonly trustProxy?: string;
  /** Origins of web pages that may call; see Cors. @default '' none */
  readonly corsOrigins?: string;
  /** Whether to sign tickets for requests with a uid. @default false */
  readonly tickets?: boolean;
}

/** Serves /ip/list from a live view of the gateways. */
export class IpconfServer implements Server {
  readonly name: string;
  readonly #id = randomUUID();
  readonly #options: IpconfOptions;
  readonly #host: string;
  readonly #logger: Logger;
  readonly #http: HttpServer;
  readonly #source: Source;
  readonly #fleet = new Fleet();
  readonly #placement = new Placement(this.#fleet);
  readonly #limit: RateLimit;
  readonly #proxies: TrustedProxies;
  readonly #cors: Cors;
  readonly #connections: ConnectionLimit;
  readonly #metrics: IpconfMetrics;
  #routes: RoutesOptions | undefined;
  #tickets: TicketIssuer | undefined;
  #list: List | undefined;
  #timers: NodeJS.Timeout[] = [];
  #presence: Presence | undefined;
  #address = '';
  #draining = false;

  constructor(options: IpconfOptions) {
    this.name = options.name ?? 'ipconf';
    this.#options = options;
    this.#host = options.host ?? '127.0.0.1';
    this.#logger = options.logger;
    this.#limit = new RateLimit({
      perSecond: options.ratePerSecond ?? 1_000,
      burst: options.rateBurst ?? 3_000,
    });
    this.#proxies = new TrustedProxies(options.trustProxy ?? '');
    this.#cors = new Cors(options.corsOrigins ?? '');
    this.#connections = new ConnectionLimit(options.maxConnectionsPerAddress ?? 3_000);
    this.#metrics = new IpconfMetrics(this.#fleet, this.#placement);
    this.#source = new Source(options.registry, {
      onGateways: (snapshot) => {
        // Changes of figures wait for the next tick: with a thousand gateways there are always some.
        if (this.#fleet.update(snapshot, performance.now())) this.#tick();
      },
      onNodes: (nodes) => {
        this.#placement.nodes = Math.max(1, nodes);
      },
    });
    this.#http = createHttpServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        headersTimeout: 5_000,
        requestTimeout: 10_000,
        keepAliveTimeout: 30_000,
        connectionsCheckingInterval: 2_000,
        // A GET has no body, and reading none as a stream cost a sixth of a request's time.
        optimizeEmptyRequests: true,
        // Node would answer without an error code.
        requireHostHeader: false,
      },
      options.certificate,
      (request, response) => this.#answer(request, response),
    );
    this.#http.maxConnections = options.maxConnections ?? 10_000;
    this.#http.on('connection', (socket) => this.#accept(socket));
    this.#http.on('clientError', (error, socket) => this.#refuse(error, socket));
    this.#http.on('connect', (request, socket) =>
      this.#end(socket, refusalAnswer(methodNotAllowed(request, pathOf(request), 'GET'))),
    );
    this.#http.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
      this.#write(
        request,
        response,
        refuseFlood(addressKey(this.#proxies.clientOf(request)), this.#limit) ??
          refusalAnswer(refuseExpectation()),
      ),
    );
  }

  /** Listening address, host:port, once started. */
  get address(): string {
    return this.#address;
  }

  /** Serves each gateway's reports, score and credit; for the admin port, at /ip/explain. */
  readonly explain: AdminHandler = (_request, response) => {
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(toAscii(explain(this.#fleet, this.#placement.nodes, performance.now())));
  };

  readonly start = once(async () => {
    if (this.#options.tickets) this.#tickets = await TicketIssuer.create(this.#id);
    const list = new List(this.#fleet, this.#placement, this.#tickets, performance.now());
    this.#list = list;
    this.#routes = { list, limit: this.#limit, proxies: this.#proxies, cors: this.#cors };
    const { port = 6789, portFlag = '--port' } = this.#options;
    const place = { host: this.#host, port, flag: portFlag };
    this.#address = await listenAt(this.#http, place, this.#logger);
    this.#source.start();
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#limit.sweep(performance.now()), SWEEP_MS),
    ];
    this.#presence = new Presence(this.#options.registry, this.#endpoint(), this.#logger);
    await this.#presence.register();
    this.#logger.info({ address: this.#address }, 'ipconf listens');
  });

  async drain(deadlineMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    await this.#presence?.close();
    if (!this.#http.listening) return;
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeIdleConnections();
    const deadline = setTimeout(() => this.#http.closeAllConnections(), deadlineMs);
    await closed;
    clearTimeout(deadline);
  }

  readonly stop = once(async () => {
    this.#source.close();
    for (const timer of this.#timers) clearInterval(timer);
    this.#metrics.close();
    await this.#presence?.close();
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
    if (!this.#fleet.known) return 'the registry has not answered yet';
    if (this.#tickets && this.#presence?.isRegistered !== true)
      return 'registry: gateways do not know the key of the tickets yet';
    return undefined;
  }

  #tick(): void {
    const now = performance.now();
    this.#fleet.tick(now);
    this.#list?.tick(now);
  }

  /** The registry entry: it lets ipconf nodes count each other, and gives gateways the ticket key. */
  #endpoint(): Endpoint {
    return {
      id: this.#id,
      address: this.#address,
      weight: 1,
      zone: '',
      version: '',
      metadata: {
        name: this.name,
        ...(this.#tickets ? { [TICKET_KEY]: JSON.stringify(this.#tickets.publicKey) } : {}),
      },
      load: {},
    };
  }

  /** Counts a connection, or ends it if its address has too many; a proxy's connections are not counted. */
  #accept(socket: Socket): void {
    const peer = socket.remoteAddress ?? '';
    if (this.#proxies.has(peer)) return;
    const address = addressKey(peer);
    if (this.#connections.enter(address)) socket.once('close', () => this.#connections.leave(address));
    else if (this.#options.certificate === undefined)
      this.#end(socket, errorAnswer('ADDRESS_LIMITED', { retryAfterMs: ADDRESS_RETRY_MS }));
    else {
      // Before the handshake it could not read an answer.
      this.#metrics.requested('ADDRESS_LIMITED');
      resetSocket(socket);
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#routes) {
      this.#write(request, response, errorAnswer('NO_GATEWAY'));
      return;
    }
    const answer = route(request, this.#routes);
    if (answer instanceof Promise) {
      const { socket } = request;
      answer.then(
        (settled) => {
          // Otherwise it has timed out or ended early, and was answered.
          if (!socket.writableEnded) this.#write(request, response, settled);
        },
        (error: unknown) => {
          this.#logger.error({ err: error }, 'request failed');
          this.#write(request, response, errorAnswer('INTERNAL'));
        },
      );
    } else this.#write(request, response, answer);
  }

  #write(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    this.#metrics.requested(answer.code);
    const { method } = request;
    // The rest of a refused body is not read. Node skips a body that comes with GET.
    if (this.#draining || (method !== 'GET' && isBodyLeft(request))) response.shouldKeepAlive = false;
    const cors = method === 'OPTIONS' ? [] : this.#cors.headers(request.headers.origin);
    write(response, answer, method === 'HEAD', cors);
  }

  /** Answers malformed or oversized HTTP and ends the connection. */
  #refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
    const refusal = refuseUnreadable(error, socket, MAX_HEADER_BYTES);
    if (refusal) this.#end(socket, refusalAnswer(refusal));
    else socket.destroy();
  }

  #end(socket: Duplex, answer: Answer): void {
    this.#metrics.requested(answer.code);
    writeLast(socket, answer);
  }
}

/** Returns whether part of the body has not come; `complete` is also false if there is no body. */
function isBodyLeft({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined);
}
