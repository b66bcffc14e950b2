/** The transport port: a byte stream to one gateway, over TCP or WebSocket. */

/** A gateway's address, as ipconf lists it. */
export interface Gateway {
  readonly host: string;
  /** 0: no TCP. */
  readonly port: number;
  /** 0: no WebSocket. */
  readonly wsPort: number;
  /** Whether both ports use TLS. @default false */
  readonly tls?: boolean;
}

export interface TransportHandlers {
  onOpen(): void;
  /** Called with bytes of the stream, split anywhere. The receiver owns the memory. */
  onData(chunk: Uint8Array): void;
  /** Called once when the stream has ended, also after `close`. The reason is for people. */
  onClose(reason: string): void;
}

export interface Transport {
  /** Queues bytes, which the transport then owns. No effect once closed. */
  send(bytes: Uint8Array): void;
  /** Ends the stream after the queued bytes are written. */
  close(): void;
  /** Ends the stream at once. */
  destroy(): void;
  /** Stops and restarts reading, where the platform can. */
  pause?(): void;
  resume?(): void;
}

export interface TransportFactory {
  /** The gateway port that it uses. */
  readonly kind: 'tcp' | 'ws';
  /** Returns the address that this transport uses at a gateway, for messages. */
  address(gateway: Gateway): string;
  /** Starts connecting; handlers are called from a later tick on. */
  open(gateway: Gateway, handlers: TransportHandlers): Transport;
}

/** Returns whether a gateway offers a transport. */
export function offers({ port, wsPort }: Gateway, kind: TransportFactory['kind']): boolean {
  return (kind === 'tcp' ? port : wsPort) > 0;
}
