/** One worker of the gateway: client sockets on one side, state nodes on the other. It also runs without its own thread. */
import {
  type CodeWithDetails,
  type ErrorCode,
  isPlainErrorCode,
  type ListenOptions,
  type Logger,
  type PlainErrorCode,
  type WriteMany,
} from '../../common/mod.ts';
import { textBytesIn } from '../../proto/mod.ts';
import { Authenticator } from '../login/authenticator.ts';
import { type Connection, Phase } from '../connections/connection.ts';
import { Connections } from '../connections/connections.ts';
import { ConnectionIds, ConnectionTable } from '../connections/connection-table.ts';
import { Deadlines } from '../connections/deadlines.ts';
import type { TlsMaterial } from '../accept/tls-material.ts';
import type { AlternateGateway } from '../connections/redirect.ts';
import { BroadcastWriter } from '../push/broadcast-writer.ts';
import { Fanout } from '../push/fanout.ts';
import { AdmissionControl } from '../connections/admission.ts';
import { Handshake, type HandshakeContext } from '../login/handshake.ts';
import { Renewal } from '../login/renewal.ts';
import { TokenChecks } from '../login/token-checks.ts';
import { Inbound } from '../route/inbound.ts';
import { type GatewayLimits, MAX_SLOW_CONSUMER_BYTES, MAX_PARTIAL_BYTES } from '../limits.ts';
import { Listeners } from '../accept/listeners.ts';
import { PartialFrames } from '../wire/partial-frames.ts';
import { ResyncFence } from '../route/resync-fence.ts';
import type { Budget } from '../connections/send-budget.ts';
import { SlowConsumers } from '../connections/slow-consumers.ts';
import { Throttle } from '../connections/throttle.ts';
import type { OpenLink, StateNode } from '../route/state-link.ts';
import type { TransportEvents } from '../wire/transport.ts';
import { TicketCheck } from '../login/ticket-check.ts';
import { TraceRing } from '../route/trace-ring.ts';
import { Watches } from '../route/watches.ts';
import { nackFrame } from '../route/answers.ts';
import { Uplink, type UplinkEvents } from '../route/uplink.ts';
import { newWorkerStats, type WorkerStats } from './worker-stats.ts';

export interface WorkerNodeOptions {
  /** Number leased from the registry. */
  readonly gateway: number;
  readonly gatewayName: string;
  readonly worker: number;
  /** This worker's share; see shareOf. */
  readonly limits: GatewayLimits;
  readonly open: OpenLink;
  /** undefined: no TLS. */
  readonly clientTls?: TlsMaterial | undefined;
  readonly logger: Logger;
  /** Native write to many sockets. @default one by one */
  readonly writeMany?: WriteMany | undefined;
  /** Whether clients need a ticket of ipconf. @default false */
  readonly requireTicket?: boolean;
  /** The set of ready state nodes has changed. */
  readonly onRouteChange?: () => void;
}

export class WorkerNode {
  readonly stats: WorkerStats = newWorkerStats();
  readonly #options: WorkerNodeOptions;
  readonly #limits: { -readonly [K in keyof GatewayLimits]: GatewayLimits[K] };
  readonly #tickets: TicketCheck | undefined;
  readonly #authenticator: Authenticator;
  readonly #table = new ConnectionTable();
  readonly #traces = new TraceRing();
  readonly #deadlines: Deadlines;
  readonly #admission: AdmissionControl;
  readonly #fanout: Fanout;
  readonly #slow: SlowConsumers;
  readonly #partials: PartialFrames;
  readonly #throttle: Throttle;
  readonly #handshake: Handshake;
  readonly #fence: ResyncFence;
  readonly #uplink: Uplink;
  readonly #watches: Watches;
  readonly #inbound: Inbound;
  readonly #connections: Connections;
  readonly #listeners: Listeners;
  /** Connections that are not read because a state node is congested. */
  #heldBack = new Set<Connection>();

  constructor(options: WorkerNodeOptions) {
    this.#options = options;
    const { gateway, gatewayName, worker, open } = options;
    // One object for all parts, so that they see reloaded limits.
    const limits = { ...options.limits };
    this.#limits = limits;
    this.#tickets = options.requireTicket ? new TicketCheck(gatewayName) : undefined;
    this.#authenticator = new Authenticator(this.#tickets);
    this.#admission = new AdmissionControl(limits, this.stats, () => this.#deadlines.tick);
    this.#deadlines = new Deadlines(limits, {
      isCongested: () => this.#uplink.congested,
      close: (connection, said) => this.#connections.close(connection, said),
      onAttachOverdue: (connection) => this.#handshake.onAttachOverdue(connection),
    });
    this.#slow = new SlowConsumers(limits, {
      stats: this.stats,
      maxBytes: MAX_SLOW_CONSUMER_BYTES,
      tick: () => this.#deadlines.tick,
      onCaughtUp: (connection) => {
        this.#resume(connection);
        this.#fence.lost(connection);
      },
      onTimeout: (connection) => {
        this.stats.slowClosed++;
        this.#connections.close(connection, 'SLOW_CONSUMER');
      },
    });
    this.#partials = new PartialFrames({
      maxBytes: MAX_PARTIAL_BYTES,
      stats: this.stats,
      evict: (connection) => {
        this.#admission.count('partial_bytes');
        this.#connections.close(connection, 'OVERLOADED');
        // After CLOSE, which leaves in this tick, nothing from the client is awaited.
        setImmediate(() => connection.transport.destroy(connection));
      },
    });
    this.#throttle = new Throttle({
      turnsPerSecond: () => limits.framesPerSecond,
      hasRoom: (budget) => this.#admission.hasRoom(budget),
      owesLittle: (budget) => this.#admission.owesLittle(budget),
      isCongested: () => this.#uplink.congested,
      onHeld: (connection) => {
        this.#admission.count('account_rate');
        // Before WELCOME a client may send only little, so it is not paused.
        if (connection.phase === Phase.LIVE) connection.transport.pause(connection);
      },
      onFrame: (connection, frame, bytes) => this.#inbound.onTurn(connection, frame, bytes),
      onLogin: (connection) => this.#handshake.onLoginTurn(connection),
      onReleased: (connection) => {
        this.#deadlines.onResumed(connection);
        this.#resume(connection);
      },
    });
    const onSlow = (connection: Connection) => {
      this.stats.slowEpisodes++;
      this.#slow.mark(connection);
    };
    const onJoining = (connection: Connection, frame: Uint8Array) =>
      this.#handshake.onJoining(connection, frame);
    const writer = new BroadcastWriter(options.writeMany);
    this.#fanout = new Fanout(this.#table, this.stats, limits, onSlow, onJoining, this.#traces, writer);
    const send = (connection: Connection, frame: Uint8Array) => this.#fanout.send(connection, frame);
    this.#uplink = new Uplink(gateway, { gatewayName, worker, open, events: this.#uplinkEvents() });
    const checks = new TokenChecks({ admission: this.#admission });
    this.#handshake = new Handshake(this.#handshakeContext(checks));
    const renewal = new Renewal({
      authenticator: this.#authenticator,
      checks,
      admission: this.#admission,
      uplink: this.#uplink,
      deadlines: this.#deadlines,
      send,
    });
    this.#watches = new Watches({
      uplink: this.#uplink,
      tick: () => this.#deadlines.tick,
      refuse: (connection, ref, said, retryAfterMs) =>
        send(connection, nackFrame(said, { ref, key: 0n }, '', retryAfterMs)),
    });
    this.#fence = new ResyncFence({ isReachable: () => this.#uplink.readyLinks > 0, send });
    this.#connections = new Connections({
      table: this.#table,
      stats: this.stats,
      limits,
      admission: this.#admission,
      deadlines: this.#deadlines,
      fanout: this.#fanout,
      uplink: this.#uplink,
      forget: (connection) => {
        this.#handshake.forget(connection);
        this.#watches.onGone(connection);
      },
    });
    this.#inbound = new Inbound({
      uplink: this.#uplink,
      fence: this.#fence,
      handshake: this.#handshake,
      renewal,
      watches: this.#watches,
      connections: this.#connections,
      deadlines: this.#deadlines,
      admission: this.#admission,
      throttle: this.#throttle,
      stats: this.stats,
      send,
      traces: this.#traces,
    });
    this.#listeners = new Listeners(this.#transportEvents(), limits, options.clientTls, options.logger);
    this.#deadlines.start();
  }

  /** Number of open sockets. */
  get size(): number {
    return this.#table.size;
  }

  /** Whether new clients can be served: keys are known and a state node is ready. */
  get canServe(): boolean {
    return this.#authenticator.ready && this.#uplink.readyLinks > 0;
  }

  /** Listens for one kind of client and returns the port. Rejects with the system's error. */
  listen(kind: 'tcp' | 'ws', options: Omit<ListenOptions, 'backlog'>): Promise<number> {
    return this.#listeners.listen(kind, options);
  }

  /** Uses another certificate for new handshakes. */
  setTls(material: TlsMaterial): void {
    this.#listeners.setTls(material);
  }

  /** Stops accepting until `listen`: clients find the ports closed and go to another gateway. */
  pause(): void {
    this.#listeners.close();
  }

  /** Applies the limits of a reloaded configuration to new clients and frames. */
  setLimits(limits: GatewayLimits): void {
    Object.assign(this.#limits, limits);
    this.#listeners.onLimits();
  }

  /** Follows the state nodes that the registry knows. */
  setStateNodes(nodes: readonly StateNode[]): void {
    this.#uplink.setNodes(nodes);
  }

  /** Sets another gateway number after the old one was lost; undefined: there is none, and logins are refused. */
  setGateway(gateway: number | undefined): void {
    this.#uplink.setGateway(gateway);
  }

  /** Sets the public signing keys from the registry. */
  setKeys(jwks: string): void {
    this.#setKeys(jwks, 'signing', (keys) => this.#authenticator.setKeys(keys));
  }

  /** Stops accepting and closes all connections with a redirect, spread over the first half of the deadline. */
  drain(deadlineMs: number, redirects: readonly AlternateGateway[] = []): Promise<void> {
    this.#listeners.close();
    return this.#connections.drain(deadlineMs, redirects);
  }

  /** Sends CLOSE to all clients, gives the sockets a moment to end, and destroys the rest. */
  async stop(code: PlainErrorCode = 'SERVER_DRAINING'): Promise<void> {
    this.#listeners.close();
    const ended = this.#connections.stop(code);
    this.#fence.close();
    this.#slow.stop();
    this.#throttle.stop();
    this.#uplink.close();
    await ended;
    this.#deadlines.stop();
  }

  /** Sets the public keys of the ipconf nodes. */
  setTicketKeys(jwks: string): void {
    this.#setKeys(jwks, 'ticket', (keys) => this.#tickets?.setKeys(keys));
  }

  /** Pauses a connection that must not be read now; see TransportEvents. */
  #mustWait(connection: Connection): boolean {
    if (this.#uplink.congested) {
      connection.transport.pause(connection);
      this.#heldBack.add(connection);
      return true;
    }
    if (connection.phase !== Phase.LIVE || this.#admission.hasRoom(connection.budget as Budget)) return false;
    this.#throttle.hold(connection);
    return true;
  }

  /** Resumes reading a connection, unless there is another reason to pause it. */
  #resume(connection: Connection): void {
    if (connection.slowSince === 0 && connection.held === undefined) connection.transport.resume(connection);
  }

  #setKeys(jwks: string, what: string, set: (jwks: string) => void): void {
    try {
      set(jwks);
    } catch (error) {
      this.#options.logger.error(
        { err: error, what },
        'the published keys are not a key set; the old ones stay',
      );
    }
  }

  #transportEvents(): TransportEvents {
    return {
      mustWait: (connection) => this.#mustWait(connection),
      onSocket: (address) => this.#admission.enter(address),
      onSocketGone: (origin) => this.#admission.leave(origin),
      onRejected: (code) => this.#connections.count(code),
      mayExplain: () => this.#admission.mayExplain(),
      onControlFrame: (connection, bytes) => this.#inbound.onControlFrame(connection, bytes),
      onAccept: (transport, socket, peer) => this.#connections.open(transport, socket, peer),
      onBytes: (count) => {
        this.stats.bytesIn += count;
      },
      onFrame: (connection, frame, bytes) => this.#inbound.onFrame(connection, frame, bytes),
      onFault: (connection, fault, bytes) => this.#inbound.onFault(connection, fault, bytes),
      onDecodeError: (error) =>
        this.#options.logger.error({ err: error }, 'a state node sent a frame that does not parse'),
      onPartial: (connection, bytes) => {
        this.#partials.hold(connection, bytes, connection.partialSince === 0);
        this.#deadlines.onPartial(connection);
      },
      onWhole: (connection) => {
        connection.partialSince = 0;
        this.#partials.release(connection);
      },
      onGone: (connection, isCutOff) => {
        this.#heldBack.delete(connection);
        this.#partials.release(connection);
        if (!isCutOff) this.#throttle.onEnd(connection);
        this.#connections.onGone(connection, isCutOff);
      },
      onAcceptError: () => {
        this.stats.acceptErrors++;
      },
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
      onLinkEnded: (link) => {
        this.#handshake.onLinkEnded(link);
        this.#watches.onLinkEnded(link);
      },
      onWatching: (link, conn, number) => this.#watches.onWatching(link, this.#table.get(conn), number),
      onWatchResult: (conn, number, accepted) =>
        this.#watches.onResult(this.#table.get(conn), number, accepted),
      onAttached: (link, conn) => this.#handshake.onAttached(link, this.#table.get(conn)),
      onSilent: (link) => this.#handshake.onSilent(link),
      onLoginResult: (link, result) =>
        this.#handshake.onLoginResult(link, this.#table.get(result.conn), result),
      onDeliver: (records, from, named) => this.#fanout.deliver(records, from, named),
      onKick: (conn, code, reason) => {
        const connection = this.#table.get(conn);
        if (connection) this.#connections.close(connection, kickOf(code, reason));
      },
      onAttachedLate: (conns) => this.#fence.lostMany(this.#table.find(conns)),
      onFence: (conns) => this.#fence.hold(this.#table.find(conns)),
      onTrace: (trace) => this.#traces.find(trace),
      onUncongested: () => {
        const held = this.#heldBack;
        this.#heldBack = new Set();
        for (const connection of held) {
          this.#deadlines.onResumed(connection);
          this.#resume(connection);
        }
      },
      onMalformed: (link, error) =>
        this.#options.logger.error(
          { err: error, state: link.node.address },
          'a state node sent a malformed record',
        ),
    };
  }

  #handshakeContext(checks: TokenChecks): HandshakeContext {
    const { gatewayName: gateway } = this.#options;
    const limits = this.#limits;
    const { maxFrameBytes } = limits;
    const ids = new ConnectionIds(this.#options.worker);
    return {
      welcome: { gateway, maxFrameBytes },
      maxTextBytes: () => Math.min(this.#uplink.maxTextBytes, textBytesIn(maxFrameBytes)),
      heartbeatIntervalMs: () => limits.heartbeatIntervalMs,
      authenticator: this.#authenticator,
      checks,
      uplink: this.#uplink,
      connectionId: (conn) => ids.of(this.#uplink.gateway, conn),
      admission: this.#admission,
      deadlines: this.#deadlines,
      close: (connection, said, retryAfterMs) => this.#connections.close(connection, said, retryAfterMs),
      send: (connection, frame) => this.#fanout.send(connection, frame),
      hold: (connection) => this.#throttle.hold(connection),
      onLive: (connection) => {
        connection.transport.accept(connection, maxFrameBytes);
        this.#deadlines.onLive(connection);
      },
    };
  }
}

/** Returns the code and details of a KICK; only an operator's kick carries a reason. */
function kickOf(code: ErrorCode, reason: string): CodeWithDetails {
  if (isPlainErrorCode(code)) return { code };
  return code === 'KICKED' ? { code, details: { reason } } : { code: 'INTERNAL' };
}
