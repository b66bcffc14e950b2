/** TCP transport: frames back to back, with or without TLS. */
import type { Socket } from 'node:net';
import { FrameParser } from '../../proto/mod.ts';
import type { Origin } from '../accept/address-limits.ts';
import { closeFrame } from '../route/answers.ts';
import { type Connection, Phase, type Transport } from '../connections/connection.ts';
import { wasCutOff } from './socket-ends.ts';
import { Acceptor, type AcceptorOptions } from '../accept/acceptor.ts';
import { type Downlink, joinFrames } from '../push/downlink.ts';
import { MAX_HELLO_BYTES } from '../limits.ts';
import { cutSocket, type TransportEvents } from './transport.ts';

const CONNECTION = Symbol('connection');

interface ClientSocket extends Socket {
  [CONNECTION]?: Connection;
}

/** Options of the acceptors of both ports. */
export type PortOptions = Pick<
  AcceptorOptions,
  'tls' | 'tlsTimeoutMs' | 'proxies' | 'timeoutMs' | 'maxSockets'
>;

export class TcpTransport implements Transport {
  readonly kind = 'tcp';
  readonly acceptor: Acceptor;
  readonly #events: TransportEvents;
  /** The connection whose bytes are being parsed. */
  #reading: Connection | undefined;

  constructor(events: TransportEvents, options: PortOptions) {
    this.#events = events;
    this.acceptor = new Acceptor(events, {
      ...options,
      explain: closeFrame,
      onClient: (socket, pending) => this.#enter(socket, this.acceptor.admit(pending)),
    });
  }

  pack(frames: Downlink, owned: boolean): Buffer {
    return joinFrames(frames, owned);
  }

  accept(connection: Connection, maxFrameBytes: number): void {
    if (connection.parser) connection.parser.maxFrameBytes = maxFrameBytes;
  }

  end(connection: Connection): void {
    const { socket, closed, descriptor } = connection;
    // After the client's own CLOSE nothing follows, and the kernel delivers what it still has.
    if (closed === undefined && descriptor >= 0 && socket.writableLength === 0) {
      socket.destroy();
      return;
    }
    socket.end();
    // What it still sends is read and dropped: the kernel answers unread bytes with RST, and CLOSE would be lost.
    socket.resume();
  }

  destroy(connection: Connection): void {
    cutSocket(connection.socket as Socket);
  }

  pause(connection: Connection): void {
    connection.socket.pause();
  }

  resume(connection: Connection): void {
    connection.socket.resume();
  }

  /** Handles bytes from the socket. */
  receive(connection: Connection, chunk: Buffer): void {
    const parser = connection.parser;
    if (parser === undefined || connection.phase >= Phase.CLOSING) return;
    if (this.#events.mustWait(connection)) {
      // Returned to the socket's bounded buffer; it is emitted again on resume.
      connection.socket.unshift(chunk);
      return;
    }
    this.#events.onBytes(chunk.length);
    this.#reading = connection;
    const fault = parser.push(chunk, this.#onFrame);
    this.#reading = undefined;
    if (fault) this.#events.onFault(connection, { code: fault, details: { max: parser.maxFrameBytes } }, 0);
    else if (parser.heldBytes > 0) this.#events.onPartial(connection, parser.heldBytes);
    else if (connection.partialBytes > 0) this.#events.onWhole(connection);
  }

  gone(connection: Connection): void {
    connection.parser?.drop();
    this.#events.onSocketGone(connection.origin);
    this.#events.onGone(connection, wasCutOff(connection.socket));
  }

  readonly #onFrame = (frame: Uint8Array): boolean =>
    this.#events.onFrame(this.#reading as Connection, frame);

  #enter(socket: ClientSocket, origin: Origin | undefined): void {
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
}

// One handler for all sockets, so that a connection needs no closure.

function onData(this: ClientSocket, chunk: Buffer): void {
  const connection = this[CONNECTION];
  (connection?.transport as TcpTransport | undefined)?.receive(connection as Connection, chunk);
}

function onClose(this: ClientSocket): void {
  const connection = this[CONNECTION];
  (connection?.transport as TcpTransport | undefined)?.gone(connection as Connection);
}
