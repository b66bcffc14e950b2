/** A byte stream to one gateway; TCP and WebSocket implement it. */

/** Where a gateway listens, as ipconf lists it. */
export interface Gateway {
  readonly host: string;
  /** 0: no TCP. */
  readonly port: number;
  /** 0: no WebSocket. */
  readonly wsPort: number;
  /** Both ports speak TLS. @default false */
  readonly tls?: boolean;
}

export interface TransportHandlers {
  onOpen(): void;
  /** Bytes in the order of the stream, cut anywhere. The memory is the receiver's from now on. */
  onData(chunk: Uint8Array): void;
  /** The stream is over; comes once, also after `close`. The reason is for people. */
  onClose(reason: string): void;
}

export interface Transport {
  /** Queues bytes; they become the transport's. Without effect once closed. */
  send(bytes: Uint8Array): void;
  /** Ends the stream once what was queued is written. */
  close(): void;
  /** Ends the stream at once. */
  destroy(): void;
  /** Stops and restarts reading, where the platform can. */
  pause?(): void;
  resume?(): void;
}

export interface TransportFactory {
  /** Which of a gateway's ports it uses. */
  readonly kind: 'tcp' | 'ws';
  /** For messages: the address that this transport uses at a gateway. */
  address(gateway: Gateway): string;
  /** Begins to connect; the handlers are called from a later tick on. */
  open(gateway: Gateway, handlers: TransportHandlers): Transport;
}

/** Returns whether a gateway offers a transport. */
export function offers({ port, wsPort }: Gateway, kind: TransportFactory['kind']): boolean {
  return (kind === 'tcp' ? port : wsPort) > 0;
}
