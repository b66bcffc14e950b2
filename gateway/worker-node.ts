/** One worker's part of the gateway: sockets on one side, state nodes on the other. It needs no thread of its own. */
import type { Duplex } from 'node:stream';
import { AddressList, CATALOGUE, type ErrorCode, type ErrorDetails, type Logger } from '../common/mod.ts';
import type { FrameHeader } from '../proto/mod.ts';
import { closeFrame, nackFrame } from './answers.ts';
import { Authenticator } from './authenticator.ts';
import { Connection, Phase } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { Deadlines } from './deadlines.ts';
import type { TlsMaterial } from './door.ts';
import { Drain } from './drain.ts';
import { drawGateway, type OtherGateway } from './elsewhere.ts';
import { Fanout } from './fanout.ts';
import { Guard } from './guard.ts';
import { Handshake, type HandshakeContext } from './handshake.ts';
import { Inbound } from './inbound.ts';
import { type GatewayLimits, MAX_REFUSED, STOP_GRACE_MS } from './limits.ts';
import { ResyncFence } from './resync-fence.ts';
import { Verdict } from './send-budget.ts';
import { SlowReaders } from './slow-readers.ts';
import type { OpenLink, StateNode } from './state-link.ts';
import { WsListener } from './listener-ws.ts';
import type { Listener, ListenOptions, Peer, Transport, TransportEvents } from './transport.ts';
import { TicketCheck } from './ticket-check.ts';
import { TcpTransport } from './transport-tcp.ts';
import { Uplink, type UplinkEvents } from './uplink.ts';
import {
  type DisconnectCode,
  newWorkerStats,
  PEER_GONE,
  PEER_RESET,
  type WorkerStats,
} from './worker-stats.ts';

/** Bits of a connection id below the gateway's and the worker's number. */
const WORKER_SHIFT = 45n;
const GATEWAY_SHIFT = 53n;
const COUNTER_MASK = (1n << WORKER_SHIFT) - 1n;
/** Connections per ms of a worker's life for which the ids of its predecessors are not used again. */
const IDS_PER_MS_SHIFT = 4n;

/** Faults of a single WebSocket message. */
const SURVIVABLE: ReadonlySet<ErrorCode> = new Set(['FRAME_INVALID', 'FRAME_UNKNOWN', 'JSON_INVALID']);
const NO_HEADER = { ref: 0, key: 0n };
/** Ends after which the client does not come back by itself; after any other it may be about to. */
const LEFT: ReadonlySet<DisconnectCode> = new Set([
  'CLIENT_GOODBYE',
  'SESSION_REPLACED',
  'LOGGED_OUT',
  'TOKEN_REVOKED',
  'KICKED',
]);

export interface WorkerNodeOptions {
  /** Number leased from the registry. */
  readonly gateway: number;
  readonly gatewayName: string;
  readonly worker: number;
  /** This worker's share; see shareOf. */
  readonly limits: GatewayLimits;
  readonly open: OpenLink;
  /** undefined: clients connect without TLS. */
  readonly clientTls?: TlsMaterial | undefined;
  readonly logger: Logger;
  /** Lets in only clients that ipconf has sent here. @default false */
  readonly requireTicket?: boolean;
  /** The set of state nodes that take frames has changed. */
  readonly onRouteChange?: () => void;
}

export class WorkerNode {
  readonly stats: WorkerStats = newWorkerStats();
  readonly #options: WorkerNodeOptions;
  readonly #limits: { -readonly [K in keyof GatewayLimits]: GatewayLimits[K] };
  readonly #tickets: TicketCheck | undefined;
  readonly #authenticator: Authenticator;
  readonly #table = new ConnectionTable();
  readonly #deadlines: Deadlines;
  readonly #guard: Guard;
  readonly #fanout: Fanout;
  readonly #slow: SlowReaders;
  readonly #handshake: Handshake;
  readonly #fence: ResyncFence;
  readonly #uplink: Uplink;
  readonly #inbound: Inbound;
  readonly #listeners: { readonly tcp: Listener; readonly ws: Listener };
  readonly #idBase = BigInt(Date.now()) << IDS_PER_MS_SHIFT;
  readonly #listening = new Map<'tcp' | 'ws', ListenOptions>();
  #heldBack: Connection[] = [];
  #drain: Drain | undefined;
  #lastAcceptErrorMs = 0;

  constructor(options: WorkerNodeOptions) {
    this.#options = options;
    const { gateway, gatewayName, worker, open } = options;
    // One object for all parts, so that they see what is reloaded.
    const limits = { ...options.limits };
    this.#limits = limits;
    this.#tickets = options.requireTicket ? new TicketCheck(gatewayName) : undefined;
    this.#authenticator = new Authenticator(this.#tickets);
    this.#guard = new Guard(limits, this.stats, () => this.#deadlines.tick);
    this.#deadlines = new Deadlines(limits, {
      isCongested: () => this.#uplink.congested,
      close: (connection, code, details) => this.#close(connection, code, details),
    });
    this.#slow = new SlowReaders(limits, {
      tick: () => this.#deadlines.tick,
      onCaughtUp: (connection) => {
        connection.transport.resume(connection);
        this.#fence.lost(connection);
      },
      onTimeout: (connection) => {
        this.stats.slowConsumers++;
        this.#close(connection, 'SLOW_CONSUMER');
      },
    });
    const onSlow = (connection: Connection) => {
      this.stats.slowReaders++;
      this.#slow.mark(connection);
    };
    this.#fanout = new Fanout(this.#table, this.stats, limits, onSlow, (connection, frame) =>
      this.#handshake.onJoining(connection, frame),
    );
    const send = (connection: Connection, frame: Uint8Array) => this.#fanout.send(connection, frame);
    this.#uplink = new Uplink(gateway, { gatewayName, worker, open, events: this.#uplinkEvents() });
    this.#handshake = new Handshake(this.#handshakeContext());
    this.#fence = new ResyncFence({ isReachable: () => this.#uplink.readyLinks > 0, send });
    this.#inbound = new Inbound({
      uplink: this.#uplink,
      fence: this.#fence,
      send,
      guard: this.#guard,
      close: (connection, code) => this.#close(connection, code),
      goodbye: (connection) => this.#end(connection, 'CLIENT_GOODBYE'),
    });
    const events = this.#transportEvents();
    const port = {
      tls: options.clientTls,
      tlsTimeoutMs: limits.tlsTimeoutMs,
      proxies: new AddressList(limits.proxyProtocol),
      timeoutMs: limits.helloTimeoutMs,
      maxSockets: limits.maxConnections + MAX_REFUSED,
    };
    this.#listeners = {
      tcp: new TcpTransport(events, port),
      ws: new WsListener(events, limits.maxFrameBytes, port),
    };
    this.#deadlines.start();
  }

  /** Sockets that are not closed. */
  get size(): number {
    return this.#table.size;
  }

  /** Listens for one kind of client and returns the port. */
  async listen(kind: 'tcp' | 'ws', options: Omit<ListenOptions, 'backlog'>): Promise<number> {
    const all = { ...options, backlog: this.#limits.backlog };
    const port = await this.#listeners[kind].listen(all);
    this.#listening.set(kind, { ...all, port });
    return port;
  }

  /** Takes another certificate for handshakes to come. */
  setTls(material: TlsMaterial): void {
    this.#listeners.tcp.setTls(material);
    this.#listeners.ws.setTls(material);
  }

  /** Stops accepting until `resumeAccepting`: clients find the port closed and go to another gateway. */
  pauseAccepting(): void {
    this.#closeListeners();
  }

  /** Listens again where it did; without effect once it drains. Rejects with the system's error. */
  async resumeAccepting(): Promise<void> {
    if (this.#drain) return;
    for (const [kind, options] of this.#listening) await this.#listeners[kind].listen(options);
  }

  /** Takes over limits of a reloaded configuration; they hold for what comes from now on. */
  setLimits(limits: GatewayLimits): void {
    Object.assign(this.#limits, limits);
  }

  /** Follows the state nodes that the registry knows. */
  setStateNodes(nodes: readonly StateNode[]): void {
    this.#uplink.setNodes(nodes);
  }

  /** Takes another gateway number, because the lease of the one before is lost. */
  setGateway(gateway: number): void {
    this.#uplink.setGateway(gateway);
  }

  /** Takes the public keys that the registry publishes. */
  setKeys(jwks: string): void {
    this.#setKeys(jwks, 'signing', (keys) => this.#authenticator.setKeys(keys));
  }

  /** Stops accepting and tells every client to leave, and where to, spread over the first half of the deadline. */
  drain(deadlineMs: number, elsewhere: readonly OtherGateway[] = []): Promise<void> {
    this.#closeListeners();
    this.#drain ??= new Drain(this.#table, (connection) => {
      if (connection.phase >= Phase.CLOSING) return;
      const frame = closeFrame('SERVER_DRAINING', undefined, undefined, drawGateway(elsewhere));
      this.#fanout.sendLast(connection, frame);
      this.#end(connection, 'SERVER_DRAINING');
    });
    return this.#drain.run(deadlineMs, deadlineMs / 2);
  }

  /** Tells every client the code, gives the sockets a moment to end, and cuts what is left. */
  async stop(code: ErrorCode = 'SERVER_DRAINING'): Promise<void> {
    this.#closeListeners();
    this.#drain?.cancel();
    this.#drain = new Drain(this.#table, (connection) => this.#close(connection, code));
    const ended = this.#drain.run(STOP_GRACE_MS, 0);
    this.#fence.close();
    this.#slow.stop();
    this.#uplink.close();
    await ended;
    for (const connection of this.#table) connection.transport.destroy(connection);
    this.#deadlines.stop();
  }

  /** Takes the public keys of the ipconf nodes. */
  setTicketKeys(jwks: string): void {
    this.#setKeys(jwks, 'ticket', (keys) => this.#tickets?.setKeys(keys));
  }

  #setKeys(jwks: string, what: string, set: (jwks: string) => void): void {
    try {
      set(jwks);
    } catch (error) {
      this.#options.logger.error(
        { err: error, what },
        'the published keys are no key set; the old ones stay',
      );
    }
  }

  #transportEvents(): TransportEvents {
    return {
      isCongested: () => this.#uplink.congested,
      onSocket: (address) => this.#guard.enter(address),
      onSocketGone: (origin) => this.#guard.leave(origin),
      onTurnedAway: (code) => this.#countEnd(code),
      mayTell: () => this.#guard.mayTell(),
      onSideFrame: (connection, bytes) => this.#sideFrame(connection, bytes),
      onAccept: (transport, socket, peer) => this.#accept(transport, socket, peer),
      onBytes: (count) => {
        this.stats.bytesIn += count;
      },
      onFrame: (connection, frame) => this.#receive(connection, frame),
      onFault: (connection, code, details, refused) => this.#refuse(connection, code, details, refused),
      onUntranslatable: (error) =>
        this.#options.logger.error({ err: error }, 'a state node sent a frame that does not parse'),
      onPartial: (connection) => this.#deadlines.onPartial(connection),
      onHeldBack: (connection) => {
        this.#heldBack.push(connection);
      },
      onGone: (connection) => this.#forget(connection),
      onAcceptError: (error) => this.#acceptError(error),
    };
  }

  #uplinkEvents(): UplinkEvents {
    return {
      connections: () => this.#table,
      onRouteChange: () => {
        this.stats.readyLinks = this.#uplink.readyLinks;
        this.#fence.fenceAll(this.#table);
        this.#options.onRouteChange?.();
      },
      onLinkEnded: (link) => this.#handshake.onLinkEnded(link),
      onAttached: (link, conn) => this.#handshake.onAttached(link, this.#table.get(conn)),
      onLoginResult: (result) => this.#handshake.onLoginResult(this.#table.get(result.conn), result),
      onDeliver: (record) => this.#fanout.deliver(record),
      onKick: (conn, code, reason) => {
        const connection = this.#table.get(conn);
        if (connection) this.#close(connection, code, { reason });
      },
      onFence: (conns) =>
        this.#fence.hold(conns.map((conn) => this.#table.get(conn)).filter((found) => found !== undefined)),
      onUncongested: () => {
        const held = this.#heldBack;
        this.#heldBack = [];
        for (const connection of held)
          if (connection.phase !== Phase.CLOSED && connection.slowSince === 0)
            connection.transport.resume(connection);
      },
      onMalformed: (link, error) =>
        this.#options.logger.error(
          { err: error, state: link.node.address },
          'a state node sent a malformed record',
        ),
    };
  }

  #handshakeContext(): HandshakeContext {
    const { gatewayName: gateway } = this.#options;
    const limits = this.#limits;
    const { maxFrameBytes, maxTextBytes } = limits;
    return {
      welcome: { gateway, maxFrameBytes, maxTextBytes },
      heartbeatIntervalMs: () => limits.heartbeatIntervalMs,
      authenticator: this.#authenticator,
      uplink: this.#uplink,
      connectionId: (conn) =>
        (BigInt(this.#uplink.gateway) << GATEWAY_SHIFT) |
        (BigInt(this.#options.worker) << WORKER_SHIFT) |
        ((this.#idBase + BigInt(conn)) & COUNTER_MASK),
      guard: this.#guard,
      close: (connection, code, details, retryAfterMs) =>
        this.#close(connection, code, details, retryAfterMs),
      send: (connection, frame) => this.#fanout.send(connection, frame),
      onHello: (connection) => this.#deadlines.onHello(connection),
      onLive: (connection) => {
        connection.transport.accept(connection, maxFrameBytes);
        this.#deadlines.onLive(connection);
      },
    };
  }

  #accept(transport: Transport, socket: Duplex, peer: Peer): Connection | undefined {
    this.stats.accepts++;
    const over = this.#table.size - this.#limits.maxConnections;
    if (over >= MAX_REFUSED) {
      this.#countEnd('TOO_MANY_CONNECTIONS');
      return undefined;
    }
    const connection = this.#table.add((conn) => new Connection(conn, transport, socket, peer));
    this.stats.connections[transport.kind]++;
    this.#deadlines.onAccept(connection);
    this.#guard.open(connection);
    if (this.#drain) this.#close(connection, 'SERVER_DRAINING');
    else if (over >= 0) this.#close(connection, 'TOO_MANY_CONNECTIONS');
    return connection;
  }

  /** Answers only who is within the budget and reads the answers. */
  #sideFrame(connection: Connection, bytes: number): boolean {
    const verdict = this.#guard.charge(connection, bytes);
    if (verdict === Verdict.CLOSE) this.#close(connection, 'RATE_LIMITED');
    return verdict === Verdict.TAKE && connection.socket.writableLength === 0;
  }

  /** Takes a whole frame; returns whether the connection takes more. */
  #receive(connection: Connection, frame: Uint8Array): boolean {
    this.stats.framesIn++;
    this.#deadlines.onFrame(connection);
    if (connection.phase === Phase.LIVE) this.#inbound.onFrame(connection, frame);
    else if (connection.phase === Phase.HELLO) this.#handshake.onFirstFrame(connection, frame);
    else if (connection.phase < Phase.CLOSING) this.#close(connection, 'HELLO_EXPECTED');
    return connection.phase < Phase.CLOSING;
  }

  #refuse(
    connection: Connection,
    code: ErrorCode,
    details?: ErrorDetails,
    refused: Pick<FrameHeader, 'ref' | 'key'> = NO_HEADER,
  ): void {
    // A message of its own on WebSocket: what follows can still be read.
    if (SURVIVABLE.has(code) && connection.phase === Phase.LIVE) {
      const verdict = this.#guard.charge(connection, 0);
      if (verdict === Verdict.CLOSE) this.#close(connection, 'RATE_LIMITED');
      else this.#fanout.send(connection, nackFrame(code, refused, '', details));
    } else this.#close(connection, 'close' in CATALOGUE[code] ? code : 'HELLO_EXPECTED', details);
  }

  /** Tells the client why and ends the connection; idempotent. */
  #close(connection: Connection, code: ErrorCode, details?: ErrorDetails, retryAfterMs?: number): void {
    if (connection.phase >= Phase.CLOSING) return;
    this.#fanout.sendLast(connection, closeFrame(code, details, retryAfterMs));
    this.#end(connection, code);
  }

  /** Ends the socket behind what the connection still gets in this tick. */
  #end(connection: Connection, code: ErrorCode): void {
    if (connection.phase >= Phase.CLOSING) return;
    this.#leave(connection, code);
    connection.phase = Phase.CLOSING;
    connection.closeCode = code;
    this.#fanout.end(connection);
    this.#deadlines.onClosing(connection);
  }

  /** The socket is closed, by whomever. */
  #forget(connection: Connection): void {
    if (connection.phase < Phase.CLOSING)
      this.#leave(connection, connection.socket.errored ? PEER_RESET : PEER_GONE);
    connection.phase = Phase.CLOSED;
    connection.out = undefined;
    this.#deadlines.onClosed(connection);
    this.#table.delete(connection);
    this.stats.connections[connection.transport.kind]--;
    if (this.#table.size === 0) this.#drain?.onEmpty();
  }

  /** State hears that the connection is gone. */
  #leave(connection: Connection, code: DisconnectCode): void {
    const left = LEFT.has(code);
    if (connection.attached) this.#uplink.detach(connection.conn, left);
    else connection.login?.link?.detach(connection.conn, left);
    this.#handshake.forget(connection);
    this.#countEnd(code);
  }

  #countEnd(code: DisconnectCode): void {
    this.stats.disconnects[code] = (this.stats.disconnects[code] ?? 0) + 1;
  }

  #acceptError(error: Error): void {
    this.stats.acceptErrors++;
    // With EMFILE it comes for every client that tries.
    if (performance.now() - this.#lastAcceptErrorMs < 1000) return;
    this.#lastAcceptErrorMs = performance.now();
    this.#options.logger.error(
      { err: error },
      'a client could not be accepted; with EMFILE, raise the limit of open files',
    );
  }

  #closeListeners(): void {
    this.#listeners.tcp.close();
    this.#listeners.ws.close();
  }
}
