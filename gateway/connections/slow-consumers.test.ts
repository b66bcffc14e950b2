import { Duplex } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import { encodeDeliverHead, encodeFrame, FrameType } from '../../proto/mod.ts';
import { Connection, Phase } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { Fanout } from '../push/fanout.ts';
import { SlowConsumers } from './slow-consumers.ts';
import { heldBytes } from '../testing/test-memory.ts';
import { fakeTransport } from '../testing/test-transport.ts';
import { newWorkerStats, type WorkerStats } from '../supervisor/worker-stats.ts';

const LIMITS = { maxOutboundBytes: 65_536, slowTimeoutMs: 1000 };
const MIB = 1024 * 1024;

/** A socket whose peer does not read. */
class Stuck extends Duplex {
  #written: (() => void)[] = [];
  bytes = 0;

  override _read(): void {
    // Nothing comes.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.bytes += chunk.length;
    this.#written.push(done);
  }

  /** The peer reads one write. */
  drainOne(): void {
    this.#written.shift()?.();
  }
}

let tick: number;
let table: ConnectionTable;
let stats: WorkerStats;
let slow: SlowConsumers;
let fanout: Fanout;
let caughtUp: Connection[];
let timedOut: Connection[];

beforeEach(() => {
  tick = 1;
  table = new ConnectionTable();
  stats = newWorkerStats();
  caughtUp = [];
  timedOut = [];
  slow = new SlowConsumers(LIMITS, {
    stats,
    maxBytes: 2 * LIMITS.maxOutboundBytes,
    tick: () => tick,
    onCaughtUp: (connection) => caughtUp.push(connection),
    onTimeout: (connection) => timedOut.push(connection),
  });
  fanout = new Fanout(
    table,
    stats,
    LIMITS,
    (connection) => slow.mark(connection),
    () => undefined,
  );
  return () => slow.stop();
});

function connect(): { connection: Connection; socket: Stuck } {
  const socket = new Stuck();
  const connection = table.add((conn) => new Connection(conn, fakeTransport, socket, { origin: undefined }));
  connection.phase = Phase.LIVE;
  return { connection, socket };
}

function deliver(conns: readonly number[], type: FrameType, bytes: number): void {
  fanout.deliver([
    Buffer.concat([encodeDeliverHead(conns), encodeFrame(type, 0, 1n, new Uint8Array(bytes))]),
  ]);
  fanout.flush();
}

describe('SlowConsumers', () => {
  test('a large frame to a client that had little waiting and reads nothing: it has not caught up, and is cut at the deadline', () => {
    const { connection } = connect();
    deliver([connection.conn], FrameType.MESSAGE, 1000);
    deliver([connection.conn], FrameType.MESSAGE, 100_000);
    expect(connection.slowSince).toBe(1);
    slow.look();
    expect(caughtUp).toEqual([]);
    tick += 100;
    slow.look();
    expect(timedOut).toEqual([connection]);
  });

  test('too much waits for all clients: those that have been slow longest are cut', () => {
    const all = Array.from({ length: 5 }, () => connect().connection);
    for (const { conn } of all) for (let i = 0; i < 10; i++) deliver([conn], FrameType.MESSAGE, 10_000);
    expect(slow.size).toBe(5);
    slow.look();
    expect(timedOut).toEqual(all.slice(0, timedOut.length));
    expect(timedOut.length).toBeGreaterThan(0);
    const { connections, bytes } = stats.slow;
    expect(connections).toBe(5 - timedOut.length);
    expect(bytes).toBeLessThanOrEqual(2 * LIMITS.maxOutboundBytes);
    expect(bytes + (all[0] as Connection).socket.writableLength).toBeGreaterThan(2 * LIMITS.maxOutboundBytes);
  });

  test('beyond the bound: nothing more is queued until the client has caught up', () => {
    const { connection, socket } = connect();
    const conns = [connection.conn];
    for (let i = 0; i < 10; i++) deliver(conns, FrameType.MESSAGE, 10_000);
    expect(slow.size).toBe(1);
    const queued = socket.writableLength;
    expect(queued).toBeLessThanOrEqual(LIMITS.maxOutboundBytes);
    deliver(conns, FrameType.SENT, 1);
    expect(socket.writableLength).toBe(queued);
    slow.look();
    expect(caughtUp).toEqual([]);
    expect(stats.slow).toEqual({ connections: 1, bytes: queued });
    while (socket.writableLength > 0) socket.drainOne();
    slow.look();
    expect([caughtUp, slow.size]).toEqual([[connection], 0]);
    expect(stats.slow).toEqual({ connections: 0, bytes: 0 });
    deliver(conns, FrameType.MESSAGE, 1);
    expect(socket.writableLength).toBe(17);
  });

  test('a client that stays slow: is closed at its deadline with the code', () => {
    const { connection, socket } = connect();
    for (let i = 0; i < 10; i++) deliver([connection.conn], FrameType.MESSAGE, 10_000);
    tick += 10;
    slow.look();
    expect(timedOut).toEqual([]);
    tick += 1;
    slow.look();
    expect([timedOut, slow.size]).toEqual([[connection], 0]);
    const queued = socket.writableLength;
    fanout.sendLast(connection, encodeFrame(FrameType.CLOSE, 0, 0n));
    connection.phase = Phase.CLOSING;
    fanout.flush();
    expect(socket.writableLength).toBe(queued + 16);
  });

  test('a client that closes: is no longer watched', () => {
    const { connection } = connect();
    for (let i = 0; i < 10; i++) deliver([connection.conn], FrameType.MESSAGE, 10_000);
    connection.phase = Phase.CLOSED;
    tick += 100;
    slow.look();
    expect([caughtUp, timedOut, slow.size]).toEqual([[], [], 0]);
  });

  test('ephemeral frames: are dropped first, long before a message', () => {
    const { connection, socket } = connect();
    const conns = [connection.conn];
    deliver(conns, FrameType.TYPING, 10);
    expect(socket.writableLength).toBe(26);
    deliver(conns, FrameType.MESSAGE, 20_000);
    const queued = socket.writableLength;
    deliver(conns, FrameType.TYPING, 10);
    expect([socket.writableLength, stats.ephemeralDropped]).toEqual([queued, 1]);
    deliver(conns, FrameType.MESSAGE, 10);
    expect(socket.writableLength).toBe(queued + 26);
    expect(slow.size).toBe(0);
  });

  test('a tick that exceeds the bound by itself: its first frames pass, the rest is dropped', () => {
    const { connection, socket } = connect();
    const frame = encodeFrame(FrameType.RESPONSE, 1, 0n, new Uint8Array(60_000));
    for (let i = 0; i < 32; i++) fanout.send(connection, frame.slice());
    fanout.flush();
    expect(slow.size).toBe(1);
    expect(socket.writableLength).toBe(2 * frame.length);
  });

  test('1,000 clients that stop reading: what is held is bounded, and more traffic adds nothing', async () => {
    const readers = Array.from({ length: 1000 }, connect);
    const held = async () => (await heldBytes()) / MIB;
    // Each alone, so that none shares its bytes with another: the worst case.
    const round = () => {
      for (const { connection } of readers) deliver([connection.conn], FrameType.MESSAGE, 4000);
    };
    const before = await held();
    for (let i = 0; i < 17; i++) round();
    expect(slow.size).toBe(1000);
    const full = await held();
    const bound = (1000 * LIMITS.maxOutboundBytes) / MIB;
    expect(readers.reduce((sum, { socket }) => sum + socket.writableLength, 0)).toBeLessThanOrEqual(
      1000 * LIMITS.maxOutboundBytes,
    );
    expect(full - before).toBeLessThan(bound * 1.5);
    for (let i = 0; i < 50; i++) round();
    expect((await held()) - full).toBeLessThan(bound * 0.5);
  });
});
