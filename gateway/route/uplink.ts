/** The uplink: streams to every state node, and the choice of the node for each frame. */
import { type ErrorCode, isErrorCode } from '../../common/mod.ts';
import { Rendezvous, SendResult, type StreamEnd } from '../../crpc/mod.ts';
import {
  decodeConns,
  encodeFrameHead,
  encodeRecord,
  KEY_AT,
  link as wire,
  LinkKind,
  readU32,
} from '../../proto/mod.ts';
import type { Connection } from '../connections/connection.ts';
import { watchSnapshot } from '../connections/watch.ts';
import { type OpenLink, StateLink, type StateLinkEvents, type StateNode } from './state-link.ts';

/** Why a frame was dropped: no state node is ready, or the node's queue is full. */
export type ForwardError = 'STATE_UNAVAILABLE' | 'OVERLOADED';

export interface UplinkEvents {
  /** Returns all connections; every state node must know those that are attached. */
  connections(): Iterable<Connection>;
  /** The set of nodes has changed: pushes may have been lost, and messages may now take another route. */
  onRouteChange(): void;
  /** A stream ended: the node's pending answers will not come. */
  onLinkEnded(link: StateLink): void;
  /** A node sends nothing: its pending answers may not come. */
  onSilent(link: StateLink): void;
  onAttached(link: StateLink, conn: number): void;
  /** A node now knows connections that did not wait for it; they may have missed its pushes until now. */
  onAttachedLate(conns: readonly number[]): void;
  onLoginResult(link: StateLink, result: wire.LoginResult): void;
  /** See StateLinkEvents. */
  onDeliver(records: readonly Uint8Array[], from: number, named: Uint8Array): number;
  /** A node knows a WATCH that was told to it. */
  onWatching(link: StateLink, conn: number, number: number): void;
  /** The user's node has accepted or refused a WATCH. */
  onWatchResult(conn: number, number: number, accepted: boolean): void;
  onKick(conn: number, code: ErrorCode, reason: string): void;
  onFence(conns: readonly number[]): void;
  /** Returns the hops of a message. */
  onTrace(trace: wire.Trace): wire.TraceHop[];
  /** The uplink is no longer congested. */
  onUncongested(): void;
  onMalformed(link: StateLink, error: unknown): void;
}

export interface UplinkOptions {
  readonly gatewayName: string;
  readonly worker: number;
  readonly open: OpenLink;
  readonly events: UplinkEvents;
}

export class Uplink implements StateLinkEvents {
  readonly #options: UplinkOptions;
  readonly #events: UplinkEvents;
  #gateway: number;
  #hasNumber = true;
  readonly #links = new Map<string, StateLink>();
  #ready: StateLink[] = [];
  #rendezvous = new Rendezvous([]);
  #congested = false;

  /** @param gateway number leased from the registry */
  constructor(gateway: number, options: UplinkOptions) {
    this.#gateway = gateway;
    this.#options = options;
    this.#events = options.events;
  }

  get gateway(): number {
    return this.#gateway;
  }

  /** Number of nodes that take frames. */
  get readyLinks(): number {
    return this.#ready.length;
  }

  /** Longest text that every node accepts, bytes of UTF-8. */
  get maxTextBytes(): number {
    let least = Infinity;
    for (const { node } of this.#links.values()) least = Math.min(least, node.maxTextBytes);
    return least;
  }

  /** Whether a node's stream is full: clients should not be read. */
  get congested(): boolean {
    return this.#congested;
  }

  /** Follows the registry. A node that has left it is used until its stream ends. */
  setNodes(nodes: readonly StateNode[]): void {
    const wanted = new Map(nodes.map((node) => [node.id, node]));
    let lost = false;
    for (const link of this.#links.values()) {
      link.retired = !wanted.has(link.node.id);
      if (!link.retired || link.isOpen) continue;
      this.#drop(link);
      // The node may still be working out of our reach, unless another process has taken its address.
      lost ||= !nodes.some((node) => node.address === link.node.address);
    }
    for (const node of nodes)
      if (!this.#links.has(node.id)) this.#links.set(node.id, new StateLink(node, this.#options.open, this));
    if (lost) this.#events.onRouteChange();
  }

  /** Changes the gateway number and reopens every stream under it. Undefined: there is none for new connections. */
  setGateway(gateway: number | undefined): void {
    this.#hasNumber = gateway !== undefined;
    if (gateway === undefined || gateway === this.#gateway) return;
    this.#gateway = gateway;
    const nodes = [...this.#links.values()].filter((link) => !link.retired).map((link) => link.node);
    this.close();
    this.setNodes(nodes);
    this.#events.onRouteChange();
  }

  /** Sends a client's frame to the node of its conversation, or of its user where it has no key. Returns that node's link. */
  forward(connection: Connection, frame: Uint8Array): StateLink | ForwardError {
    const hi = readU32(frame, KEY_AT);
    const lo = readU32(frame, KEY_AT + 4);
    const link = hi === 0 && lo === 0 ? this.nodeOfUser(connection.user) : this.#pick(hi, lo);
    if (link === undefined) return 'STATE_UNAVAILABLE';
    connection.head ??= encodeFrameHead(connection.conn, connection.round);
    if (link.send(connection.head, frame) === SendResult.CLOSED) return 'OVERLOADED';
    return link;
  }

  /** Returns the node of a user, or the next one while that is silent. */
  nodeOfUser(user: bigint): StateLink | undefined {
    const [hi, lo] = [Number(user >> 32n), Number(user & 0xffff_ffffn)];
    const link = this.#pick(hi, lo);
    if (link?.silent !== true) return link;
    const others = this.#ready.filter(({ silent }) => !silent);
    return others[new Rendezvous(others.map(({ node }) => node.id)).pick(hi, lo)] ?? link;
  }

  /** Asks the user's node for a session. Returns the node, or undefined if none is ready. */
  login(login: wire.Login): StateLink | undefined {
    const link = this.#hasNumber ? this.nodeOfUser(login.user) : undefined;
    const record = encodeRecord(LinkKind.LOGIN, wire.Login.encode(login).finish());
    return link === undefined || link.login(record) === SendResult.CLOSED ? undefined : link;
  }

  /** Sends ATTACH to all nodes but the one that knows the connection already. Returns those that will answer. */
  attach(connection: Connection, knowing: StateLink | undefined): StateLink[] {
    const told: StateLink[] = [];
    for (const link of this.#links.values()) if (link !== knowing && link.attach(connection)) told.push(link);
    return told;
  }

  /** Tells all nodes that a connection has another access token. */
  renew({ conn, token }: Connection): void {
    const record = encodeRecord(LinkKind.RENEW, wire.Renew.encode({ conn, token }).finish());
    for (const link of this.#links.values()) link.renew(record);
  }

  /** Sends WATCH to all nodes but one. Returns those that will confirm it. */
  tellWatch(record: Uint8Array, except: StateLink | undefined): StateLink[] {
    const told: StateLink[] = [];
    for (const link of this.#links.values()) if (link !== except && link.watch(record)) told.push(link);
    return told;
  }

  /** Sends DETACH to all nodes. @param left whether either side ended the connection on purpose; else it broke */
  detach(conn: number, left: boolean): void {
    for (const link of this.#links.values()) link.detach(conn, left);
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#route();
  }

  *snapshot(): Iterable<Connection> {
    for (const connection of this.#events.connections()) if (connection.attached) yield connection;
  }

  watchOf({ conn, watch }: Connection): Uint8Array | undefined {
    return watchSnapshot(conn, watch);
  }

  introduce(): wire.Open {
    return { gateway: this.#gateway, gatewayName: this.#options.gatewayName, worker: this.#options.worker };
  }

  onReady(link: StateLink): void {
    if (this.#links.get(link.node.id) !== link) return;
    this.#route();
    this.#events.onRouteChange();
  }

  onEnded(link: StateLink, _end: StreamEnd): void {
    const known = this.#links.get(link.node.id) === link;
    if (known && link.retired) this.#drop(link);
    this.#route();
    this.#events.onLinkEnded(link);
    if (known) this.#events.onRouteChange();
  }

  onSilent(link: StateLink): void {
    this.#events.onSilent(link);
  }

  onAttached(link: StateLink, conn: number): void {
    this.#events.onAttached(link, conn);
  }

  onAttachedLate(conns: readonly number[]): void {
    this.#events.onAttachedLate(conns);
  }

  onCongestion(): void {
    const congested = this.#ready.some((link) => link.congested);
    if (congested === this.#congested) return;
    this.#congested = congested;
    if (!congested) this.#events.onUncongested();
  }

  onDeliver(records: readonly Uint8Array[], from: number, named: Uint8Array): number {
    return this.#events.onDeliver(records, from, named);
  }

  onMalformed(link: StateLink, error: Error): void {
    this.#events.onMalformed(link, error);
  }

  onRecord(link: StateLink, record: Uint8Array): void {
    try {
      const body = record.subarray(1);
      if (record[0] === LinkKind.LOGIN_RESULT)
        this.#events.onLoginResult(link, wire.LoginResult.decode(body));
      else if (record[0] === LinkKind.KICK) {
        const { conn, code, reason } = wire.Kick.decode(body);
        this.#events.onKick(conn, isErrorCode(code) ? code : 'INTERNAL', reason);
      } else if (record[0] === LinkKind.FENCE) this.#events.onFence(decodeConns(record));
      else if (record[0] === LinkKind.TRACE) this.#onTrace(link, wire.Trace.decode(body));
      else if (record[0] === LinkKind.WATCHING)
        this.#events.onWatching(link, readU32(record, 1), readU32(record, 5));
      else if (record[0] === LinkKind.WATCH_RESULT)
        this.#events.onWatchResult(readU32(record, 1), readU32(record, 5), record[9] === 1);
      // Unknown kinds belong to a newer version of the link.
    } catch (error) {
      this.#events.onMalformed(link, error);
    }
  }

  /** An answer that does not fit the stream is dropped; the asking node goes on without it. */
  #onTrace(link: StateLink, trace: wire.Trace): void {
    const traced = { number: trace.number, hops: this.#events.onTrace(trace) };
    link.send(encodeRecord(LinkKind.TRACED, wire.Traced.encode(traced).finish()));
  }

  #pick(hi: number, lo: number): StateLink | undefined {
    return this.#ready[this.#rendezvous.pick(hi, lo)];
  }

  #drop(link: StateLink): void {
    this.#links.delete(link.node.id);
    link.close();
  }

  #route(): void {
    this.#ready = [...this.#links.values()].filter((link) => link.ready);
    this.#rendezvous = new Rendezvous(this.#ready.map((link) => link.node.id));
    this.onCongestion();
  }
}
