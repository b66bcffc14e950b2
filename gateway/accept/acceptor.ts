/** Accepts the sockets of a port: PROXY header, limits per address, TLS. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import {
  type AddressList,
  type CodeWithDetails,
  listen,
  type ListenOptions,
  resetSocket,
} from '../../common/mod.ts';
import type { Origin } from './address-limits.ts';
import { parseProxyHeader } from './proxy-protocol.ts';
import type { TlsMaterial } from './tls-material.ts';
import type { TransportEvents } from '../wire/transport.ts';
import { TLS_FAILED } from '../supervisor/worker-stats.ts';

export interface AcceptorOptions {
  /** undefined: no TLS. */
  readonly tls: TlsMaterial | undefined;
  /** Deadline of a TLS handshake, ms. */
  readonly tlsTimeoutMs: number;
  /** Load balancers, whose connections begin with a PROXY header. */
  readonly proxies: AddressList;
  /** Whether the port's own protocol will name the client behind this address; it then calls `count`. @default none */
  readonly isProxy?: (address: string) => boolean;
  /** Deadline from the accepted socket to `admit`, ms. */
  readonly timeoutMs: number;
  /** Most sockets of the port. */
  readonly maxSockets: number;
  /** Encodes a refusal in the protocol of the port. */
  readonly explain: (refusal: CodeWithDetails) => string | Uint8Array;
  /** Called when everything that follows on the socket comes from the client. */
  readonly onClient: (socket: Socket, pending: PendingSocket) => void;
}

/** An accepted socket that is not a connection yet. */
export interface PendingSocket {
  readonly raw: Socket;
  readonly dueMs: number;
  readonly onClose: () => void;
  /** Remote address and port, unique among the open sockets of a port; empty without TLS. */
  readonly remote: string;
  /** The client's address as far as it is known; empty until the PROXY header has come. */
  address: string;
  origin: Origin | undefined;
  /** Whether it has been counted against its origin. */
  counted: boolean;
  /** Whether it was told why it is refused; it may read that until its deadline. */
  refused: boolean;
}

/** Most bytes that are read and dropped after a refusal. */
const MAX_DROPPED_BYTES = 65_536;

export class Acceptor {
  readonly #events: TransportEvents;
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  /** In the order of their deadlines. */
  readonly #pending = new Set<PendingSocket>();
  /** TLS handshakes under way, by remote end: the only thing that Node reports for both the raw and the TLS socket. */
  readonly #handshakes = new Map<string, PendingSocket>();
  #timer: NodeJS.Timeout | undefined;

  constructor(events: TransportEvents, options: AcceptorOptions) {
    this.#events = events;
    this.#options = options;
    // The heartbeat finds silent peers. TCP keepalive would cost four system calls a socket.
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = options.maxSockets;
    this.#server.on('drop', () => events.onRejected('TOO_MANY_CONNECTIONS'));
    if (options.tls === undefined) return;
    this.#tls = createTlsServer(
      { ...contextOf(options.tls), minVersion: 'TLSv1.2', handshakeTimeout: options.tlsTimeoutMs },
      (socket) => this.#onSecure(socket),
    );
    this.#tls.on('tlsClientError', (_error, socket) => {
      events.onRejected(TLS_FAILED);
      socket.destroy();
    });
  }

  /** Listens, unless it does already, and returns the port. Rejects with the system's error. */
  async listen(options: ListenOptions): Promise<number> {
    if (this.#server.listening) return (this.#server.address() as AddressInfo).port;
    return listen(this.#server, options, this.#events.onAcceptError);
  }

  /** Uses another certificate for new handshakes. @throws Error when it is invalid; the old one stays in use */
  setTls(material: TlsMaterial): void {
    this.#tls?.setSecureContext(contextOf(material));
  }

  /** Sets the most sockets that the port takes; open ones stay. */
  setMaxSockets(count: number): void {
    this.#server.maxConnections = count;
  }

  /** Stops accepting and destroys the pending sockets; connections stay open. */
  close(): void {
    this.#server.close();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const pending of this.#pending) pending.raw.destroy();
  }

  /** Turns the socket into a connection, which must call `onSocketGone` with the returned origin. */
  admit(pending: PendingSocket): Origin | undefined {
    this.#pending.delete(pending);
    pending.raw.off('close', pending.onClose);
    return pending.origin;
  }

  /** Counts a socket against the client's address. Returns false when the address has too many. */
  count(pending: PendingSocket, address: string): boolean {
    const origin = this.#events.onSocket(address);
    if (typeof origin === 'string') return false;
    pending.origin = origin;
    pending.counted = true;
    return true;
  }

  #accept(raw: Socket): void {
    // First of all: the socket may fail at once.
    raw.on('error', onError);
    const dueMs = performance.now() + this.#options.timeoutMs;
    const pending: PendingSocket = {
      raw,
      dueMs,
      onClose: () => this.#forget(pending),
      remote: this.#tls === undefined ? '' : remoteOf(raw),
      address: '',
      origin: undefined,
      counted: false,
      refused: false,
    };
    raw.on('close', pending.onClose);
    this.#pending.add(pending);
    this.#timer ??= setTimeout(this.#onTimer, this.#options.timeoutMs);
    const address = raw.remoteAddress ?? '';
    if (this.#options.proxies.has(address)) this.#readHeader(pending);
    else this.#enter(pending, address);
  }

  #readHeader(pending: PendingSocket): void {
    const { raw } = pending;
    let held: Buffer | undefined;
    const onData = (chunk: Buffer): void => {
      held = held === undefined ? chunk : Buffer.concat([held, chunk]);
      const header = parseProxyHeader(held);
      if (header === 'more') return;
      raw.off('data', onData);
      if (header === 'invalid') {
        this.#reject(pending, { code: 'PROXY_HEADER_INVALID' });
        return;
      }
      // What follows the header belongs to the next reader of the socket.
      raw.pause();
      if (header.bytes < held.length) raw.unshift(held.subarray(header.bytes));
      this.#enter(pending, header.address ?? raw.remoteAddress ?? '');
    };
    raw.on('data', onData);
  }

  #enter(pending: PendingSocket, address: string): void {
    const { raw } = pending;
    pending.address = address;
    if (this.#options.isProxy?.(address) !== true && !this.count(pending, address)) {
      this.#reject(pending, { code: 'ADDRESS_LIMITED' });
      return;
    }
    if (this.#tls === undefined) {
      this.#options.onClient(raw, pending);
      // It was paused if there was a header.
      raw.resume();
      return;
    }
    this.#handshakes.set(pending.remote, pending);
    this.#tls.emit('connection', raw);
  }

  #onSecure(socket: TLSSocket): void {
    const remote = remoteOf(socket);
    const pending = this.#handshakes.get(remote);
    this.#handshakes.delete(remote);
    if (pending === undefined || !this.#pending.has(pending)) {
      socket.destroy();
      return;
    }
    socket.on('error', onError);
    this.#options.onClient(socket, pending);
  }

  /** Refuses a pending socket. The reason is sent only without TLS and outside a flood. */
  #reject(pending: PendingSocket, refusal: CodeWithDetails): void {
    const { raw } = pending;
    this.#events.onRejected(refusal.code);
    if (this.#tls !== undefined || !this.#events.mayExplain()) {
      resetSocket(raw);
      return;
    }
    pending.refused = true;
    raw.end(this.#options.explain(refusal));
    // The kernel answers unread bytes with RST, and the client would lose the refusal.
    raw.on('data', onDropped).resume();
  }

  #forget(pending: PendingSocket): void {
    this.#pending.delete(pending);
    if (this.#handshakes.get(pending.remote) === pending) this.#handshakes.delete(pending.remote);
    if (pending.counted) this.#events.onSocketGone(pending.origin);
  }

  /** Expires after pending reads: if the event loop has stalled, what came meanwhile counts. */
  readonly #onTimer = (): void => {
    setImmediate(this.#expire);
  };

  readonly #expire = (): void => {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const pending of this.#pending) {
      if (pending.dueMs > nowMs) {
        this.#timer = setTimeout(this.#onTimer, pending.dueMs - nowMs);
        return;
      }
      this.#pending.delete(pending);
      const { raw, refused } = pending;
      if (raw.destroyed) continue;
      if (refused) resetSocket(raw);
      else {
        this.#reject(pending, { code: 'HELLO_TIMEOUT', details: { ms: this.#options.timeoutMs } });
        // It has had its time: do not wait for the client to end its half.
        raw.destroySoon();
      }
    }
  };
}

function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function contextOf({ cert, key, ticketKeys }: TlsMaterial) {
  return { cert, key, ticketKeys: Buffer.from(ticketKeys) };
}

function onDropped(this: Socket): void {
  if (this.bytesRead > MAX_DROPPED_BYTES) resetSocket(this);
}

function onError(): void {
  // ECONNRESET, EPIPE and the like: 'close' follows and is handled.
}
