import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { encodeDeliverHead } from '../proto/mod.ts';
import { Connection, Phase } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { Fanout } from './fanout.ts';
import { fakeTransport } from './test-transport.ts';
import { newWorkerStats, type WorkerStats } from './worker-stats.ts';

const MAX_OUTBOUND_BYTES = 1000;

/** Takes writes; a stuck one never finishes the first. */
class Sink extends Duplex {
  readonly writes: Buffer[] = [];
  stuck = false;

  constructor() {
    super({ writableHighWaterMark: 1 << 20 });
  }

  override _read(): void {
    // Nothing comes.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk);
    if (!this.stuck) done();
  }
}

function record(conns: number[], text: string): Uint8Array {
  return Buffer.concat([encodeDeliverHead(conns), Buffer.from(text)]);
}

describe('Fanout', () => {
  let table: ConnectionTable;
  let stats: WorkerStats;
  let slow: Connection[];
  let joining: string[];
  let fanout: Fanout;

  beforeEach(() => {
    table = new ConnectionTable();
    stats = newWorkerStats();
    slow = [];
    joining = [];
    fanout = new Fanout(
      table,
      stats,
      { maxOutboundBytes: MAX_OUTBOUND_BYTES },
      (connection) => slow.push(connection),
      (_, frame) => joining.push(Buffer.from(frame).toString()),
    );
  });

  function connect(): { connection: Connection; sink: Sink } {
    const sink = new Sink();
    const connection = table.add((conn) => new Connection(conn, fakeTransport, sink, {}));
    connection.phase = Phase.LIVE;
    return { connection, sink };
  }

  test('several frames in a tick: one write, in order', () => {
    const { connection, sink } = connect();
    fanout.send(connection, Buffer.from('a'));
    fanout.deliver([record([connection.conn], 'b')]);
    fanout.send(connection, Buffer.from('c'));
    expect(sink.writes).toEqual([]);
    fanout.flush();
    expect(sink.writes.map(String)).toEqual(['abc']);
    expect(stats).toMatchObject({ framesOut: 3, bytesOut: 3 });
  });

  test('the flush: comes by itself at the end of the tick', async () => {
    const { connection, sink } = connect();
    fanout.send(connection, Buffer.from('a'));
    await new Promise(setImmediate);
    expect(sink.writes.map(String)).toEqual(['a']);
  });

  test('the same frames to many: joined once, the same bytes for all', () => {
    const receivers = [connect(), connect(), connect()];
    const conns = receivers.map(({ connection }) => connection.conn);
    fanout.deliver([record(conns, 'one')]);
    fanout.deliver([record(conns, 'two')]);
    fanout.flush();
    for (const { sink } of receivers) expect(sink.writes[0]).toBe(receivers[0]?.sink.writes[0]);
    expect(String(receivers[0]?.sink.writes[0])).toBe('onetwo');
  });

  test('a receiver that misses one: gets the others in order, the rest theirs', () => {
    const [a, b, c] = [connect(), connect(), connect()];
    const all = [a, b, c].map(({ connection }) => connection.conn);
    fanout.deliver([record(all, '1')]);
    fanout.deliver([record([a.connection.conn, c.connection.conn], '2')]);
    fanout.deliver([record(all, '3')]);
    fanout.flush();
    expect([a, b, c].map(({ sink }) => String(sink.writes))).toEqual(['123', '13', '123']);
  });

  test('connections that are unknown or not live: nothing is written', () => {
    const { connection, sink } = connect();
    connection.phase = Phase.ATTACH;
    fanout.deliver([record([connection.conn, 4711], 'x')]);
    fanout.flush();
    expect(sink.writes).toEqual([]);
  });

  test('a record whose count exceeds it: dropped', () => {
    const { connection, sink } = connect();
    fanout.deliver([encodeDeliverHead([connection.conn, 2, 3]).subarray(0, 9)]);
    fanout.flush();
    expect(sink.writes).toEqual([]);
  });

  test('a closing connection: what it still gets is written before the end', () => {
    const { connection, sink } = connect();
    fanout.send(connection, Buffer.from('last'));
    connection.phase = Phase.CLOSING;
    fanout.end(connection);
    fanout.flush();
    expect(sink.writes.map(String)).toEqual(['last']);
    expect(sink.writableEnded).toBe(true);
  });

  test('a connection that joins its room: what comes is not for the client', () => {
    const { connection, sink } = connect();
    connection.phase = Phase.JOIN;
    fanout.deliver([record([connection.conn], 'answer')]);
    fanout.flush();
    expect(sink.writes).toEqual([]);
    expect(joining).toEqual(['answer']);
  });

  test('a reader that is behind: bytes of its own, and past the bound it is slow', () => {
    const { connection, sink } = connect();
    sink.stuck = true;
    const big = 'x'.repeat(600);
    fanout.deliver([record([connection.conn], big)]);
    fanout.flush();
    const small = record([connection.conn], 'y');
    fanout.deliver([small]);
    fanout.flush();
    expect(slow).toEqual([]);
    fanout.deliver([record([connection.conn], big)]);
    fanout.flush();
    fanout.deliver([record([connection.conn], 'z')]);
    fanout.flush();
    expect(slow).toEqual([connection]);
    // Nobody has marked it here: what fits goes on.
    expect(sink.writableLength).toBe(602);
  });

  test('records of one batch to the same connections: taken together, each that is not live left out', () => {
    const receivers = [connect(), connect(), connect()];
    const [a, b, c] = receivers as [(typeof receivers)[0], (typeof receivers)[0], (typeof receivers)[0]];
    const conns = receivers.map(({ connection }) => connection.conn);
    b.connection.phase = Phase.JOIN;
    fanout.send(c.connection, Buffer.from('first'));
    const records = [record(conns, 'one'), record(conns, 'two'), record(conns.slice(1), 'three')];
    expect([fanout.deliver(records), fanout.deliver(records, 2)]).toEqual([2, 1]);
    fanout.flush();
    expect(receivers.map(({ sink }) => String(sink.writes))).toEqual(['onetwo', '', 'firstonetwothree']);
    expect(joining).toEqual(['one', 'two', 'three']);
    expect(a.connection.out).toBeUndefined();
  });

  test('a batch beyond the bound: what fits goes out, and the connection is slow', () => {
    const { connection, sink } = connect();
    const records = Array.from({ length: 5 }, (_, i) => record([connection.conn], String(i).repeat(400)));
    for (let at = 0; at < records.length; ) at += fanout.deliver(records, at);
    fanout.flush();
    expect(slow).toEqual([connection, connection]);
    expect(sink.writes.map((bytes) => bytes.length)).toEqual([1200]);
  });

  test('any fan-out over several ticks and batches: each connection gets its frames in order', () => {
    const to = fc.oneof(fc.constant<number[]>([0, 1, 2]), fc.uniqueArray(fc.nat(5), { minLength: 1 }));
    const batch = fc.array(fc.record({ to, text: fc.string({ minLength: 1, maxLength: 5 }) }), {
      maxLength: 10,
    });
    const step = fc.oneof(fc.constant('flush' as const), batch);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const receivers = Array.from({ length: 6 }, connect);
        const wanted = receivers.map(() => '');
        for (const each of steps) {
          if (each === 'flush') {
            fanout.flush();
            continue;
          }
          const records = each.map(({ to, text }) => {
            for (const i of to) wanted[i] += text;
            return record(
              to.map((i) => (receivers[i] as (typeof receivers)[0]).connection.conn),
              text,
            );
          });
          for (let at = 0; at < records.length; ) at += fanout.deliver(records, at);
        }
        fanout.flush();
        expect(receivers.map(({ sink }) => Buffer.concat(sink.writes).toString())).toEqual(wanted);
        for (const { connection } of receivers) table.delete(connection);
      }),
    );
  });
});
