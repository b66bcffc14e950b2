/** Frames back to back on raw TCP. */
import { createServer, type Server, type Socket } from 'node:net';
import { FrameParser } from '../proto/mod.ts';
import { closeFrame } from './answers.ts';
import { type Connection, Phase } from './connection.ts';
import { type Downlink, joinFrames } from './fanout.ts';
import { MAX_HELLO_BYTES, TCP_KEEPALIVE_MS } from './limits.ts';
import {
  listen,
  type Listener,
  type ListenOptions,
  type Transport,
  type TransportEvents,
} from './transport.ts';

const CONNECTION = Symbol('connection');

interface ClientSocket extends Socket {
  [CONNECTION]?: Connection;
}

export class TcpTransport implements Transport, Listener {
  readonly kind = 'tcp';
  readonly #events: TransportEvents;
  readonly #server: Server;
  /** The connection whose bytes are being parsed. */
  #reading: Connection | undefined;

  constructor(events: TransportEvents) {
    this.#events = events;
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS },
      (socket) => this.#accept(socket),
    );
  }

  listen(options: ListenOptions): Promise<number> {
    return listen(this.#server, options, (error) => this.#events.onAcceptError(error));
  }

  close(): void {
    this.#server.close();
  }

  pack(frames: Downlink, owned: boolean): Buffer {
    return joinFrames(frames, owned);
  }

  accept(connection: Connection, maxFrameBytes: number): void {
    if (connection.parser) connection.parser.maxFrameBytes = maxFrameBytes;
  }

  end(connection: Connection): void {
    connection.socket.end();
  }

  destroy(connection: Connection): void {
    connection.socket.destroy();
  }

  pause(connection: Connection): void {
    connection.socket.pause();
  }

  resume(connection: Connection): void {
    connection.socket.resume();
  }

  /** Takes what the socket has read. */
  receive(connection: Connection, chunk: Buffer): void {
    const parser = connection.parser;
    if (parser === undefined || connection.phase >= Phase.CLOSING) return;
    if (this.#events.isCongested()) {
      // Back into the socket's own, bounded buffer: it comes again on resume.
      connection.socket.pause();
      connection.socket.unshift(chunk);
      this.#events.onHeldBack(connection);
      return;
    }
    this.#events.onBytes(chunk.length);
    this.#reading = connection;
    const fault = parser.push(chunk, this.#onFrame);
    this.#reading = undefined;
    if (fault) this.#events.onFault(connection, fault, { max: parser.maxFrameBytes });
    else if (parser.pendingBytes > 0) this.#events.onPartial(connection);
  }

  gone(connection: Connection): void {
    this.#events.onSocketGone(connection.origin);
    this.#events.onGone(connection);
  }

  readonly #onFrame = (frame: Uint8Array): boolean =>
    this.#events.onFrame(this.#reading as Connection, frame);

  #accept(socket: ClientSocket): void {
    // Before anything else: a socket may break at once.
    socket.on('error', onError);
    const origin = this.#events.onSocket(socket.remoteAddress ?? '');
    if (typeof origin === 'string') {
      this.#turnAway(socket);
      return;
    }
    const peer = { parser: new FrameParser(MAX_HELLO_BYTES), origin };
    const connection = this.#events.onAccept(this, socket, peer);
    if (connection === undefined) {
      this.#events.onSocketGone(origin);
      socket.destroy();
      return;
    }
    socket[CONNECTION] = connection;
    socket.on('data', onData);
    socket.on('close', onClose);
  }

  /** Refuses a client that has no connection. */
  #turnAway(socket: Socket): void {
    if (!this.#events.mayTell()) {
      socket.resetAndDestroy();
      return;
    }
    // Not end(): whether the client ends its half as well must not matter.
    socket.write(closeFrame('ADDRESS_LIMITED'));
    socket.destroySoon();
  }
}

// One function for all sockets, so that a connection has no closure of its own.

function onData(this: ClientSocket, chunk: Buffer): void {
  const connection = this[CONNECTION];
  (connection?.transport as TcpTransport | undefined)?.receive(connection as Connection, chunk);
}

function onClose(this: ClientSocket): void {
  const connection = this[CONNECTION];
  (connection?.transport as TcpTransport | undefined)?.gone(connection as Connection);
}

function onError(): void {
  // ECONNRESET, EPIPE and the like: 'close' follows, and that is what counts.
}
