/** What the message plane and a kind of socket need of each other: one transport serves all connections of its kind. */
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { resetSocket } from '../../common/mod.ts';
import type { Origin } from '../accept/address-limits.ts';
import type { Connection, Peer, Transport } from '../connections/connection.ts';
import type { TlsMaterial } from '../accept/tls-material.ts';
import type { DisconnectCode, Refusal } from '../supervisor/worker-stats.ts';
import type { WireFault } from './ws-wire.ts';

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
  /** Takes so many sockets from now on; those that are there stay. */
  setMaxSockets(count: number): void;
  /** Stops accepting; connections live on. */
  close(): void;
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
  /** A frame on a level of its own has come, as a WebSocket ping; returns whether an answer may be sent. */
  onSideFrame(connection: Connection, bytes: number): boolean;
  /** Returns the connection, or undefined to have the socket cut. */
  onAccept(transport: Transport, socket: Duplex, peer: Peer): Connection | undefined;
  onBytes(count: number): void;
  /** Returns false when the connection is closing and takes no more. @param bytes what it came as @default its length */
  onFrame(connection: Connection, frame: Uint8Array, bytes?: number): boolean;
  /** What came, so many bytes of it, makes no frame. */
  onFault(connection: Connection, fault: WireFault, bytes: number): void;
  /** A frame of a state node does not parse; it reaches nobody who needs it in another form. */
  onUntranslatable(error: unknown): void;
  /** Some bytes of a frame have come and not all. @param bytes memory that they hold */
  onPartial(connection: Connection, bytes: number): void;
  /** No frame is unfinished any more, after `onPartial`. */
  onWhole(connection: Connection): void;
  /** The transport has paused the connection because of the congestion. */
  onHeldBack(connection: Connection): void;
  /** The socket is closed. @param isCutOff not in good order */
  onGone(connection: Connection, isCutOff: boolean): void;
  /** A connection could not be accepted, as with EMFILE; the listener goes on. */
  readonly onAcceptError: (error: Error) => void;
}

/** Listens, unless it does so already, and returns the port; later errors of the listener go to `onError`. */
export function listen(
  server: Server,
  options: ListenOptions,
  onError: (error: Error) => void,
): Promise<number> {
  if (server.listening) return Promise.resolve(portOf(server, options));
  return new Promise((resolve, reject) => {
    // It may have listened before.
    server.off('error', onError).once('error', reject);
    server.listen({ ...options }, () => {
      server.off('error', reject);
      server.on('error', onError);
      resolve(portOf(server, options));
    });
  });
}

/** Ends a socket with RST: the kernel need not keep what a stuck reader does not take. Node cannot do it below TLS. */
export function cutSocket(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else resetSocket(socket);
}

function portOf(server: Server, { port }: ListenOptions): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
