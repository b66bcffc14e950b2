/** Fan-out to sockets: everything for a connection within an event-loop tick leaves in one write. */
import {
  deliverCount,
  isEphemeral,
  LinkKind,
  NO_CONNECTION,
  PUBLISH_HEAD_BYTES,
  readU32,
  topicCount,
} from '../../proto/mod.ts';
import { type Connection, Phase } from '../connections/connection.ts';
import type { ConnectionTable } from '../connections/connection-table.ts';
import { type GatewayLimits, EPHEMERAL_QUEUE_SHARE } from '../limits.ts';
import { TraceRing } from '../route/trace-ring.ts';
import type { WorkerStats } from '../supervisor/worker-stats.ts';
import { type Downlink, extend } from './downlink.ts';
import { BroadcastWriter } from './broadcast-writer.ts';

const NO_TRACE = -1;

/** Joins and writes frames. Keeps nothing beyond the tick. */
export class Fanout {
  readonly #table: ConnectionTable;
  readonly #stats: WorkerStats;
  readonly #limits: Pick<GatewayLimits, 'maxOutboundBytes'>;
  readonly #onSlow: (connection: Connection) => void;
  readonly #onJoining: (connection: Connection, frame: Uint8Array) => void;
  readonly #traces: TraceRing;
  readonly #writer: BroadcastWriter;
  #dirty: Connection[] = [];
  #spare: Connection[] = [];
  /** The first node that was made last in this tick. */
  #first: Downlink | undefined;
  #scheduled = false;
  /** Scratch of `deliver`: the lists of a run of records, by length. */
  readonly #run: Downlink[] = [];

  /**
   * @param onSlow The connection's queue would pass the bound: frames for it are dropped until it is no longer slow.
   * @param onJoining A frame for a connection in the JOIN phase; it is not for the client.
   */
  constructor(
    table: ConnectionTable,
    stats: WorkerStats,
    limits: Pick<GatewayLimits, 'maxOutboundBytes'>,
    onSlow: (connection: Connection) => void,
    onJoining: (connection: Connection, frame: Uint8Array) => void,
    traces = new TraceRing(),
    writer = new BroadcastWriter(),
  ) {
    this.#table = table;
    this.#stats = stats;
    this.#limits = limits;
    this.#onSlow = onSlow;
    this.#onJoining = onJoining;
    this.#traces = traces;
    this.#writer = writer;
  }

  /**
   * Adds the frame of a DELIVER or PUBLISH record to each of its connections that still lives. Following records for the
   * same connections, as in a busy room, are taken together with it, so the connections are walked once. Returns the
   * number of records taken.
   *
   * @param named the record that names the connections: a DELIVER does itself, for a PUBLISH it is the topic's
   */
  deliver(records: readonly Uint8Array[], from = 0, named = records[from] as Uint8Array): number {
    const record = records[from] as Uint8Array;
    const isPublish = record[0] === LinkKind.PUBLISH;
    const count = isPublish ? topicCount(named) : deliverCount(named);
    const at = isPublish ? PUBLISH_HEAD_BYTES : 4 + count * 4;
    if (record.length <= at) return 1;
    const except = isPublish ? readU32(record, 4) : NO_CONNECTION;
    const frame = frameAfter(record, at);
    if (isEphemeral(frame[4])) {
      this.#deliverEphemeral(named, count, except, frame);
      return 1;
    }
    const only = count === 1 ? this.#table.get(readU32(named, 4)) : undefined;
    const sockets = except === NO_CONNECTION ? count : count - 1;
    const run = this.#run;
    let list = extend(undefined, frame, this.#traces.delivered(frame, only, sockets));
    run.push(list);
    while (list.bytes <= this.#limits.maxOutboundBytes) {
      const next = records[from + run.length];
      if (next === undefined || next.length <= at || !namesTheSame(record, next, at)) break;
      const another = frameAfter(next, at);
      if (isEphemeral(another[4])) break;
      list = extend(list, another, this.#traces.delivered(another, only, sockets));
      run.push(list);
    }
    for (let i = 0; i < count; i++) {
      const conn = readU32(named, 4 + i * 4);
      if (conn !== except) this.#appendRun(this.#table.get(conn), list);
    }
    const taken = run.length;
    run.length = 0;
    return taken;
  }

  /** Sends a frame to one connection with this tick's write; dropped if the connection is slow. */
  send(connection: Connection, frame: Uint8Array): void {
    this.#append(connection, Buffer.from(frame.buffer, frame.byteOffset, frame.length), NO_TRACE);
  }

  /** Sends the last frame of a connection, slow or not. */
  sendLast(connection: Connection, frame: Uint8Array): void {
    connection.slowSince = 0;
    this.send(connection, frame);
  }

  /** Ends the connection's socket after this tick's frames. */
  end(connection: Connection): void {
    if (connection.out === undefined) this.#touch(connection);
  }

  /** Writes this tick's frames now. */
  flush(): void {
    this.#scheduled = false;
    this.#first = undefined;
    const dirty = this.#dirty;
    this.#dirty = this.#spare;
    for (const connection of dirty) this.#write(connection);
    this.#writer.flush();
    dirty.length = 0;
    this.#spare = dirty;
  }

  #deliverEphemeral(named: Uint8Array, count: number, except: number, frame: Buffer): void {
    const soft = this.#limits.maxOutboundBytes * EPHEMERAL_QUEUE_SHARE;
    for (let i = 0; i < count; i++) {
      const connection = this.#table.get(readU32(named, 4 + i * 4));
      if (connection?.phase !== Phase.LIVE || connection.conn === except) continue;
      const waiting = connection.socket.writableLength + (connection.out?.bytes ?? 0);
      if (waiting > soft) this.#stats.ephemeralDropped++;
      else this.#append(connection, frame, NO_TRACE);
    }
  }

  #appendRun(connection: Connection | undefined, list: Downlink): void {
    if (connection?.phase === Phase.LIVE && connection.out === undefined && connection.slowSince === 0) {
      this.#touch(connection);
      connection.out = list;
      return;
    }
    for (const { frame, trace } of this.#run) {
      if (connection?.phase === Phase.LIVE) {
        this.#append(connection, frame, trace);
        continue;
      }
      if (connection?.phase === Phase.JOIN) this.#onJoining(connection, frame);
      this.#traces.gone(trace);
    }
  }

  #append(connection: Connection, frame: Buffer, trace: number): void {
    if (connection.slowSince !== 0) {
      this.#traces.slow(trace);
      return;
    }
    const out = connection.out;
    if (out !== undefined && out.bytes > this.#limits.maxOutboundBytes && connection.phase === Phase.LIVE) {
      // More than the bound in one tick. What it has already is still written if its socket's queue is empty.
      this.#traces.slow(trace);
      this.#onSlow(connection);
      return;
    }
    const next = out === undefined ? this.#first : out.next;
    if (out === undefined) this.#touch(connection);
    if (next?.frame === frame) {
      connection.out = next;
      return;
    }
    const longer = extend(out, frame, trace);
    if (out === undefined) this.#first = longer;
    else out.next = longer;
    connection.out = longer;
  }

  #touch(connection: Connection): void {
    this.#dirty.push(connection);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#onImmediate);
  }

  readonly #onImmediate = (): void => this.flush();

  #write(connection: Connection): void {
    const out = connection.out;
    connection.out = undefined;
    if (connection.phase === Phase.CLOSED || connection.ended) {
      for (let node = out; node !== undefined; node = node.previous) this.#traces.gone(node.trace);
      return;
    }
    if (out !== undefined) {
      const queued = connection.socket.writableLength;
      const isOver = queued > 0 && queued + out.bytes > this.#limits.maxOutboundBytes;
      if (isOver && connection.phase !== Phase.CLOSING) {
        for (let node: Downlink | undefined = out; node !== undefined; node = node.previous)
          this.#traces.slow(node.trace);
        this.#onSlow(connection);
        return;
      }
      const bytes = connection.transport.pack(out, queued > 0);
      this.#stats.framesOut += out.count;
      this.#stats.bytesOut += bytes.length;
      this.#writer.write(connection.socket, connection.descriptor, bytes);
    }
    if (connection.phase === Phase.CLOSING) {
      this.#writer.flush();
      connection.ended = true;
      connection.transport.end(connection);
    }
  }
}

function frameAfter(record: Uint8Array, at: number): Buffer {
  return Buffer.from(record.buffer, record.byteOffset + at, record.length - at);
}

/** Returns whether two records are for the same connections: their heads of `bytes` bytes are equal. */
function namesTheSame(record: Uint8Array, other: Uint8Array, bytes: number): boolean {
  // Most differ in their topic or last connection, and two views cost more than this check.
  if (record[3] !== other[3] || record[bytes - 1] !== other[bytes - 1]) return false;
  return Buffer.compare(record.subarray(0, bytes), other.subarray(0, bytes)) === 0;
}
