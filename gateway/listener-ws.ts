/** The WebSocket port: upgrades HTTP requests and hands the sockets to the transport of their subprotocol. */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { describe } from '../common/mod.ts';
import { client, encodeFrame, FrameType, LENGTH_BYTES, PROTOCOL_VERSION } from '../proto/mod.ts';
import type { Origin } from './address-limits.ts';
import { retryAfter } from './answers.ts';
import { CLOSE_LINGER_MS, TCP_KEEPALIVE_MS } from './limits.ts';
import { listen, type Listener, type ListenOptions, type TransportEvents } from './transport.ts';
import { WsTransport } from './transport-ws.ts';
import { JsonWire } from './ws-wire-json.ts';
import { protoWire } from './ws-wire-proto.ts';

/** The subprotocol of binary frames. */
export const WS_PROTO = 'gochat.v1.proto';
/** The subprotocol of JSON objects; also spoken with clients that name none. */
export const WS_JSON = 'gochat.v1.json';

const PATHS = new Set(['/', '/ws']);
const MAX_UPGRADE_HEADER_BYTES = 8192;
/** A message is one frame: there is little reason to cut it into pieces. */
const MAX_FRAGMENTS = 256;

const ORIGIN = Symbol('origin');
const LISTENER = Symbol('listener');

interface ClientSocket extends Socket {
  [ORIGIN]?: Origin | undefined;
  [LISTENER]?: WsListener;
}

export interface WsListenerOptions {
  readonly maxFrameBytes: number;
  /** Deadline of the upgrade request, ms. */
  readonly helloTimeoutMs: number;
  /** Most sockets, those that have not asked for the upgrade yet included. */
  readonly maxSockets: number;
}

export class WsListener implements Listener {
  readonly #events: TransportEvents;
  readonly #http: Server;
  readonly #ws: WebSocketServer;
  readonly #proto: WsTransport;
  readonly #json: WsTransport;

  constructor(events: TransportEvents, options: WsListenerOptions) {
    this.#events = events;
    const { maxFrameBytes } = options;
    this.#proto = new WsTransport(events, protoWire, maxFrameBytes);
    const jsonWire = new JsonWire((error) => events.onUntranslatable(error));
    this.#json = new WsTransport(events, jsonWire, maxFrameBytes);
    this.#http = createServer(
      {
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEPALIVE_MS,
        maxHeaderSize: MAX_UPGRADE_HEADER_BYTES,
        headersTimeout: options.helloTimeoutMs,
        requestTimeout: options.helloTimeoutMs,
        connectionsCheckingInterval: Math.min(1000, options.helloTimeoutMs),
      },
      refuseRequest,
    );
    this.#http.maxConnections = options.maxSockets;
    this.#http.prependListener('connection', (socket) => this.#meet(socket));
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#ws = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // Pongs go by the client's budget and only while it reads.
      autoPong: false,
      maxFragments: MAX_FRAGMENTS,
      // Somewhat larger frames still get our CLOSE; far larger ones are cut by ws with status 1009.
      maxPayload: 2 * (maxFrameBytes + LENGTH_BYTES),
      handleProtocols: (offered: Set<string>) => choose(offered) ?? false,
      closeTimeout: CLOSE_LINGER_MS,
    } as ConstructorParameters<typeof WebSocketServer>[0]);
  }

  listen(options: ListenOptions): Promise<number> {
    return listen(this.#http, options, (error) => this.#events.onAcceptError(error));
  }

  close(): void {
    this.#http.close();
    // Those that have not asked for the upgrade yet; the others are no longer HTTP's.
    this.#http.closeAllConnections();
  }

  socketGone(origin: Origin | undefined): void {
    this.#events.onSocketGone(origin);
  }

  /** Counts a socket before HTTP reads from it. */
  #meet(socket: ClientSocket): void {
    const origin = this.#events.onSocket(socket.remoteAddress ?? '');
    if (typeof origin !== 'string') {
      socket[ORIGIN] = origin;
      socket[LISTENER] = this;
      socket.on('close', onSocketClose);
      return;
    }
    socket.on('error', onError);
    if (!this.#events.mayTell()) {
      socket.resetAndDestroy();
      return;
    }
    const seconds = Math.ceil(retryAfter('ADDRESS_LIMITED') / 1000);
    socket.write(httpAnswer(429, describe('ADDRESS_LIMITED'), `Retry-After: ${seconds}\r\n`));
    socket.destroySoon();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', onError);
    const { path, query } = parseUrl(request.url ?? '/');
    const header = request.headers['sec-websocket-protocol'] ?? '';
    const offered = header === '' ? [] : header.split(',').map((name) => name.trim());
    if (!PATHS.has(path)) refuseUpgrade(socket, 404, 'There is no WebSocket here; use / or /ws.');
    else if (offered.length > 0 && choose(new Set(offered)) === undefined)
      refuseUpgrade(socket, 400, `Offer the WebSocket subprotocol ${WS_PROTO} or ${WS_JSON}.`);
    else if (query.has('room_id') && !query.has('token'))
      refuseUpgrade(socket, 400, 'room_id needs a token beside it.');
    else
      this.#ws.handleUpgrade(request, socket, head, (webSocket) => {
        const transport = webSocket.protocol === WS_PROTO ? this.#proto : this.#json;
        transport.open(webSocket, socket as Socket, (socket as ClientSocket)[ORIGIN], helloOf(query));
      });
  }
}

function choose(offered: ReadonlySet<string>): string | undefined {
  return [WS_PROTO, WS_JSON].find((name) => offered.has(name));
}

function parseUrl(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = url.indexOf('?');
  if (at < 0) return { path: url, query: new URLSearchParams() };
  return { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}

/** Makes the HELLO that a query stands for; without a token there is none. It holds the token: never log it. */
function helloOf(query: URLSearchParams): Uint8Array | undefined {
  const token = query.get('token');
  if (token === null) return undefined;
  const hello = client.Hello.fromPartial({
    versionMin: PROTOCOL_VERSION,
    versionMax: PROTOCOL_VERSION,
    token,
    device: query.get('device') ?? '',
    room: query.get('room_id') ?? '',
    ticket: query.get('ticket') ?? '',
  });
  return encodeFrame(FrameType.HELLO, 0, 0n, client.Hello.encode(hello).finish());
}

function refuseRequest(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`This port speaks WebSocket, subprotocol ${WS_PROTO} or ${WS_JSON}.\n`);
}

function refuseUpgrade(socket: Duplex, status: number, text: string): void {
  socket.end(httpAnswer(status, text));
}

/** @param headers further ones, each with its CRLF */
function httpAnswer(status: number, text: string, headers = ''): string {
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `${headers}Content-Length: ${Buffer.byteLength(text) + 1}\r\n\r\n${text}\n`
  );
}

function onSocketClose(this: ClientSocket): void {
  this[LISTENER]?.socketGone(this[ORIGIN]);
}

function onError(): void {
  // ECONNRESET and the like: 'close' follows, and that is what counts.
}
