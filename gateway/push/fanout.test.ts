import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  encodeDeliverHead,
  encodeFrame,
  encodePublishHead,
  FrameType,
  LinkKind,
  NO_CONNECTION,
} from '../../proto/mod.ts';
import { Connection, Phase } from '../connections/connection.ts';
import { ConnectionTable } from '../connections/connection-table.ts';
import { Fanout } from './fanout.ts';
import { topicRecord } from '../testing/test-link.ts';
import { fakeTransport } from '../testing/test-transport.ts';
import { Topics } from '../route/topics.ts';
import { newWorkerStats, type WorkerStats } from '../supervisor/worker-stats.ts';

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

function published(topic: number, frame: string | Uint8Array, except = NO_CONNECTION): Uint8Array {
  return Buffer.concat([encodePublishHead(topic, except), Buffer.from(frame)]);
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

  /** Hands a batch on as a StateLink does; returns how many records were taken at a time. */
  function deliverAll(topics: Topics, records: readonly Uint8Array[]): number[] {
    const taken: number[] = [];
    for (let at = 0; at < records.length; at += taken.at(-1) as number) {
      const record = records[at] as Uint8Array;
      if (record[0] !== LinkKind.TOPIC) {
        taken.push(
          fanout.deliver(records, at, record[0] === LinkKind.PUBLISH ? topics.of(record) : undefined),
        );
        continue;
      }
      expect(topics.define(record)).toBe(true);
      taken.push(1);
    }
    return taken;
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

  test('the flush: happens by itself at the end of the tick', async () => {
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

  test('a receiver left out of one frame: gets the others in order, and the other receivers get all', () => {
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

  test('a record whose count exceeds its size: dropped', () => {
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

  test('a connection that is joining its default room: pushes are not written to it', () => {
    const { connection, sink } = connect();
    connection.phase = Phase.JOIN;
    fanout.deliver([record([connection.conn], 'answer')]);
    fanout.flush();
    expect(sink.writes).toEqual([]);
    expect(joining).toEqual(['answer']);
  });

  test('a slow reader: gets a copy of the bytes, and is a slow consumer beyond the bound', () => {
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

  test('records of one batch to the same connections: handled together, without those that are not live', () => {
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

  test('a batch beyond the bound: what fits is sent, and the connection is slow', () => {
    const { connection, sink } = connect();
    const records = Array.from({ length: 5 }, (_, i) => record([connection.conn], String(i).repeat(400)));
    for (let at = 0; at < records.length; ) at += fanout.deliver(records, at);
    fanout.flush();
    expect(slow).toEqual([connection, connection]);
    expect(sink.writes.map((bytes) => bytes.length)).toEqual([1200]);
  });

  test('a topic: reaches each of its connections except the excluded one', () => {
    const receivers = [connect(), connect(), connect()];
    const conns = receivers.map(({ connection }) => connection.conn);
    const except = conns[1] as number;
    deliverAll(new Topics(), [topicRecord(3, conns), published(3, 'x', except), published(3, 'y')]);
    fanout.flush();
    expect(receivers.map(({ sink }) => String(sink.writes))).toEqual(['xy', 'y', 'xy']);
  });

  test('publications of one batch: handled together where topic and exclusion are the same', () => {
    const receivers = [connect(), connect()];
    const [a, b] = receivers.map(({ connection }) => connection.conn) as [number, number];
    const taken = deliverAll(new Topics(), [
      topicRecord(1, [a, b]),
      topicRecord(2, [b]),
      published(1, '1'),
      published(1, '2'),
      published(1, '3', a),
      published(1, '4', a),
      published(2, '5'),
      record([1], '6'),
    ]);
    fanout.flush();
    expect(taken).toEqual([1, 1, 2, 2, 1, 1]);
    expect(receivers.map(({ sink }) => String(sink.writes))).toEqual(['126', '12345']);
  });

  test('a topic that is redefined between two publications: each reaches the connections of its own time', () => {
    const receivers = [connect(), connect()];
    const [a, b] = receivers.map(({ connection }) => connection.conn) as [number, number];
    deliverAll(new Topics(), [
      topicRecord(1, [a]),
      published(1, '1'),
      topicRecord(1, [b]),
      published(1, '2'),
      published(1, '3'),
    ]);
    fanout.flush();
    expect(receivers.map(({ sink }) => String(sink.writes))).toEqual(['1', '23']);
  });

  test('an ephemeral publication: is sent, except to the excluded connection', () => {
    const receivers = [connect(), connect()];
    const [a, b] = receivers.map(({ connection }) => connection.conn) as [number, number];
    const typing = encodeFrame(FrameType.TYPING, 0, 1n);
    deliverAll(new Topics(), [topicRecord(1, [a, b]), published(1, typing, a)]);
    fanout.flush();
    expect(receivers.map(({ sink }) => sink.writes.length)).toEqual([0, 1]);
  });

  test('ephemeral frames: dropped from a quarter of the bound on, even if one tick alone fills it', () => {
    const { connection, sink } = connect();
    const typing = encodeFrame(FrameType.TYPING, 0, 1n);
    fanout.deliver([record([connection.conn], 'x'.repeat(MAX_OUTBOUND_BYTES / 4 + 1))]);
    fanout.deliver([Buffer.concat([encodeDeliverHead([connection.conn]), typing])]);
    fanout.flush();
    expect(sink.writes.map(({ length }) => length)).toEqual([MAX_OUTBOUND_BYTES / 4 + 1]);
    expect(stats.ephemeralDropped).toBe(1);
  });

  test('a single frame of a large batch: what is written does not keep the batch in memory', () => {
    const receivers = [connect(), connect()];
    const conns = receivers.map(({ connection }) => connection.conn);
    const batch = Buffer.alloc(1 << 20);
    const one = record(conns, 'hello');
    batch.set(one, 5000);
    fanout.deliver([batch.subarray(5000, 5000 + one.length)]);
    fanout.flush();
    const [first, second] = receivers.map(({ sink }) => sink.writes[0] as Buffer) as [Buffer, Buffer];
    expect(first.toString()).toBe('hello');
    expect(first.buffer.byteLength).toBeLessThan(1 << 17);
    expect(second.buffer).toBe(first.buffer);
  });

  test('a publication without a frame: dropped', () => {
    const { connection, sink } = connect();
    deliverAll(new Topics(), [topicRecord(1, [connection.conn]), published(1, '')]);
    fanout.flush();
    expect(sink.writes).toEqual([]);
  });

  test('any fan-out over several ticks and batches, by lists and topics: each connection gets its frames in order', () => {
    const to = fc.oneof(fc.constant<number[]>([0, 1, 2]), fc.uniqueArray(fc.nat(5), { minLength: 1 }));
    const text = fc.string({ minLength: 1, maxLength: 5 });
    const topic = fc.nat(2);
    const except = fc.oneof(fc.constant(undefined), fc.nat(5));
    const push = fc.oneof(
      fc.record({ to, text }),
      fc.record({ topic, to }),
      fc.record({ topic, text, except }),
    );
    const step = fc.oneof(fc.constant('flush' as const), fc.array(push, { maxLength: 10 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const receivers = Array.from({ length: 6 }, connect);
        const connOf = (i: number) => (receivers[i] as (typeof receivers)[0]).connection.conn;
        const wanted = receivers.map(() => '');
        const topics = new Topics();
        const meant = [[0], [0], [0]];
        deliverAll(
          topics,
          meant.map((to, topic) => topicRecord(topic, to.map(connOf))),
        );
        for (const each of steps) {
          if (each === 'flush') {
            fanout.flush();
            continue;
          }
          const records = each.map((push) => {
            if (!('text' in push)) {
              meant[push.topic] = push.to;
              return topicRecord(push.topic, push.to.map(connOf));
            }
            if ('to' in push) {
              for (const i of push.to) wanted[i] += push.text;
              return record(push.to.map(connOf), push.text);
            }
            for (const i of meant[push.topic] as number[]) if (i !== push.except) wanted[i] += push.text;
            return published(
              push.topic,
              push.text,
              push.except === undefined ? NO_CONNECTION : connOf(push.except),
            );
          });
          deliverAll(topics, records);
        }
        fanout.flush();
        expect(receivers.map(({ sink }) => Buffer.concat(sink.writes).toString())).toEqual(wanted);
        for (const { connection } of receivers) table.delete(connection);
      }),
    );
  });
});
