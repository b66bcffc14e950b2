import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { SendResult } from '../../crpc/mod.ts';
import {
  client,
  deliverCount,
  encodeDeliverHead,
  encodeFrame,
  FrameType,
  LinkKind,
  NO_CONNECTION,
  readU32,
  topicOf,
} from '../../proto/mod.ts';
import type { StateLimits } from '../limits.ts';
import type { Downlink, Target } from '../session/downlink.ts';
import { decodeTopic, type FakeWorker } from '../testing/fake-stream.ts';
import { settle, testNode } from '../testing/test-node.ts';
import { TOPIC_FROM, Topics } from './topics.ts';

const ROOM = 7n;
const MAX_RECORD_BYTES = 8 * 1024 * 1024;

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** Those of the records that carry messages to a room or define topics, without answers to one connection. */
function pushes(records: readonly Uint8Array[]): string[] {
  return records.flatMap((record) => {
    if (record[0] === LinkKind.TOPIC) return [`topic ${topicOf(record)} of ${decodeTopic(record).length}`];
    if (record[0] === LinkKind.PUBLISH) return [`publish ${topicOf(record)} except ${readU32(record, 4)}`];
    return record[0] === LinkKind.DELIVER && deliverCount(record) > 1
      ? [`list of ${deliverCount(record)}`]
      : [];
  });
}

describe('Topics', () => {
  let sent: string[];

  beforeEach(() => {
    sent = [];
  });

  function make(maxTopics?: number, maxConns?: number, maxRecordBytes = MAX_RECORD_BYTES): Topics {
    const send = (head: Uint8Array, conns: Uint8Array) =>
      void sent.push(...pushes([Buffer.concat([head, conns])]));
    return new Topics(send, maxRecordBytes, maxTopics, maxConns);
  }

  function target(count: number, kept = true): Target {
    const conns = range(1, count);
    return { link: {} as Downlink, conns, head: encodeDeliverHead(conns), kept, topic: 0 };
  }

  function head(topics: Topics, to: Target, except = NO_CONNECTION): string {
    return pushes([topics.head(to, except)]).join();
  }

  test('a target: is defined once and then published to', () => {
    const topics = make();
    const [a, b] = [target(40), target(50)];
    const heads = [a, b, a, b].map((to) => head(topics, to));
    expect(heads).toEqual([0, 1, 0, 1].map((topic) => `publish ${topic} except 0`));
    expect(head(topics, a, 7)).toBe('publish 0 except 7');
    expect(sent).toEqual(['topic 0 of 40', 'topic 1 of 50']);
  });

  test('few connections, or a target that is not kept: a list without the excluded connection', () => {
    const topics = make();
    const few = target(TOPIC_FROM - 1);
    expect(topics.head(few, NO_CONNECTION)).toBe(few.head);
    expect(topics.head(few, 5)).toEqual(encodeDeliverHead(few.conns.filter((conn) => conn !== 5)));
    expect(head(topics, target(TOPIC_FROM, false))).toBe(`list of ${TOPIC_FROM}`);
    expect(sent).toEqual([]);
    expect(head(topics, target(TOPIC_FROM))).toBe('publish 0 except 0');
  });

  test('more targets than topics: numbers are reused in turn, and a target that lost its number is defined anew', () => {
    const topics = make(2);
    const [a, b, c] = [target(40), target(41), target(42)];
    expect([a, b, c, b, a, c].map((to) => head(topics, to))).toEqual(
      [0, 1, 0, 1, 1, 0].map((topic) => `publish ${topic} except 0`),
    );
    expect(sent).toEqual(['topic 0 of 40', 'topic 1 of 41', 'topic 0 of 42', 'topic 1 of 40']);
  });

  test('more connections than all topics may name: the worker forgets the oldest topics', () => {
    const topics = make(4, 120);
    const [a, b, c, d] = [target(40), target(40), target(40), target(80)];
    for (const to of [a, b, c]) head(topics, to);
    sent = [];
    expect(head(topics, d)).toBe('publish 1 except 0');
    expect(sent).toEqual(['topic 0 of 0', 'topic 1 of 80']);
    expect([c, d].map((to) => head(topics, to))).toEqual(['publish 2 except 0', 'publish 1 except 0']);
    expect(sent).toHaveLength(2);
    expect(head(topics, a)).toBe('publish 2 except 0');
    expect(sent.slice(2)).toEqual(['topic 2 of 40']);
  });

  test('too many connections for all topics, or for a record: sent as a list', () => {
    expect(head(make(10, 100), target(101))).toBe('list of 101');
    expect(head(make(10, 1000, 4 + 4 * 50), target(51))).toBe('list of 51');
    expect(sent).toEqual([]);
    expect(head(make(10, 1000, 4 + 4 * 50), target(50))).toBe('publish 0 except 0');
  });

  test('any targets in any order: what is published to is defined, and the bounds hold at each moment', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: TOPIC_FROM, max: 110 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        (sizes, order) => {
          const defined = new Map<number, number[]>();
          const send = (head: Uint8Array, conns: Uint8Array) => {
            const record = Buffer.concat([head, conns]);
            defined.set(topicOf(record), decodeTopic(record));
            expect([...defined.values()].flat().length).toBeLessThanOrEqual(200);
            expect(topicOf(record)).toBeLessThan(4);
          };
          const topics = new Topics(send, MAX_RECORD_BYTES, 4, 200);
          const targets = sizes.map((size) => target(size));
          for (const which of order) {
            const to = targets[which % targets.length] as Target;
            expect(defined.get(topicOf(topics.head(to, NO_CONNECTION)))).toEqual(to.conns);
          }
        },
      ),
    );
  });

  test('after the end of the stream: none is defined', () => {
    const topics = make();
    const to = target(40);
    head(topics, to);
    topics.clear();
    head(topics, to);
    expect(sent).toHaveLength(2);
  });
});

describe('topics of rooms', () => {
  const MEMBERS = range(1, 40);

  async function room(limits: Partial<StateLimits> = {}) {
    const { store, worker } = await testNode(limits);
    const id = await store.addRoom(ROOM, 'room', MEMBERS.map(BigInt));
    const w = worker();
    for (const conn of MEMBERS) w.attach(conn, BigInt(conn));
    w.take();
    let ref = 0;
    const say = async (conn = 1) => {
      ref++;
      w.send(conn, ref, ROOM, `m${ref}`);
      await settle();
    };
    return { id, store, worker, w, say };
  }

  /** Connections that a MESSAGE came for. */
  function receivers(w: FakeWorker): number[] {
    const messages = w.delivered().filter(({ type }) => type === FrameType.MESSAGE);
    return messages.map(({ conn }) => conn).sort((a, b) => a - b);
  }

  test('a room of many: is defined once and then published to, the sender left out', async () => {
    const { w, say } = await room();
    for (const conn of [1, 2, 1]) await say(conn);
    const records = w.take();
    expect(pushes(records)).toEqual([
      'topic 0 of 40',
      'publish 0 except 1',
      'publish 0 except 2',
      'publish 0 except 1',
    ]);
    const [defined] = records.filter((record) => record[0] === LinkKind.TOPIC);
    expect(decodeTopic(defined as Uint8Array)).toEqual(MEMBERS);
    await say(5);
    expect(receivers(w)).toEqual(MEMBERS.filter((conn) => conn !== 5));
  });

  test('two streams: each has its own, and nobody is left out where the sender is not', async () => {
    const { worker, w, say } = await room();
    const other = worker();
    for (const conn of MEMBERS) other.attach(conn, BigInt(conn));
    other.take();
    await say();
    await say();
    expect(pushes(w.take())).toEqual(['topic 0 of 40', 'publish 0 except 1', 'publish 0 except 1']);
    expect(pushes(other.take())).toEqual(['topic 0 of 40', 'publish 0 except 0', 'publish 0 except 0']);
  });

  test('a connection of a member opens or closes: is defined anew', async () => {
    const { w, say } = await room();
    await say();
    w.attach(50, 40n);
    w.take();
    await say();
    await say();
    w.detach(3);
    await say();
    expect(pushes(w.take())).toEqual([
      'topic 1 of 41',
      'publish 1 except 1',
      'publish 1 except 1',
      'topic 2 of 40',
      'publish 2 except 1',
    ]);
    await say();
    expect(receivers(w)).toEqual([...MEMBERS.filter((conn) => conn !== 1 && conn !== 3), 50]);
  });

  test('others log in on any stream, or a user without connections joins: stays defined', async () => {
    const { id, store, worker, w, say } = await room();
    await say();
    w.attach(50, 50n);
    worker().attach(1, 51n);
    await say();
    await store.addMember(id, 52n);
    await say();
    expect(pushes(w.take())).toEqual([
      'topic 0 of 40',
      'publish 0 except 1',
      'publish 0 except 1',
      'publish 0 except 1',
    ]);
  });

  test('a member joins or leaves: is defined anew', async () => {
    const { id, store, w, say } = await room();
    w.attach(50, 50n);
    await say();
    w.take();
    await store.addMember(id, 50n);
    await say();
    await store.leave(id, 50n);
    await say();
    expect(pushes(w.take())).toEqual([
      'topic 1 of 41',
      'publish 1 except 1',
      'topic 2 of 40',
      'publish 2 except 1',
    ]);
  });

  test('a new stream under the number of one that ended: gets its own definitions', async () => {
    const { worker, w, say } = await room();
    await say();
    w.end('lost');
    const next = worker();
    for (const conn of MEMBERS) next.attach(conn, BigInt(conn));
    next.take();
    next.send(1, 1, ROOM, 'again');
    await settle();
    expect(pushes(next.take())).toEqual(['topic 0 of 40', 'publish 0 except 1']);
  });

  test('an entry about a message that all members may read: is sent to the topic, too', async () => {
    const { w, say } = await room();
    await say();
    w.take();
    const fields = { clientMsgId: 'e', text: 'new', kind: client.EntryKind.ENTRY_KIND_EDIT, target: 1n };
    const payload = client.Send.encode(client.Send.fromPartial(fields)).finish();
    w.frames([1, encodeFrame(FrameType.SEND, 2, ROOM, payload)]);
    await settle();
    expect(pushes(w.take())).toEqual(['publish 0 except 1']);
  });

  test('TYPING: is sent as a list', async () => {
    const { w, say } = await room();
    await say();
    w.take();
    w.frames([1, encodeFrame(FrameType.TYPING, 0, ROOM)]);
    await settle();
    expect(pushes(w.take())).toEqual(['list of 39']);
  });

  test('a message that not all members may see: is sent as a list', async () => {
    const { store, w } = await room();
    const hidden = 8n as ConversationId;
    await store.createRoom(hidden, 'hidden', 1n as UserId, true);
    for (const user of MEMBERS.slice(0, -1)) await store.addMember(hidden, BigInt(user));
    const say = async (what: string) => {
      w.send(1, 1, hidden, what);
      await settle();
      return pushes(w.take());
    };
    expect(await say('m1')).toEqual(['topic 0 of 39', 'publish 0 except 1']);
    await store.addMember(hidden, 40n);
    expect(await say('m1')).toEqual(['list of 38']);
    expect(await say('m2')).toEqual(['topic 1 of 40', 'publish 1 except 1']);
  });

  test('a congested worker: nothing is defined, and all but the sender resynchronise', async () => {
    const { w, say } = await room({ pushBytes: 100 });
    w.stream.queuedBytes = 101;
    await say();
    expect(pushes(w.take())).toEqual([]);
    w.stream.queuedBytes = 0;
    w.drained();
    expect(w.lines()).toEqual([`fence ${MEMBERS.slice(1).join(',')}`]);
    await say();
    expect(pushes(w.take())).toEqual(['topic 0 of 40', 'publish 0 except 1']);
  });

  test('a stream that does not take the definition: is ended, and nothing is published', async () => {
    const { w, say } = await room();
    const send = w.stream.send.bind(w.stream);
    w.stream.send = (record, tail) => (record[0] === LinkKind.TOPIC ? SendResult.CLOSED : send(record, tail));
    await say();
    expect(pushes(w.take())).toEqual([]);
    expect(w.stream.isClosed).toBe(true);
  });
});
