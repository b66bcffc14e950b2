/** WebSocket transport of one subprotocol. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { CATALOGUE, describe } from '../../common/mod.ts';
import type { Origin } from '../accept/address-limits.ts';
import { type Connection, Phase, type Transport } from '../connections/connection.ts';
import { NO_CLOSE_FRAME, wasCutOff } from './socket-ends.ts';
import type { Downlink } from '../push/downlink.ts';
import { MAX_HELLO_BYTES } from '../limits.ts';
import { cutSocket, type TransportEvents } from './transport.ts';
import type { WsWire } from './ws-wire.ts';

/** Longest reason of a close frame, RFC 6455 section 5.5.1. */
const MAX_REASON_BYTES = 123;
const NORMAL_CLOSURE = 1000;
/** Most bytes before authentication: upgrade, TLS and HELLO. ws itself would buffer a message of the maximum size. */
const MAX_EARLY_BYTES = 32_768;
/** Overhead of a chunk that ws keeps: the Buffer and its backing store. */
const CHUNK_BYTES = 320;

const CONNECTION = Symbol('connection');

interface ClientWebSocket extends WebSocket {
  [CONNECTION]?: Connection;
}

/** Returns whether ws has an unfinished message. */
type HasPart = (webSocket: WebSocket) => boolean;

interface ClientSocket extends Socket {
  [CONNECTION]?: Connection;
}

export class WsTransport implements Transport {
  readonly kind = 'ws';
  readonly #events: TransportEvents;
  readonly #wire: WsWire;
  readonly #maxFrameBytes: number;
  readonly #hasPart: HasPart | undefined;

  /** @param hasPart undefined: unfinished messages are not counted and have no deadline of their own */
  constructor(events: TransportEvents, wire: WsWire, maxFrameBytes: number, hasPart: HasPart | undefined) {
    this.#events = events;
    this.#wire = wire;
    this.#maxFrameBytes = maxFrameBytes;
    this.#hasPart = hasPart;
  }

  /** Accepts an open WebSocket. @param hello a HELLO from the URL; the socket is read once it is answered */
  open(
    webSocket: ClientWebSocket,
    socket: ClientSocket,
    origin: Origin | undefined,
    hello: Uint8Array | undefined,
  ): void {
    webSocket.on('error', onError);
    const connection = this.#events.onAccept(this, this.output(webSocket, socket), { webSocket, origin });
    if (connection === undefined) {
      this.#events.onSocketGone(origin);
      webSocket.terminate();
      return;
    }
    this.opened(connection);
    webSocket[CONNECTION] = connection;
    webSocket.on('message', onMessage);
    webSocket.on('ping', onPing);
    webSocket.on('pong', onPong);
    webSocket.on('close', onClose);
    socket[CONNECTION] = connection;
    // After ws, which has emitted the complete messages by then.
    socket.on('data', onBytes);
    if (hello === undefined || connection.phase !== Phase.HELLO) return;
    webSocket.pause();
    this.#events.onFrame(connection, hello);
  }

  /** Returns what the gateway writes to. */
  protected output(_webSocket: WebSocket, socket: Socket): Duplex {
    return socket;
  }

  /** The connection is made; nothing was read from it yet. */
  protected opened(_connection: Connection): void {}

  pack(frames: Downlink, owned: boolean): Buffer {
    return this.#wire.pack(frames, owned);
  }

  accept(connection: Connection): void {
    // The limit follows from the phase; see `receive`. A socket whose HELLO came with the URL was not read before.
    connection.webSocket?.resume();
  }

  end(connection: Connection): void {
    const said = connection.closed;
    // No code: the client has closed.
    const status =
      said === undefined
        ? NORMAL_CLOSURE
        : ((CATALOGUE[said.code] as { close?: number }).close ?? NORMAL_CLOSURE);
    const reason = said === undefined ? '' : describe(said);
    connection.webSocket?.close(status, reason.slice(0, MAX_REASON_BYTES));
    // An orderly end needs the client's close frame to be read.
    connection.webSocket?.resume();
  }

  destroy(connection: Connection): void {
    cutSocket(connection.socket as Socket);
  }

  pause(connection: Connection): void {
    connection.webSocket?.pause();
  }

  resume(connection: Connection): void {
    connection.webSocket?.resume();
  }

  receive(connection: Connection, message: Buffer, isBinary: boolean): void {
    const events = this.#events;
    // What follows in the same read is another message.
    if (connection.partialBytes > 0) events.onWhole(connection);
    events.onBytes(message.length);
    if (connection.phase >= Phase.CLOSING) return;
    const max = connection.phase === Phase.HELLO ? MAX_HELLO_BYTES : this.#maxFrameBytes;
    const frame = this.#wire.read(message, isBinary, max);
    if (frame instanceof Uint8Array) events.onFrame(connection, frame, message.length);
    else events.onFault(connection, frame, message.length);
    events.mustWait(connection);
  }

  /** @param status status of the client's close frame, RFC 6455 section 7.4 */
  gone(connection: Connection, status: number): void {
    this.#events.onSocketGone(connection.origin);
    this.#events.onGone(connection, status === NO_CLOSE_FRAME && wasCutOff(connection.socket));
  }

  /**
   * ws has read a chunk, and keeps all of it if a message is unfinished.
   *
   * @param bytesRead total of the socket, with the upgrade and TLS
   */
  taken(connection: Connection, chunk: Buffer, bytesRead: number): void {
    if (connection.phase < Phase.LIVE && bytesRead > MAX_EARLY_BYTES)
      this.#events.onFault(connection, { code: 'FRAME_TOO_LARGE', details: { max: MAX_HELLO_BYTES } }, 0);
    else if (this.#hasPart?.(connection.webSocket as WebSocket))
      this.#events.onPartial(connection, connection.partialBytes + chunk.length + CHUNK_BYTES);
    else if (connection.partialBytes > 0) this.#events.onWhole(connection);
  }

  pinged(connection: Connection, data: Buffer): void {
    if (this.#events.onControlFrame(connection, data.length)) connection.webSocket?.pong(data);
  }

  /** Handles an unsolicited pong, which is charged like a ping. */
  ponged(connection: Connection, data: Buffer): void {
    this.#events.onControlFrame(connection, data.length);
  }
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

function onBytes(this: ClientSocket, chunk: Buffer): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.taken(connection as Connection, chunk, this.bytesRead);
}

function onPing(this: ClientWebSocket, data: Buffer): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.pinged(connection as Connection, data);
}

function onPong(this: ClientWebSocket, data: Buffer): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.ponged(connection as Connection, data);
}

function onClose(this: ClientWebSocket, status: number): void {
  const connection = this[CONNECTION];
  (connection?.transport as WsTransport | undefined)?.gone(connection as Connection, status);
}

function onError(): void {
  // ECONNRESET, EPIPE, a malformed WebSocket frame: 'close' follows and is handled.
}
