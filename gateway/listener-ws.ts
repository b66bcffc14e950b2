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
import { CATALOGUE, type CodeWithDetails, describe } from '../common/mod.ts';
import { client, encodeFrame, FrameType, LENGTH_BYTES, PROTOCOL_VERSION } from '../proto/mod.ts';
import { retryAfter } from './answers.ts';
import { Door, type TlsMaterial, type Visit } from './door.ts';
import { CLOSE_LINGER_MS } from './limits.ts';
import type { Listener, ListenOptions, TransportEvents } from './transport.ts';
import type { PortOptions } from './transport-tcp.ts';
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

const VISIT = Symbol('visit');

interface ClientSocket extends Duplex {
  /** How it came in, until it is a connection. */
  [VISIT]?: Visit | undefined;
}

export class WsListener implements Listener {
  readonly #door: Door;
  /** Reads the requests of sockets that the door hands it; it does not listen itself. */
  readonly #http: Server;
  readonly #ws: WebSocketServer;
  readonly #proto: WsTransport;
  readonly #json: WsTransport;

  constructor(events: TransportEvents, maxFrameBytes: number, options: PortOptions) {
    this.#proto = new WsTransport(events, protoWire, maxFrameBytes);
    const jsonWire = new JsonWire((error) => events.onUntranslatable(error));
    this.#json = new WsTransport(events, jsonWire, maxFrameBytes);
    this.#door = new Door(events, {
      ...options,
      tell: sayCode,
      onEnter: (socket: ClientSocket, visit) => {
        socket[VISIT] = visit;
        this.#http.emit('connection', socket);
      },
    });
    this.#http = createServer({ maxHeaderSize: MAX_UPGRADE_HEADER_BYTES }, refuseRequest);
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
      // Of ws itself, which ends the socket without RST; ours comes first.
      closeTimeout: 2 * CLOSE_LINGER_MS,
    } as ConstructorParameters<typeof WebSocketServer>[0]);
  }

  listen(options: ListenOptions): Promise<number> {
    return this.#door.listen(options);
  }

  setTls(material: TlsMaterial): void {
    this.#door.setTls(material);
  }

  setMaxSockets(count: number): void {
    this.#door.setMaxSockets(count);
  }

  close(): void {
    this.#door.close();
  }

  #upgrade(request: IncomingMessage, socket: ClientSocket, head: Buffer): void {
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
        const origin = this.#door.admit(socket[VISIT] as Visit);
        socket[VISIT] = undefined;
        transport.open(webSocket, socket as Socket, origin, helloOf(query));
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

/** Says a code of the catalogue to a client that has not asked for anything yet. */
function sayCode(said: CodeWithDetails): string {
  const { code } = said;
  const { http, retryable } = CATALOGUE[code];
  const seconds = Math.ceil(retryAfter(code) / 1000);
  return httpAnswer(http, describe(said), retryable && seconds > 0 ? `Retry-After: ${seconds}\r\n` : '');
}

/** @param headers further ones, each with its CRLF */
function httpAnswer(status: number, text: string, headers = ''): string {
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `${headers}Content-Length: ${Buffer.byteLength(text) + 1}\r\n\r\n${text}\n`
  );
}
