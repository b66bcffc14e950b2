/** The stream from a worker to one state node: a snapshot of its connections, then changes and frames. */
import type { BatchStream, ClientBatchHandler, StreamEnd } from '../../crpc/mod.ts';
import { SendResult } from '../../crpc/mod.ts';
import { decodeConns, encodeDetach, encodeRecord, link as wire, LinkKind } from '../../proto/mod.ts';
import { SILENCE_MS } from '../limits.ts';
import { Topics } from './topics.ts';

/** Keeps a stream to an address open until closed; implemented by crpc's BatchLink. */
export type OpenLink = (address: string, handler: ClientBatchHandler) => { close(): void };

/** A state node as the registry knows it. */
export interface StateNode {
  readonly id: string;
  readonly address: string;
  /** Longest text that it accepts, bytes of UTF-8. */
  readonly maxTextBytes: number;
}

const LinkPhase = {
  CONNECTING: 0,
  /** The stream is open and the snapshot is being sent. */
  SNAPSHOT: 1,
  /** READY was sent; waiting for ATTACHED of the snapshot. */
  SETTLING: 2,
  /** The node knows all connections of this worker and takes frames. */
  READY: 3,
} as const;
type LinkPhase = (typeof LinkPhase)[keyof typeof LinkPhase];

/** A connection as state nodes know it while it is attached. */
export interface AttachedConnection extends Readonly<wire.Attach> {
  readonly attached: boolean;
}

/** Callbacks of a link. */
export interface StateLinkEvents {
  /** Returns the connections that the node must know. */
  snapshot(): Iterable<AttachedConnection>;
  /** Returns the WATCH record of a connection; undefined: it watches nothing. */
  watchOf(connection: AttachedConnection): Uint8Array | undefined;
  /** Returns the worker's OPEN. */
  introduce(): wire.Open;
  onReady(link: StateLink): void;
  /** An open stream ended: its pushes are lost. */
  onEnded(link: StateLink, end: StreamEnd): void;
  /** The node is silent from now on. */
  onSilent(link: StateLink): void;
  onAttached(link: StateLink, conn: number): void;
  /** ATTACHED has come for connections that no longer waited for it. */
  onAttachedLate(conns: readonly number[]): void;
  /**
   * The record at `from` is a DELIVER or a PUBLISH. Returns the number of records handled from there on.
   *
   * @param named the record that names the connections: a DELIVER does itself, for a PUBLISH it is the topic's
   */
  onDeliver(records: readonly Uint8Array[], from: number, named: Uint8Array): number;
  /** Any other record. */
  onRecord(link: StateLink, record: Uint8Array): void;
  /** A malformed record has ended the stream. */
  onMalformed(link: StateLink, error: Error): void;
  /** `congested` of the link has changed. */
  onCongestion(): void;
}

const READY_RECORD = new Uint8Array([LinkKind.READY]);

/** An item that waits for room in the stream: an ATTACH, or the record of a DETACH, READY, RENEW or WATCH. */
type Waiting = AttachedConnection | Uint8Array;

/**
 * Maintains one state node's view of this worker's connections.
 *
 * The node gets frames only after it has confirmed the snapshot. From then on it pushes to every connection, so a resync
 * that begins then finds everything from before in the log.
 */
export class StateLink implements ClientBatchHandler {
  readonly node: StateNode;
  /** The node has left the registry; the link lives until its stream ends. */
  retired = false;
  /** Whether the node was asked for a session and has sent nothing for SILENCE_MS since; it may be frozen. */
  silent = false;
  /** Set from a LOGIN on until the node sends something. */
  #silence: NodeJS.Timeout | undefined;
  readonly #events: StateLinkEvents;
  readonly #reconnecting: { close(): void };
  #phase: LinkPhase = LinkPhase.CONNECTING;
  #stream: BatchStream | undefined;
  #congested = false;
  /** At most one ATTACH and one DETACH per connection, and the RENEWs, which are as rare as logins. */
  #waiting: Waiting[] = [];
  #unsettled = new Set<number>();
  /** Live connections whose ATTACHED has not come yet. */
  readonly #late = new Set<number>();
  readonly #topics = new Topics();

  constructor(node: StateNode, open: OpenLink, events: StateLinkEvents) {
    this.node = node;
    this.#events = events;
    this.#reconnecting = open(node.address, this);
  }

  /** Whether the node takes frames. */
  get ready(): boolean {
    return this.#phase === LinkPhase.READY;
  }

  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  /** Whether the stream is full and no more should be sent until it has drained. */
  get congested(): boolean {
    return this.#congested;
  }

  /** Sends a record. SUCCESS and BACKPRESSURE mean that it was taken. */
  send(record: Uint8Array, tail?: Uint8Array): SendResult {
    const stream = this.#stream;
    return stream === undefined ? SendResult.CLOSED : this.#sent(stream, stream.send(record, tail));
  }

  /** Sends LOGIN; if then nothing comes from the node, `onSilent` follows. */
  login(record: Uint8Array): SendResult {
    const result = this.send(record);
    if (result !== SendResult.CLOSED) this.#silence ??= setTimeout(() => this.#onSilence(), SILENCE_MS);
    return result;
  }

  /** Sends ATTACH; `onAttached` follows. Returns false if the stream is not open. */
  attach(connection: AttachedConnection): boolean {
    if (this.#stream === undefined) return false;
    if (this.#phase === LinkPhase.SNAPSHOT) this.#unsettled.add(connection.conn);
    this.#control(connection);
    return true;
  }

  /** A connection no longer waits for ATTACHED of this node; `onAttachedLate` or the end of the stream follows. */
  expectLate(conn: number): void {
    this.#late.add(conn);
  }

  /** Sends DETACH. @param left whether either side ended the connection on purpose; else it broke */
  detach(conn: number, left: boolean): void {
    if (this.#stream === undefined) return;
    this.#control(encodeDetach(conn, left));
    this.#late.delete(conn);
    this.#settle(conn);
  }

  /** Whether the node takes WATCH records. */
  get knowsWatch(): boolean {
    return this.#stream?.protocol.capabilities.has('watch') === true;
  }

  /** Sends WATCH, behind the ATTACH of its connection. Returns whether WATCHING will follow. */
  watch(record: Uint8Array): boolean {
    if (!this.knowsWatch) return false;
    this.#control(record);
    return true;
  }

  /** Sends RENEW, behind the ATTACH of its connection. */
  renew(record: Uint8Array): void {
    if (this.#stream !== undefined) this.#control(record);
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
      const watch = this.knowsWatch ? this.#events.watchOf(connection) : undefined;
      if (watch !== undefined) this.#waiting.push(watch);
    }
    this.#waiting.push(READY_RECORD);
    this.#pump();
  }

  onRecords(records: readonly Uint8Array[]): void {
    if (this.#silence !== undefined) this.#endSilence();
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
    this.#endSilence();
    this.#waiting = [];
    this.#unsettled.clear();
    this.#late.clear();
    this.#topics.clear();
    this.#setCongested(false);
    this.#events.onEnded(this, end);
  }

  /** Throws, so that crpc ends the stream and all connections resynchronise. */
  #fail(what: string): never {
    const error = new Error(what);
    this.#events.onMalformed(this, error);
    throw error;
  }

  /** Sends a record that must not be lost, after those already waiting. */
  #control(item: Waiting): void {
    this.#waiting.push(item);
    if (this.#waiting.length === 1) this.#pump();
  }

  #pump(): void {
    const waiting = this.#waiting;
    let sent = 0;
    for (; sent < waiting.length; sent++) {
      const item = waiting[sent] as Waiting;
      // The connection has closed before its ATTACH was sent.
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
    // Nothing waits for a DETACH, and one rarely comes alone.
    const isUrgent = record[0] !== LinkKind.DETACH;
    return this.#sent(stream, isUrgent ? stream.send(record) : stream.sendSoon(record));
  }

  #sent(stream: BatchStream, result: SendResult): SendResult {
    // If the queue is empty (the record was too large) no drain event would follow.
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

  #onSilence(): void {
    const silence = this.#silence;
    // After the sockets' turn: this event loop itself may have stalled.
    setImmediate(() => {
      if (this.#silence !== silence) return;
      this.silent = true;
      this.#events.onSilent(this);
    });
  }

  #endSilence(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.silent = false;
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
