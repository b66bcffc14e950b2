/** The way in to a port: accepts sockets, hears for whom a balancer speaks, lets in whom the limits allow, ends TLS. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { type AddressList, type CodeWithDetails, resetSocket } from '../../common/mod.ts';
import type { Origin } from './address-limits.ts';
import { parseProxyHeader } from './proxy-protocol.ts';
import type { TlsMaterial } from './tls-material.ts';
import { listen, type ListenOptions, type TransportEvents } from '../wire/transport.ts';
import { TLS_FAILED } from '../supervisor/worker-stats.ts';

export interface DoorOptions {
  /** undefined: plain. */
  readonly tls: TlsMaterial | undefined;
  /** Deadline of a TLS handshake, ms. */
  readonly tlsTimeoutMs: number;
  /** Balancers, whose connections begin with a PROXY header. */
  readonly proxies: AddressList;
  /** Whether the port's own protocol will tell for whom an address speaks: `count` is then called. @default none */
  readonly isProxy?: (address: string) => boolean;
  /** Deadline from the accepted socket to `admit`, ms. */
  readonly timeoutMs: number;
  /** Most sockets of the port. */
  readonly maxSockets: number;
  /** Says a code in the language of the port. */
  readonly tell: (said: CodeWithDetails) => string | Uint8Array;
  /** What the socket brings from now on is the client's own. */
  readonly onEnter: (socket: Socket, visit: Visit) => void;
}

/** A socket that is not a connection yet. */
export interface Visit {
  readonly raw: Socket;
  readonly dueMs: number;
  readonly onClose: () => void;
  /** The socket's other end, unique among those of a port that are open; empty without TLS. */
  readonly end: string;
  /** Whom it comes from, as far as is known; empty while a PROXY header is waited for. */
  address: string;
  origin: Origin | undefined;
  /** It has been counted against its origin. */
  counted: boolean;
  /** It was told why it is refused, and may read that until its deadline. */
  told: boolean;
}

/** So much of what a client sends in spite of a refusal is read and dropped. */
const MAX_DROPPED_BYTES = 65_536;

export class Door {
  readonly #events: TransportEvents;
  readonly #options: DoorOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  /** In the order of their deadlines. */
  readonly #visits = new Set<Visit>();
  /** Visits whose TLS handshake goes on, by the socket's other end: all that Node tells of both. */
  readonly #shaking = new Map<string, Visit>();
  #timer: NodeJS.Timeout | undefined;

  constructor(events: TransportEvents, options: DoorOptions) {
    this.#events = events;
    this.#options = options;
    // Silent peers are the heartbeat's business; probes of the kernel would cost four system calls a socket.
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = options.maxSockets;
    this.#server.on('drop', () => events.onTurnedAway('TOO_MANY_CONNECTIONS'));
    if (options.tls === undefined) return;
    this.#tls = createTlsServer(
      { ...contextOf(options.tls), minVersion: 'TLSv1.2', handshakeTimeout: options.tlsTimeoutMs },
      (socket) => this.#onSecure(socket),
    );
    this.#tls.on('tlsClientError', (_error, socket) => {
      events.onTurnedAway(TLS_FAILED);
      socket.destroy();
    });
  }

  listen(options: ListenOptions): Promise<number> {
    return listen(this.#server, options, this.#events.onAcceptError);
  }

  /** Takes another certificate for handshakes to come. @throws Error when it does not do; the old one stays */
  setTls(material: TlsMaterial): void {
    this.#tls?.setSecureContext(contextOf(material));
  }

  setMaxSockets(count: number): void {
    this.#server.maxConnections = count;
  }

  /** Stops accepting and cuts what is not yet a connection. */
  close(): void {
    this.#server.close();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const visit of this.#visits) visit.raw.destroy();
  }

  /** The visit becomes a connection, which owes `onSocketGone` for the origin that is returned. */
  admit(visit: Visit): Origin | undefined {
    this.#visits.delete(visit);
    visit.raw.off('close', visit.onClose);
    return visit.origin;
  }

  /** Counts a visit against the client's address; false: it is one too many. */
  count(visit: Visit, address: string): boolean {
    const origin = this.#events.onSocket(address);
    if (typeof origin === 'string') return false;
    visit.origin = origin;
    visit.counted = true;
    return true;
  }

  #accept(raw: Socket): void {
    // Before anything else: a socket may break at once.
    raw.on('error', onError);
    const dueMs = performance.now() + this.#options.timeoutMs;
    const visit: Visit = {
      raw,
      dueMs,
      onClose: () => this.#forget(visit),
      end: this.#tls === undefined ? '' : endOf(raw),
      address: '',
      origin: undefined,
      counted: false,
      told: false,
    };
    raw.on('close', visit.onClose);
    this.#visits.add(visit);
    this.#timer ??= setTimeout(this.#onTimer, this.#options.timeoutMs);
    const address = raw.remoteAddress ?? '';
    if (this.#options.proxies.has(address)) this.#readHeader(visit);
    else this.#enter(visit, address);
  }

  #readHeader(visit: Visit): void {
    const { raw } = visit;
    let held: Buffer | undefined;
    const onData = (chunk: Buffer): void => {
      held = held === undefined ? chunk : Buffer.concat([held, chunk]);
      const header = parseProxyHeader(held);
      if (header === 'more') return;
      raw.off('data', onData);
      if (header === 'invalid') {
        this.#turnAway(visit, { code: 'PROXY_HEADER_INVALID' });
        return;
      }
      // What follows is for whoever reads from the socket next.
      raw.pause();
      if (header.bytes < held.length) raw.unshift(held.subarray(header.bytes));
      this.#enter(visit, header.address ?? raw.remoteAddress ?? '');
    };
    raw.on('data', onData);
  }

  #enter(visit: Visit, address: string): void {
    const { raw } = visit;
    visit.address = address;
    if (this.#options.isProxy?.(address) !== true && !this.count(visit, address)) {
      this.#turnAway(visit, { code: 'ADDRESS_LIMITED' });
      return;
    }
    if (this.#tls === undefined) {
      this.#options.onEnter(raw, visit);
      // It was paused if there was a header.
      raw.resume();
      return;
    }
    this.#shaking.set(visit.end, visit);
    this.#tls.emit('connection', raw);
  }

  #onSecure(socket: TLSSocket): void {
    const end = endOf(socket);
    const visit = this.#shaking.get(end);
    this.#shaking.delete(end);
    if (visit === undefined || !this.#visits.has(visit)) {
      socket.destroy();
      return;
    }
    socket.on('error', onError);
    this.#options.onEnter(socket, visit);
  }

  /** Refuses who is not yet a connection; there is nobody to tell behind TLS, or in a flood. */
  #turnAway(visit: Visit, said: CodeWithDetails): void {
    const { raw } = visit;
    this.#events.onTurnedAway(said.code);
    if (this.#tls !== undefined || !this.#events.mayTell()) {
      resetSocket(raw);
      return;
    }
    visit.told = true;
    raw.end(this.#options.tell(said));
    // With unread bytes the kernel would answer with RST, and the code be lost.
    raw.on('data', onDropped).resume();
  }

  #forget(visit: Visit): void {
    this.#visits.delete(visit);
    if (this.#shaking.get(visit.end) === visit) this.#shaking.delete(visit.end);
    if (visit.counted) this.#events.onSocketGone(visit.origin);
  }

  /** Behind the sockets' turn, as the event loop may have stalled: what came meanwhile is read first. */
  readonly #onTimer = (): void => {
    setImmediate(this.#judge);
  };

  readonly #judge = (): void => {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const visit of this.#visits) {
      if (visit.dueMs > nowMs) {
        this.#timer = setTimeout(this.#onTimer, visit.dueMs - nowMs);
        return;
      }
      this.#visits.delete(visit);
      const { raw, told } = visit;
      if (raw.destroyed) continue;
      if (told) resetSocket(raw);
      else {
        this.#turnAway(visit, { code: 'HELLO_TIMEOUT', details: { ms: this.#options.timeoutMs } });
        // What has come was read, and it has had its time: whether it ends its half as well must not matter.
        raw.destroySoon();
      }
    }
  };
}

function endOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function contextOf({ cert, key, ticketKeys }: TlsMaterial) {
  return { cert, key, ticketKeys: Buffer.from(ticketKeys) };
}

function onDropped(this: Socket): void {
  if (this.bytesRead > MAX_DROPPED_BYTES) resetSocket(this);
}

function onError(): void {
  // ECONNRESET, EPIPE and the like: 'close' follows, and that is what counts.
}
