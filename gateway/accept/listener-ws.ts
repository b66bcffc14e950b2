/** The WebSocket port: upgrades HTTP requests and passes the sockets to the transport of their subprotocol. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import {
  answerText,
  answerUnhandled,
  answerUnreadable,
  answerWith,
  CATALOGUE,
  type CodeWithDetails,
  endWith,
  GochatError,
  type HttpRefusal,
  type Logger,
  methodNotAllowed,
  openWsReceiver,
  refuseMissingHost,
  refuseRequest,
  type TrustedProxies,
} from '../../common/mod.ts';
import {
  client,
  encodeFrame,
  FrameType,
  JSON_FACTOR,
  LENGTH_BYTES,
  PROTOCOL_VERSION,
} from '../../proto/mod.ts';
import { retryAfter } from '../route/answers.ts';
import { Acceptor, type PendingSocket } from './acceptor.ts';
import { CLOSE_LINGER_MS } from '../limits.ts';
import type { TransportEvents } from '../wire/transport.ts';
import type { PortOptions } from '../wire/transport-tcp.ts';
import { SimpleTransport } from '../wire/transport-simple.ts';
import { WsTransport } from '../wire/transport-ws.ts';
import { JsonWire } from '../wire/ws-wire-json.ts';
import { protoWire } from '../wire/ws-wire-proto.ts';

/** The subprotocol of binary frames. */
export const WS_PROTO = 'gochat.v2.proto';
/** The subprotocol of JSON objects. */
export const WS_JSON = 'gochat.v2.json';

const PATHS = new Set(['/', '/ws']);
/** The WebSocket version of RFC 6455. */
const VERSION = '13';
/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const MAX_UPGRADE_HEADER_BYTES = 8192;
/** Most fragments of a message: a message is one frame, so fragments are rarely useful. */
const MAX_FRAGMENTS = 256;

const PENDING = Symbol('pending');

interface ClientSocket extends Duplex {
  /** Set until the socket is a connection. */
  [PENDING]?: PendingSocket | undefined;
}

export interface WsListenerOptions extends PortOptions {
  /** Proxies whose headers name the client's address. */
  readonly trusted: TrustedProxies;
  readonly logger: Logger;
}

export class WsListener {
  readonly acceptor: Acceptor;
  readonly #events: TransportEvents;
  readonly #proxies: TrustedProxies;
  /** Reads the requests of the sockets that the acceptor passes to it; it does not listen itself. */
  readonly #http: Server;
  readonly #ws: WebSocketServer;
  readonly #proto: WsTransport;
  readonly #json: WsTransport;
  readonly #simple: WsTransport;

  constructor(events: TransportEvents, maxFrameBytes: number, options: WsListenerOptions) {
    const { trusted: proxies, logger } = options;
    this.#events = events;
    this.#proxies = proxies;
    this.acceptor = new Acceptor(events, {
      ...options,
      isProxy: (address) => proxies.has(address),
      explain: (refusal) => answerText(refuse(refusal)),
      onClient: (socket: ClientSocket, pending) => {
        socket[PENDING] = pending;
        this.#http.emit('connection', socket);
      },
    });
    this.#http = createServer(
      { maxHeaderSize: MAX_UPGRADE_HEADER_BYTES, requireHostHeader: false },
      answerRequest,
    );
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http.on('clientError', (error, socket) =>
      answerUnreadable(error, socket, MAX_UPGRADE_HEADER_BYTES),
    );
    answerUnhandled(this.#http);
    this.#ws = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // Pongs are charged to the client's budget and sent only while it reads.
      autoPong: false,
      maxFragments: MAX_FRAGMENTS,
      // Slightly larger frames still get our CLOSE; ws ends far larger ones with status 1009.
      maxPayload: JSON_FACTOR * (maxFrameBytes + LENGTH_BYTES),
      handleProtocols: (offered: Set<string>) => choose(offered) ?? false,
      // The timeout of ws, which ends the socket without RST. Ours is shorter.
      closeTimeout: 2 * CLOSE_LINGER_MS,
    } as ConstructorParameters<typeof WebSocketServer>[0]);
    const hasPart = openWsReceiver(this.#ws, logger);
    this.#proto = new WsTransport(events, protoWire, maxFrameBytes, hasPart);
    const jsonWire = new JsonWire((error) => events.onDecodeError(error));
    this.#json = new WsTransport(events, jsonWire, maxFrameBytes, hasPart);
    this.#simple = new SimpleTransport(events, maxFrameBytes, hasPart);
  }

  #upgrade(request: IncomingMessage, socket: ClientSocket, head: Buffer): void {
    const { path, query } = parseUrl(request.url ?? '/');
    const pending = socket[PENDING] as PendingSocket;
    const refusal = refuseHandshake(request, path, query) ?? this.#refuseAddress(request, pending);
    if (refusal !== undefined) {
      endWith(socket, refusal);
      return;
    }
    this.#ws.handleUpgrade(request, socket, head, (webSocket) => {
      const transport = this.#transportOf(webSocket.protocol);
      const origin = this.acceptor.admit(pending);
      socket[PENDING] = undefined;
      transport.open(webSocket, socket as Socket, origin, helloOf(query));
    });
  }

  /** @param protocol empty: none, the simple forms */
  #transportOf(protocol: string): WsTransport {
    if (protocol === '') return this.#simple;
    return protocol === WS_PROTO ? this.#proto : this.#json;
  }

  /** Counts a connection through a proxy against the client; all others have been counted already. */
  #refuseAddress(request: IncomingMessage, pending: PendingSocket): HttpRefusal | undefined {
    if (pending.counted) return undefined;
    const client = this.#proxies.client(pending.address, String(request.headers['x-forwarded-for'] ?? ''));
    if (this.acceptor.count(pending, client)) return undefined;
    this.#events.onRejected('ADDRESS_LIMITED');
    return refuse({ code: 'ADDRESS_LIMITED' });
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

/** Returns the HELLO made from a query, undefined without a token. It holds the token: never log it. */
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

/** Returns the refusal of a request that is not a valid opening handshake (RFC 6455 section 4.2.1) for this port. */
function refuseHandshake(
  request: IncomingMessage,
  path: string,
  query: URLSearchParams,
): HttpRefusal | undefined {
  const { headers, httpVersion } = request;
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  if (httpVersion !== '1.1') return refuseRequest('A WebSocket over HTTP/1.0');
  const refused = refuseMissingHost(request) ?? refuseTarget(request, path);
  if (refused !== undefined) return refused;
  if (headers.upgrade?.toLowerCase() !== 'websocket' || headers['sec-websocket-version'] !== VERSION)
    return upgradeRequired();
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) return refuseRequest('The header Sec-WebSocket-Key');
  if (offered.length > 0 && choose(new Set(offered)) === undefined)
    return refuse({ code: 'SUBPROTOCOL_MISSING' });
  if (query.has('room_id') && !query.has('token'))
    return refuseRequest('A room_id without a token beside it');
  return undefined;
}

function refuseTarget(request: IncomingMessage, path: string): HttpRefusal | undefined {
  const { method } = request;
  if (!PATHS.has(path)) return refuse({ code: 'ROUTE_NOT_FOUND', details: { name: `${method} ${path}` } });
  return method === 'GET' || method === 'HEAD' ? undefined : methodNotAllowed(request, path, 'GET');
}

/** Answers a request without an upgrade. */
function answerRequest(request: IncomingMessage, response: ServerResponse): void {
  const { path } = parseUrl(request.url ?? '/');
  const refusal = refuseMissingHost(request) ?? refuseTarget(request, path) ?? upgradeRequired();
  response.shouldKeepAlive = false;
  answerWith(response, refusal);
}

/** RFC 6455 section 4.2.2 and RFC 9110 section 15.5.22. */
function upgradeRequired(): HttpRefusal {
  return {
    error: new GochatError('UPGRADE_REQUIRED'),
    headers: ['upgrade', 'websocket', 'connection', 'upgrade, close', 'sec-websocket-version', VERSION],
  };
}

/** Returns a refusal with a code of the catalogue and a retry hint. */
function refuse(said: CodeWithDetails): HttpRefusal {
  const retryAfterMs = CATALOGUE[said.code].retryable ? retryAfter(said.code) : 0;
  return { error: GochatError.of(said, retryAfterMs > 0 ? { retryAfterMs } : {}) };
}
