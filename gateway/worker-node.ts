/** One worker's part of the gateway: sockets on one side, state nodes on the other. It needs no thread of its own. */
import type { Duplex } from 'node:stream';
import type { ErrorCode, ErrorDetails, Logger } from '../common/mod.ts';
import { closeFrame, nackFrame } from './answers.ts';
import { Authenticator } from './authenticator.ts';
import { Connection, Phase } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { Drain } from './drain.ts';
import { Fanout } from './fanout.ts';
import { Handshake, type HandshakeContext } from './handshake.ts';
import { Inbound } from './inbound.ts';
import {
  CLOSE_LINGER_MS,
  type GatewayLimits,
  HEARTBEAT_GRACE,
  LOGIN_TIMEOUT_MS,
  MAX_REFUSED,
  STOP_GRACE_MS,
  WHEEL_SLOTS,
  WHEEL_TICK_MS,
} from './limits.ts';
import { ResyncFence } from './resync-fence.ts';
import type { OpenLink, StateNode } from './state-link.ts';
import { TimingWheel } from './timing-wheel.ts';
import type { ListenOptions, Peer, Transport, TransportEvents } from './transport.ts';
import { TcpTransport } from './transport-tcp.ts';
import { WsTransport } from './transport-ws.ts';
import { Uplink, type UplinkEvents } from './uplink.ts';
import { type DisconnectCode, newWorkerStats, PEER_GONE, type WorkerStats } from './worker-stats.ts';

/** Bits of a connection id below the gateway's and the worker's number. */
const WORKER_SHIFT = 45n;
const GATEWAY_SHIFT = 53n;
const COUNTER_MASK = (1n << WORKER_SHIFT) - 1n;
/** Connections per ms of a worker's life for which the ids of its predecessors are not used again. */
const IDS_PER_MS_SHIFT = 4n;

/** When to look again at deadlines that could not be judged. */
const RELOOK_MS = 1000;

export interface WorkerNodeOptions {
  /** Number leased from the registry. */
  readonly gateway: number;
  readonly gatewayName: string;
  readonly worker: number;
  /** `maxConnections` is this worker's share. */
  readonly limits: GatewayLimits;
  readonly open: OpenLink;
  readonly logger: Logger;
  /** The set of state nodes that take frames has changed. */
  readonly onRouteChange?: () => void;
}

export class WorkerNode {
  readonly stats: WorkerStats = newWorkerStats();
  readonly #options: WorkerNodeOptions;
  readonly #limits: GatewayLimits;
  readonly #authenticator = new Authenticator();
  readonly #table = new ConnectionTable();
  readonly #wheel: TimingWheel<Connection>;
  readonly #fanout: Fanout;
  readonly #handshake: Handshake;
  readonly #fence: ResyncFence;
  readonly #uplink: Uplink;
  readonly #inbound: Inbound;
  readonly #transports: { readonly tcp: Transport; readonly ws: Transport };
  readonly #idBase = BigInt(Date.now()) << IDS_PER_MS_SHIFT;
  #heldBack: Connection[] = [];
  #drain: Drain | undefined;
  #lastAcceptErrorMs = 0;

  constructor(options: WorkerNodeOptions) {
    this.#options = options;
    const { limits, gateway, gatewayName, worker, open } = options;
    this.#limits = limits;
    this.#wheel = new TimingWheel({
      tickMs: WHEEL_TICK_MS,
      slots: WHEEL_SLOTS,
      expire: (connection) => this.#expire(connection),
    });
    this.#fanout = new Fanout(this.#table, this.stats, limits.maxOutboundBytes, (connection) => {
      this.stats.slowConsumers++;
      this.#close(connection, 'SLOW_CONSUMER');
    });
    const send = (connection: Connection, frame: Uint8Array) => this.#fanout.send(connection, frame);
    this.#uplink = new Uplink(gateway, { gatewayName, worker, open, events: this.#uplinkEvents() });
    this.#handshake = new Handshake(this.#handshakeContext());
    this.#fence = new ResyncFence({ isReachable: () => this.#uplink.readyLinks > 0, send });
    this.#inbound = new Inbound({
      uplink: this.#uplink,
      fence: this.#fence,
      send,
      goodbye: (connection) => this.#end(connection, 'CLIENT_GOODBYE'),
    });
    const events = this.#transportEvents();
    const { maxFrameBytes, helloTimeoutMs } = limits;
    const maxSockets = limits.maxConnections + MAX_REFUSED;
    this.#transports = {
      tcp: new TcpTransport(events),
      ws: new WsTransport(events, { maxFrameBytes, helloTimeoutMs, maxSockets }),
    };
    this.#wheel.start();
  }

  /** Sockets that are not closed. */
  get size(): number {
    return this.#table.size;
  }

  /** Listens for one kind of client and returns the port. */
  listen(kind: 'tcp' | 'ws', options: ListenOptions): Promise<number> {
    return this.#transports[kind].listen(options);
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
    try {
      this.#authenticator.setKeys(jwks);
    } catch (error) {
      this.#options.logger.error(
        { err: error },
        'the published signing keys are no key set; the old ones stay',
      );
    }
  }

  /** Stops accepting and tells every client to leave, spread over the first half of the deadline. */
  drain(deadlineMs: number): Promise<void> {
    this.#closeListeners();
    this.#drain ??= new Drain(this.#table, (connection) => this.#close(connection, 'SERVER_DRAINING'));
    return this.#drain.run(deadlineMs, deadlineMs / 2);
  }

  /** Tells every client the code, gives the sockets a moment to end, and cuts what is left. */
  async stop(code: ErrorCode = 'SERVER_DRAINING'): Promise<void> {
    this.#closeListeners();
    this.#drain?.cancel();
    this.#drain = new Drain(this.#table, (connection) => this.#close(connection, code));
    const ended = this.#drain.run(STOP_GRACE_MS, 0);
    this.#fence.close();
    this.#uplink.close();
    await ended;
    for (const connection of this.#table) connection.transport.destroy(connection);
    this.#wheel.stop();
  }

  #transportEvents(): TransportEvents {
    return {
      isCongested: () => this.#uplink.congested,
      onAccept: (transport, socket, peer) => this.#accept(transport, socket, peer),
      onBytes: (count) => {
        this.stats.bytesIn += count;
      },
      onFrame: (connection, frame) => this.#receive(connection, frame),
      onFault: (connection, code, details) => this.#refuse(connection, code, details),
      onPartial: (connection) => {
        if (connection.phase !== Phase.LIVE) return;
        if (connection.partialSince === 0) connection.partialSince = this.#wheel.tick;
        this.#wheel.hasten(connection, this.#limits.frameTimeoutMs);
      },
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
      onKick: (conn, code) => {
        const connection = this.#table.get(conn);
        if (connection) this.#close(connection, code);
      },
      onFence: (conns) =>
        this.#fence.hold(conns.map((conn) => this.#table.get(conn)).filter((found) => found !== undefined)),
      onUncongested: () => {
        const held = this.#heldBack;
        this.#heldBack = [];
        for (const connection of held)
          if (connection.phase !== Phase.CLOSED) connection.transport.resume(connection);
      },
      onMalformed: (link, error) =>
        this.#options.logger.error(
          { err: error, state: link.node.address },
          'a state node sent a malformed record',
        ),
    };
  }

  #handshakeContext(): HandshakeContext {
    const { gatewayName: gateway, limits } = this.#options;
    const { heartbeatIntervalMs, maxFrameBytes, maxTextBytes } = limits;
    return {
      welcome: { gateway, heartbeatIntervalMs, maxFrameBytes, maxTextBytes },
      authenticator: this.#authenticator,
      uplink: this.#uplink,
      connectionId: (conn) =>
        (BigInt(this.#uplink.gateway) << GATEWAY_SHIFT) |
        (BigInt(this.#options.worker) << WORKER_SHIFT) |
        ((this.#idBase + BigInt(conn)) & COUNTER_MASK),
      close: (connection, code, details, retryAfterMs) =>
        this.#close(connection, code, details, retryAfterMs),
      send: (connection, frame) => this.#fanout.send(connection, frame),
      onHello: (connection) => this.#wheel.schedule(connection, LOGIN_TIMEOUT_MS),
      onLive: (connection) => {
        connection.transport.accept(connection, maxFrameBytes);
        this.#wheel.schedule(connection, heartbeatIntervalMs * HEARTBEAT_GRACE);
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
    const connection = this.#table.add(
      (conn) => new Connection(conn, transport, socket, peer, this.#wheel.tick),
    );
    this.stats.connections[transport.kind]++;
    this.#wheel.schedule(connection, this.#limits.helloTimeoutMs);
    if (this.#drain) this.#close(connection, 'SERVER_DRAINING');
    else if (over >= 0) this.#close(connection, 'TOO_MANY_CONNECTIONS');
    return connection;
  }

  /** Takes a whole frame; returns whether the connection takes more. */
  #receive(connection: Connection, frame: Uint8Array): boolean {
    this.stats.framesIn++;
    connection.seen = this.#wheel.tick;
    connection.partialSince = 0;
    if (connection.phase === Phase.LIVE) this.#inbound.onFrame(connection, frame);
    else if (connection.phase === Phase.HELLO) this.#handshake.onFirstFrame(connection, frame);
    else if (connection.phase < Phase.CLOSING) this.#close(connection, 'HELLO_EXPECTED');
    return connection.phase < Phase.CLOSING;
  }

  #refuse(connection: Connection, code: ErrorCode, details?: ErrorDetails): void {
    // A message of its own on WebSocket: what follows can still be read.
    if (code === 'FRAME_INVALID' && connection.phase === Phase.LIVE)
      this.#fanout.send(connection, nackFrame(code, 0));
    else this.#close(connection, code === 'FRAME_INVALID' ? 'HELLO_EXPECTED' : code, details);
  }

  /** Tells the client why and ends the connection; idempotent. */
  #close(connection: Connection, code: ErrorCode, details?: ErrorDetails, retryAfterMs?: number): void {
    if (connection.phase >= Phase.CLOSING) return;
    this.#fanout.send(connection, closeFrame(code, details, retryAfterMs));
    this.#end(connection, code);
  }

  /** Ends the socket behind what the connection still gets in this tick. */
  #end(connection: Connection, code: ErrorCode): void {
    if (connection.phase >= Phase.CLOSING) return;
    this.#leave(connection, code);
    connection.phase = Phase.CLOSING;
    connection.closeCode = code;
    this.#fanout.end(connection);
    this.#wheel.schedule(connection, CLOSE_LINGER_MS);
  }

  /** The socket is closed, by whomever. */
  #forget(connection: Connection): void {
    if (connection.phase < Phase.CLOSING) this.#leave(connection, PEER_GONE);
    connection.phase = Phase.CLOSED;
    connection.out = undefined;
    this.#wheel.cancel(connection);
    this.#table.delete(connection);
    this.stats.connections[connection.transport.kind]--;
    if (this.#table.size === 0) this.#drain?.onEmpty();
  }

  /** State hears that the connection is gone. */
  #leave(connection: Connection, code: DisconnectCode): void {
    if (connection.attached) this.#uplink.detach(connection.conn);
    else connection.login?.link?.detach(connection.conn);
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
    this.#transports.tcp.close();
    this.#transports.ws.close();
  }

  /** Looks at a connection whose deadline has passed; returns when to look again, ms. */
  #expire(connection: Connection): number {
    const { helloTimeoutMs, frameTimeoutMs, heartbeatIntervalMs } = this.#limits;
    // Who is not being read cannot show life.
    if (this.#uplink.congested && connection.phase < Phase.CLOSING) return RELOOK_MS;
    switch (connection.phase) {
      case Phase.HELLO:
        this.#close(connection, 'HELLO_TIMEOUT', { ms: helloTimeoutMs });
        return 0;
      case Phase.TOKEN:
      case Phase.LOGIN:
      case Phase.ATTACH:
        this.#close(connection, 'STATE_UNAVAILABLE');
        return 0;
      case Phase.LIVE:
        break;
      default:
        connection.transport.destroy(connection);
        return 0;
    }
    const silenceMs = heartbeatIntervalMs * HEARTBEAT_GRACE;
    let nextMs = silenceMs - this.#wheel.since(connection.seen);
    if (nextMs <= 0) this.#close(connection, 'HEARTBEAT_TIMEOUT', { ms: silenceMs });
    if (connection.partialSince === 0) return nextMs;
    const partialMs = frameTimeoutMs - this.#wheel.since(connection.partialSince);
    if (partialMs <= 0) this.#close(connection, 'FRAME_TIMEOUT', { ms: frameTimeoutMs });
    nextMs = Math.min(nextMs, partialMs);
    return Math.max(0, nextMs);
  }
}
