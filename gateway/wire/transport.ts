/** The interface between the gateway's connections and a kind of socket: one transport serves all connections of its kind. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { resetSocket } from '../../common/mod.ts';
import type { Origin } from '../accept/address-limits.ts';
import type { Connection, Peer, Transport } from '../connections/connection.ts';
import type { DisconnectCode, Refusal } from '../supervisor/worker-stats.ts';
import type { WireFault } from './ws-wire.ts';

/** Callbacks of a transport. */
export interface TransportEvents {
  /**
   * Whether what a connection sends must wait, because the uplink is congested or its account has sent too much. It is
   * paused then, and resumed later.
   */
  mustWait(connection: Connection): boolean;
  /**
   * A socket was accepted; nothing has been read from it or allocated for it yet. Returns the origin that it counts
   * against, or why it must be refused. Unless it is refused, `onSocketGone` must follow.
   */
  onSocket(address: string): Origin | undefined | Refusal;
  onSocketGone(origin: Origin | undefined): void;
  /** A pending socket was refused or failed. */
  onRejected(code: DisconnectCode): void;
  /** Whether a refused client may be told why; if not, its socket is reset. */
  mayExplain(): boolean;
  /** A WebSocket control frame arrived. Returns whether an answer may be sent. */
  onControlFrame(connection: Connection, bytes: number): boolean;
  /** Returns the connection, or undefined to have the socket destroyed. */
  onAccept(transport: Transport, socket: Duplex, peer: Peer): Connection | undefined;
  onBytes(count: number): void;
  /** Returns false when the connection is closing and takes no more. @param bytes size on the wire @default its length */
  onFrame(connection: Connection, frame: Uint8Array, bytes?: number): boolean;
  /** What arrived is not a frame. @param bytes size of what arrived */
  onFault(connection: Connection, fault: WireFault, bytes: number): void;
  /** A frame from a state node does not parse; connections that need it in JSON do not get it. */
  onDecodeError(error: unknown): void;
  /** A frame has arrived in part. @param bytes memory that the part occupies */
  onPartial(connection: Connection, bytes: number): void;
  /** The frame of `onPartial` is complete. */
  onWhole(connection: Connection): void;
  /** The socket is closed. @param isCutOff whether it ended without a FIN or close frame */
  onGone(connection: Connection, isCutOff: boolean): void;
  /** A connection could not be accepted, for example with EMFILE; the listener goes on. */
  readonly onAcceptError: (error: Error) => void;
}

/** Resets a socket, so that the kernel drops what a stuck reader does not take. Node cannot reset below TLS. */
export function cutSocket(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else resetSocket(socket);
}
