/** The stream from a worker to one state node: the snapshot of its connections, then what changes, then frames. */
import type { BatchStream, ClientBatchHandler, StreamEnd } from '../../crpc/mod.ts';
import { SendResult } from '../../crpc/mod.ts';
import { decodeConns, encodeDetach, encodeRecord, link as wire, LinkKind } from '../../proto/mod.ts';
import { Topics } from './topics.ts';

/** Keeps a stream to an address open until it is closed: crpc's BatchLink. */
export type OpenLink = (address: string, handler: ClientBatchHandler) => { close(): void };

/** A state node as the registry knows it. */
export interface StateNode {
  readonly id: string;
  readonly address: string;
  /** Longest text that it takes, bytes of UTF-8. */
  readonly maxTextBytes: number;
}

const LinkPhase = {
  CONNECTING: 0,
  /** The stream is open and the snapshot is on its way. */
  SNAPSHOT: 1,
  /** READY is sent; ATTACHED of the snapshot is awaited. */
  SETTLING: 2,
  /** The node knows all connections of this worker: it takes frames. */
  READY: 3,
} as const;
type LinkPhase = (typeof LinkPhase)[keyof typeof LinkPhase];

/** A connection as a state node knows it, for as long as it is attached. */
export interface AttachedConnection extends Readonly<wire.Attach> {
  readonly attached: boolean;
}

/** What the links tell their owner. */
export interface StateLinkEvents {
  /** Returns the connections that the node must know. */
  snapshot(): Iterable<AttachedConnection>;
  /** The worker's name for OPEN. */
  introduce(): wire.Open;
  onReady(link: StateLink): void;
  /** An open stream ended: what it would have pushed is lost. */
  onEnded(link: StateLink, end: StreamEnd): void;
  onAttached(link: StateLink, conn: number): void;
  /** ATTACHED has come for connections that were not to wait for it. */
  onAttachedLate(conns: readonly number[]): void;
  /**
   * The record at `from` is a DELIVER or a PUBLISH. Returns how many it has taken of those from there on.
   *
   * @param named the record that names the connections: a DELIVER does itself, for a PUBLISH it is the topic's
   */
  onDeliver(records: readonly Uint8Array[], from: number, named: Uint8Array): number;
  /** Any other record. */
  onRecord(link: StateLink, record: Uint8Array): void;
  /** A record is malformed in such a way that the stream is ended. */
  onMalformed(link: StateLink, error: Error): void;
  /** `congested` of the link has changed. */
  onCongestion(): void;
}

const READY_RECORD = new Uint8Array([LinkKind.READY]);

/** What waits for room in the stream: an ATTACH, or a record: DETACH or READY. */
type Waiting = AttachedConnection | Uint8Array;

/**
 * Keeps one state node's view of this worker's connections.
 *
 * The node becomes a candidate for frames only when it has confirmed the snapshot: from then on it pushes to every
 * connection, so a resync that begins then finds all that was pushed before.
 */
export class StateLink implements ClientBatchHandler {
  readonly node: StateNode;
  /** The registry no longer knows the node; the link lives until its stream ends. */
  retired = false;
  readonly #events: StateLinkEvents;
  readonly #reconnecting: { close(): void };
  #phase: LinkPhase = LinkPhase.CONNECTING;
  #stream: BatchStream | undefined;
  #congested = false;
  /** Never more than an ATTACH and a DETACH per connection. */
  #waiting: Waiting[] = [];
  #unsettled = new Set<number>();
  /** Connections that live without ATTACHED, which is still to come. */
  readonly #late = new Set<number>();
  readonly #topics = new Topics();

  constructor(node: StateNode, open: OpenLink, events: StateLinkEvents) {
    this.node = node;
    this.#events = events;
    this.#reconnecting = open(node.address, this);
  }

  /** It takes frames. */
  get ready(): boolean {
    return this.#phase === LinkPhase.READY;
  }

  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  /** It takes frames, but no more should be sent until it has drained. */
  get congested(): boolean {
    return this.#congested;
  }

  /** Forwards a record; the answer SUCCESS or BACKPRESSURE means that it was taken. */
  send(record: Uint8Array, tail?: Uint8Array): SendResult {
    const stream = this.#stream;
    return stream === undefined ? SendResult.CLOSED : this.#sent(stream, stream.send(record, tail));
  }

  /** Tells the node of a connection; `onAttached` follows. Returns false where the stream is not open. */
  attach(connection: AttachedConnection): boolean {
    if (this.#stream === undefined) return false;
    if (this.#phase === LinkPhase.SNAPSHOT) this.#unsettled.add(connection.conn);
    this.#control(connection);
    return true;
  }

  /** A connection goes on without ATTACHED of this node: `onAttachedLate` follows, or the end of the stream. */
  expectLate(conn: number): void {
    this.#late.add(conn);
  }

  /** Tells the node that a connection is gone. @param left on purpose, of whichever side; else it broke */
  detach(conn: number, left: boolean): void {
    if (this.#stream === undefined) return;
    this.#control(encodeDetach(conn, left));
    this.#late.delete(conn);
    this.#settle(conn);
  }

  close(): void {
    this.#reconnecting.close();
  }

  onOpen(stream: BatchStream): void {
    this.#stream = stream;
    this.#phase = LinkPhase.SNAPSHOT;
    stream.send(encodeRecord(LinkKind.OPEN, wire.Open.encode(this.#events.introduce()).finish()));
    for (const connection of this.#events.snapshot()) {
      this.#unsettled.add(connection.conn);
      this.#waiting.push(connection);
    }
    this.#waiting.push(READY_RECORD);
    this.#pump();
  }

  onRecords(records: readonly Uint8Array[]): void {
    for (let at = 0; at < records.length; ) {
      const record = records[at] as Uint8Array;
      const kind = record[0];
      if (kind === LinkKind.DELIVER) at += this.#events.onDeliver(records, at, record);
      else if (kind === LinkKind.PUBLISH) {
        const named = this.#topics.of(record) ?? this.#fail('PUBLISH to a topic that is not defined');
        at += this.#events.onDeliver(records, at, named);
      } else {
        at++;
        if (kind === LinkKind.ATTACHED) this.#onAttached(record);
        else if (kind !== LinkKind.TOPIC) this.#events.onRecord(this, record);
        else if (!this.#topics.define(record)) this.#fail('TOPIC is malformed or out of bounds');
      }
    }
  }

  onDrain(): void {
    this.#pump();
    if (this.#waiting.length === 0) this.#setCongested(false);
  }

  onEnd(end: StreamEnd): void {
    this.#stream = undefined;
    this.#phase = LinkPhase.CONNECTING;
    this.#waiting = [];
    this.#unsettled.clear();
    this.#late.clear();
    this.#topics.clear();
    this.#setCongested(false);
    this.#events.onEnded(this, end);
  }

  /** Throws, upon which crpc ends the stream: whoever misses a push by this resynchronises with all the others. */
  #fail(what: string): never {
    const error = new Error(what);
    this.#events.onMalformed(this, error);
    throw error;
  }

  /** Sends what must not get lost, behind what already waits. */
  #control(item: Waiting): void {
    this.#waiting.push(item);
    if (this.#waiting.length === 1) this.#pump();
  }

  #pump(): void {
    const waiting = this.#waiting;
    let sent = 0;
    for (; sent < waiting.length; sent++) {
      const item = waiting[sent] as Waiting;
      // It has closed before the node heard of it.
      if (!(item instanceof Uint8Array) && !item.attached) continue;
      const result = this.#sendWaiting(item);
      if (result === SendResult.CLOSED) break;
      if (item === READY_RECORD) {
        this.#phase = LinkPhase.SETTLING;
        this.#settle(0);
      }
      if (result === SendResult.BACKPRESSURE) {
        sent++;
        break;
      }
    }
    if (sent > 0) waiting.splice(0, sent);
  }

  #sendWaiting(item: Waiting): SendResult {
    const stream = this.#stream;
    if (stream === undefined) return SendResult.CLOSED;
    const record = encodeWaiting(item);
    // Nobody waits for the answer to a DETACH, and where one goes others go.
    const isUrgent = record[0] !== LinkKind.DETACH;
    return this.#sent(stream, isUrgent ? stream.send(record) : stream.sendSoon(record));
  }

  #sent(stream: BatchStream, result: SendResult): SendResult {
    // Without a full queue (the record is too large) no drain would follow.
    if (result !== SendResult.SUCCESS && this.ready && stream.queuedBytes > 0) this.#setCongested(true);
    return result;
  }

  #onAttached(record: Uint8Array): void {
    const late: number[] = [];
    for (const conn of decodeConns(record)) {
      this.#events.onAttached(this, conn);
      if (this.#late.delete(conn)) late.push(conn);
      this.#settle(conn);
    }
    if (late.length > 0) this.#events.onAttachedLate(late);
  }

  #settle(conn: number): void {
    this.#unsettled.delete(conn);
    if (this.#phase !== LinkPhase.SETTLING || this.#unsettled.size > 0) return;
    this.#phase = LinkPhase.READY;
    this.#events.onReady(this);
  }

  #setCongested(congested: boolean): void {
    if (this.#congested === congested) return;
    this.#congested = congested;
    this.#events.onCongestion();
  }
}

function encodeWaiting(item: Waiting): Uint8Array {
  if (item instanceof Uint8Array) return item;
  const { conn, user, userName, device, session, epoch, unnamedDevice, token } = item;
  const attach = { conn, user, userName, device, session, epoch, unnamedDevice, token };
  return encodeRecord(LinkKind.ATTACH, wire.Attach.encode(attach).finish());
}
