/** The same frames in binary WebSocket messages: one a message from the client, any number from the server. */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { CATALOGUE, describe } from '../common/mod.ts';
import { HEADER_BYTES, LENGTH_BYTES, readU32 } from '../proto/mod.ts';
import { retryAfter } from './answers.ts';
import type { Origin } from './address-limits.ts';
import { type Connection, Phase } from './connection.ts';
import { type Downlink, fillFrames } from './fanout.ts';
import { CLOSE_LINGER_MS, MAX_HELLO_BYTES, TCP_KEEPALIVE_MS } from './limits.ts';
import { listen, type ListenOptions, type Transport, type TransportEvents } from './transport.ts';

/** The subprotocol of binary frames. */
export const WS_SUBPROTOCOL = 'gochat.v1.proto';
const PATHS = new Set(['/', '/ws']);
/** Longest reason of a close frame, RFC 6455 section 5.5.1. */
const MAX_REASON_BYTES = 123;
const MAX_UPGRADE_HEADER_BYTES = 8192;
const NORMAL_CLOSURE = 1000;
/** A message is one frame: there is little reason to cut it into pieces. */
const MAX_FRAGMENTS = 256;
const BINARY_FIN = 0x82;

const CONNECTION = Symbol('connection');
const ORIGIN = Symbol('origin');
const TRANSPORT = Symbol('transport');

interface ClientWebSocket extends WebSocket {
  [CONNECTION]?: Connection;
}

interface ClientSocket extends Socket {
  [ORIGIN]?: Origin | undefined;
  [TRANSPORT]?: WsTransport;
}

export interface WsTransportOptions {
  readonly maxFrameBytes: number;
  /** Deadline of the upgrade request, ms. */
  readonly helloTimeoutMs: number;
  /** Most sockets, those that have not asked for the upgrade yet included. */
  readonly maxSockets: number;
}

export class WsTransport implements Transport {
  readonly kind = 'ws';
  readonly #events: TransportEvents;
  readonly #maxFrameBytes: number;
  readonly #http: Server;
  readonly #ws: WebSocketServer;

  constructor(events: TransportEvents, options: WsTransportOptions) {
    this.#events = events;
    this.#maxFrameBytes = options.maxFrameBytes;
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
      maxPayload: 2 * (options.maxFrameBytes + LENGTH_BYTES),
      handleProtocols: () => WS_SUBPROTOCOL,
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

  pack(frames: Downlink): Buffer {
    if (frames.message !== undefined) return frames.message;
    const length = frames.bytes;
    const headBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    const message = Buffer.allocUnsafe(headBytes + length);
    message[0] = BINARY_FIN;
    if (headBytes === 2) message[1] = length;
    else if (headBytes === 4) {
      message[1] = 126;
      message.writeUInt16BE(length, 2);
    } else {
      message[1] = 127;
      message.writeUInt32BE(0, 2);
      message.writeUInt32BE(length, 6);
    }
    fillFrames(frames, message, message.length);
    frames.message = message;
    return message;
  }

  accept(): void {
    // The limit follows from the connection's phase; see #receive.
  }

  end(connection: Connection): void {
    const code = connection.closeCode;
    // Without a code it is the client's goodbye.
    const status =
      code === undefined ? NORMAL_CLOSURE : ((CATALOGUE[code] as { close?: number }).close ?? NORMAL_CLOSURE);
    const reason = code === undefined ? '' : describe(code);
    connection.webSocket?.close(status, reason.slice(0, MAX_REASON_BYTES));
  }

  destroy(connection: Connection): void {
    connection.webSocket?.terminate();
  }

  pause(connection: Connection): void {
    connection.webSocket?.pause();
  }

  resume(connection: Connection): void {
    connection.webSocket?.resume();
  }

  receive(connection: Connection, message: Buffer, isBinary: boolean): void {
    const events = this.#events;
    events.onBytes(message.length);
    const max = connection.phase === Phase.HELLO ? MAX_HELLO_BYTES : this.#maxFrameBytes;
    if (!isBinary) events.onFault(connection, 'FRAME_INVALID');
    else if (message.length - LENGTH_BYTES > max) events.onFault(connection, 'FRAME_TOO_LARGE', { max });
    else if (message.length < HEADER_BYTES) events.onFault(connection, 'FRAME_TOO_SHORT');
    else if (readU32(message, 0) !== message.length - LENGTH_BYTES)
      events.onFault(connection, 'FRAME_INVALID');
    else events.onFrame(connection, message);
    if (events.isCongested()) {
      connection.webSocket?.pause();
      events.onHeldBack(connection);
    }
  }

  gone(connection: Connection): void {
    this.#events.onGone(connection);
  }

  pinged(connection: Connection, data: Buffer): void {
    if (this.#events.onSideFrame(connection, data.length)) connection.webSocket?.pong(data);
  }

  socketGone(origin: Origin | undefined): void {
    this.#events.onSocketGone(origin);
  }

  /** Counts a socket before HTTP reads from it. */
  #meet(socket: ClientSocket): void {
    const origin = this.#events.onSocket(socket.remoteAddress ?? '');
    if (typeof origin !== 'string') {
      socket[ORIGIN] = origin;
      socket[TRANSPORT] = this;
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
    const path = (request.url ?? '/').split('?', 1)[0] as string;
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!PATHS.has(path)) refuseUpgrade(socket, 404, 'There is no WebSocket here; use / or /ws.');
    else if (!offered.includes(WS_SUBPROTOCOL))
      refuseUpgrade(socket, 400, `Offer the WebSocket subprotocol ${WS_SUBPROTOCOL}.`);
    else
      this.#ws.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, socket as Socket));
  }

  #open(webSocket: ClientWebSocket, socket: Socket): void {
    webSocket.on('error', onError);
    const { [ORIGIN]: origin } = socket as ClientSocket;
    const connection = this.#events.onAccept(this, socket, { webSocket, origin });
    if (connection === undefined) {
      webSocket.terminate();
      return;
    }
    webSocket[CONNECTION] = connection;
    webSocket.on('message', onMessage);
    webSocket.on('ping', onPing);
    webSocket.on('close', onClose);
  }
}

function refuseRequest(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`This port speaks WebSocket, subprotocol ${WS_SUBPROTOCOL}.\n`);
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

// One function for all sockets, so that a connection has no closure of its own.

function onMessage(this: ClientWebSocket, data: RawData, isBinary: boolean): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.receive(
    connection as Connection,
    data as Buffer,
    isBinary,
  );
}

function onPing(this: ClientWebSocket, data: Buffer): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.pinged(connection as Connection, data);
}

function onSocketClose(this: ClientSocket): void {
  this[TRANSPORT]?.socketGone(this[ORIGIN]);
}

function onClose(this: ClientWebSocket): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.gone(connection as Connection);
}

function onError(): void {
  // ECONNRESET, EPIPE, a malformed WebSocket frame: 'close' follows, and that is what counts.
}
