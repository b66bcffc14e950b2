/** What the message plane and a kind of socket need of each other: one transport serves all connections of its kind. */
import type { Server } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { ErrorCode, ErrorDetails } from '../common/mod.ts';
import type { FrameHeader, FrameParser } from '../proto/mod.ts';
import type { Origin } from './address-limits.ts';
import type { Connection } from './connection.ts';
import type { TlsMaterial } from './door.ts';
import type { Downlink } from './fanout.ts';
import type { DisconnectCode, Refusal } from './worker-stats.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Other workers listen on the same port. */
  readonly reusePort: boolean;
  /** Sockets that the kernel holds until they are accepted. */
  readonly backlog: number;
}

/** A port that clients come in by. */
export interface Listener {
  /** Returns the port. Rejects with the system's error. */
  listen(options: ListenOptions): Promise<number>;
  /** Takes another certificate, where TLS is on. @throws Error when it does not do; the old one stays */
  setTls(material: TlsMaterial): void;
  /** Stops accepting; connections live on. */
  close(): void;
}

/** A kind of socket, and the form that frames have on it. */
export interface Transport {
  readonly kind: 'tcp' | 'ws';
  /** Returns a tick's frames as bytes of this wire; `owned`: they will wait, so they must not hold other memory. */
  pack(frames: Downlink, owned: boolean): Buffer;
  /** The connection is live: frames of any kind and of this size may come. */
  accept(connection: Connection, maxFrameBytes: number): void;
  /** Ends the socket behind what was written. */
  end(connection: Connection): void;
  /** Cuts the socket now. */
  destroy(connection: Connection): void;
  pause(connection: Connection): void;
  resume(connection: Connection): void;
}

/** What a socket brings along besides its bytes. */
export interface Peer {
  readonly webSocket?: WebSocket;
  readonly parser?: FrameParser;
  /** What `onSocket` returned for it. */
  readonly origin: Origin | undefined;
}

/** What a transport tells the message plane. */
export interface TransportEvents {
  /** Whether the way up is full: a connection that sends is to be held back. */
  isCongested(): boolean;
  /**
   * A socket has come: nothing has been read and nothing allocated for it yet. Returns whom it counts against, or why
   * it must be refused. Unless it is refused, `onSocketGone` is owed.
   */
  onSocket(address: string): Origin | undefined | Refusal;
  onSocketGone(origin: Origin | undefined): void;
  /** A socket that is no connection yet was refused or came to nothing. */
  onTurnedAway(code: DisconnectCode): void;
  /** Whether there is room to tell a client that it is refused; if not, it is to be cut. */
  mayTell(): boolean;
  /** The client asks something on a level of its own, as a WebSocket ping; returns whether to answer. */
  onSideFrame(connection: Connection, bytes: number): boolean;
  /** Returns the connection, or undefined to have the socket cut. */
  onAccept(transport: Transport, socket: Duplex, peer: Peer): Connection | undefined;
  onBytes(count: number): void;
  /** Returns false when the connection is closing and takes no more. */
  onFrame(connection: Connection, frame: Uint8Array): boolean;
  /** The bytes make no frame. @param refused what could be read of its header */
  onFault(
    connection: Connection,
    code: ErrorCode,
    details?: ErrorDetails,
    refused?: Pick<FrameHeader, 'ref' | 'key'>,
  ): void;
  /** A frame of a state node does not parse; it reaches nobody who needs it in another form. */
  onUntranslatable(error: unknown): void;
  /** Some bytes of a frame have come and not all. */
  onPartial(connection: Connection): void;
  /** The transport has paused the connection because of the congestion. */
  onHeldBack(connection: Connection): void;
  /** The socket is closed. */
  onGone(connection: Connection): void;
  /** A connection could not be accepted, as with EMFILE; the listener goes on. */
  readonly onAcceptError: (error: Error) => void;
}

/** Listens and returns the port; later errors of the listener go to `onError`. */
export function listen(
  server: Server,
  options: ListenOptions,
  onError: (error: Error) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    // It may have listened before.
    server.off('error', onError).once('error', reject);
    server.listen({ ...options }, () => {
      server.off('error', reject);
      server.on('error', onError);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : options.port);
    });
  });
}
