import { describe, expect, test } from 'vitest';
import type { ConversationId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import type { FakeWorker } from '../testing/fake-stream.ts';
import { settle, testNode } from '../testing/test-node.ts';
import type { TestStore } from '../testing/test-store.ts';

const ROOM = 7n;
const MANY = Array.from({ length: 257 }, (_, i) => BigInt(i + 1));

/** A room with these members, and a connection of each of the first five. */
async function room(members: readonly bigint[]) {
  const made = await testNode();
  await made.store.addRoom(ROOM, 'room', members);
  await made.store.addUser(1000n);
  const w = made.worker();
  for (const conn of [1, 2, 3, 4, 5]) w.attach(conn, BigInt(conn));
  w.attach(1000, 1000n);
  w.take();
  return { ...made, w };
}

/** Frames of a type that came, as connection and payload. */
function collector<T>(w: FakeWorker, type: number, decode: (payload: Uint8Array) => T) {
  const found: (readonly [number, T])[] = [];
  const take = () => {
    for (const each of w.delivered()) if (each.type === type) found.push([each.conn, decode(each.payload)]);
  };
  const until = async (count: number) => {
    await eventually(`${count} frames of type ${type}`, () => {
      take();
      return found.length >= count;
    });
    return found;
  };
  return { found, take, until };
}

function report(w: FakeWorker, conn: number, deliveredSeq: bigint, readSeq: bigint): void {
  const receipts = [{ conversation: ROOM, deliveredSeq, readSeq, readEpoch: 0n, thread: 0n }];
  w.frames([conn, encodeFrame(FrameType.RECEIPTS, 0, 0n, client.Receipts.encode({ receipts }).finish())]);
}

/** Waits until so many members have read something. */
async function stored(store: TestStore, readers: number): Promise<void> {
  await eventually(`the cursors of ${readers}`, async () => {
    const receipts = await store.receiptsIn([ROOM as ConversationId]);
    return receipts.filter(({ readSeq }) => readSeq > 0).length === readers;
  });
}

async function set(w: FakeWorker, conn: number, name: string, value: unknown): Promise<void> {
  const settings = [{ name, value: JSON.stringify(value) }];
  w.request(conn, 9, 0n, { $case: 'setSettings', setSettings: { settings, ifVersion: 0n } });
  await eventually('the settings', () => w.delivered().some(({ type }) => type === FrameType.RESPONSE));
}

const byConn = ([a]: readonly unknown[], [b]: readonly unknown[]) => Number(a) - Number(b);

const readOf = (payload: Uint8Array) =>
  client.Read.decode(payload).receipts.map(
    ({ user, readSeq, deliveredSeq }) => `${user} read ${readSeq} of ${deliveredSeq}`,
  );

describe('READ', () => {
  test('to those who watch, with what is stored; not to others, who watch and are no members, or have left', async () => {
    const { w, store } = await room([1n, 2n, 3n, 4n]);
    for (const conn of [1, 3, 4]) w.watch(conn, { ids: [ROOM], isHome: false });
    // A watch of a node that is not the user's is not checked there: the members decide.
    w.watch(1000, { ids: [ROOM], isHome: false });
    await store.leave(ROOM, 4n);
    w.send(2, 1, ROOM, 'one');
    await settle();
    const read = collector(w, FrameType.READ, readOf);
    report(w, 2, 9n, 1n);
    await read.until(2);
    expect(read.found.map(([conn, what]) => [conn, ...what]).toSorted(byConn)).toEqual([
      [1, '2 read 1 of 2'],
      [3, '2 read 1 of 2'],
    ]);
  });

  test('to who has come back meanwhile, by another node, and watches', async () => {
    const { w, store } = await room([1n, 2n, 3n]);
    w.watch(1, { ids: [ROOM], isHome: false });
    await store.leave(ROOM, 3n);
    w.send(2, 1, ROOM, 'one');
    await settle();
    const read = collector(w, FrameType.READ, readOf);
    report(w, 2, 1n, 1n);
    await read.until(1);
    // This node knows nothing of it.
    await store.addMember(ROOM, 3n);
    w.watch(3, { ids: [ROOM], isHome: false });
    report(w, 1, 1n, 1n);
    await read.until(3);
    expect(read.found.slice(1).toSorted(byConn)).toEqual([
      [1, ['1 read 1 of 1']],
      [3, ['1 read 1 of 1']],
    ]);
  });

  test('gathered: many moves of many members come as few frames', async () => {
    const { w } = await room([1n, 2n, 3n, 4n, 5n]);
    w.watch(1, { ids: [ROOM], isHome: false });
    for (let i = 1; i <= 3; i++) w.send(2, i, ROOM, `m${i}`);
    await settle();
    const read = collector(w, FrameType.READ, readOf);
    for (let seq = 1n; seq <= 3n; seq++) for (const conn of [3, 4, 5]) report(w, conn, seq, seq);
    await eventually('the last cursor of each', () => {
      read.take();
      return [3, 4, 5].every((user) => read.found.some(([, all]) => all.includes(`${user} read 3 of 3`)));
    });
    expect(read.found.length).toBeLessThan(4);
  });

  test('of who hides it nothing, to who hides it nothing; of who is invisible nothing', async () => {
    const { w } = await room([1n, 2n, 3n, 4n, 5n]);
    await set(w, 2, 'receipts', false);
    await set(w, 4, 'invisible', true);
    for (const conn of [1, 2]) w.watch(conn, { ids: [ROOM], isHome: false });
    w.send(1, 1, ROOM, 'one');
    await settle();
    const read = collector(w, FrameType.READ, readOf);
    report(w, 2, 1n, 1n);
    report(w, 4, 1n, 1n);
    await settle();
    report(w, 3, 1n, 1n);
    expect(await read.until(1)).toEqual([[1, ['3 read 1 of 1']]]);
  });

  test('above 256 members: none', async () => {
    const { w } = await room(MANY);
    w.watch(1, { ids: [ROOM], isHome: false });
    w.send(2, 1, ROOM, 'one');
    await settle();
    const read = collector(w, FrameType.READ, readOf);
    report(w, 2, 1n, 1n);
    // The next news of the room is of its members.
    w.request(3, 9, ROOM, { $case: 'leaveRoom', leaveRoom: {} });
    const counts = collector(w, FrameType.MEMBERS_CHANGED, (payload) =>
      client.MembersChanged.decode(payload),
    );
    await counts.until(1);
    read.take();
    expect(read.found).toEqual([]);
  });
});

describe('WATCHED', () => {
  test('the receipts of others who show them; none to who hides own ones', async () => {
    const { w, store } = await room([1n, 2n, 3n, 4n, 5n]);
    w.send(1, 1, ROOM, 'one');
    await settle();
    for (const conn of [2, 3, 4]) report(w, conn, 1n, 1n);
    await stored(store, 3);
    await set(w, 3, 'receipts', false);
    const watched = collector(w, FrameType.WATCHED, (payload) =>
      client.Watched.decode(payload).conversations.map(({ members, receipts }) => [
        members,
        ...receipts.map(({ user, readSeq }) => `${user} read ${readSeq}`),
      ]),
    );
    w.watch(2, { ids: [ROOM] });
    expect(await watched.until(1)).toEqual([[2, [[5, '4 read 1']]]]);
    w.watch(3, { ids: [ROOM] });
    expect((await watched.until(2))[1]).toEqual([3, [[5]]]);
  });
});

describe('get_readers', () => {
  test('pages by id, without who hides it, is invisible since before, or may not read the message', async () => {
    const { w, store } = await room([1n, 2n, 3n, 4n, 5n]);
    w.send(1, 1, ROOM, 'one');
    await settle();
    for (const conn of [2, 3]) report(w, conn, 1n, 1n);
    await stored(store, 2);
    await set(w, 3, 'receipts', false);
    await set(w, 4, 'invisible', true);
    for (const conn of [4, 5]) report(w, conn, 1n, 1n);
    await stored(store, 4);
    await store.addMember(ROOM, 1000n);
    await settle();
    const answers = collector(w, FrameType.RESPONSE, (payload) => {
      const { result } = client.Response.decode(payload);
      return result?.$case === 'readers'
        ? `${result.readers.readers.map(({ id }) => id).join()} ${result.readers.next}`
        : '';
    });
    const nacks = collector(w, FrameType.NACK, (payload) => client.Nack.decode(payload).code);
    const ask = (conn: number, seq: bigint, after = '', limit = 0, key = ROOM) =>
      w.request(conn, 9, key, { $case: 'getReaders', getReaders: { seq, after, limit } });
    ask(1, 1n);
    expect((await answers.until(1)).at(-1)).toEqual([1, '2,5 ']);
    ask(1, 1n, '', 1);
    expect((await answers.until(2)).at(-1)).toEqual([1, '2 2']);
    ask(1, 1n, '2', 1);
    expect((await answers.until(3)).at(-1)).toEqual([1, '5 ']);
    ask(3, 1n);
    expect((await answers.until(4)).at(-1)).toEqual([3, ' ']);
    for (const [seq, key] of [[0n], [2n], [1n, 99n]] as const) {
      ask(1, seq, '', 0, key);
      await nacks.until(1);
    }
    await eventually('three refusals', () => {
      nacks.take();
      return nacks.found.length === 3;
    });
    expect(nacks.found.map(([, code]) => code)).toEqual([
      'TARGET_NOT_FOUND',
      'TARGET_NOT_FOUND',
      'NOT_A_MEMBER',
    ]);
  });
});

describe('TYPING', () => {
  const typing = (w: FakeWorker, conn: number, stopped = false) =>
    w.frames([
      conn,
      encodeFrame(
        FrameType.TYPING,
        0,
        ROOM,
        client.Typing.encode(client.Typing.fromPartial({ stopped })).finish(),
      ),
    ]);
  const notices = (w: FakeWorker) =>
    collector(w, FrameType.TYPING, (payload) => Number(client.Typing.decode(payload).user));

  test('above 256 members: to who watches alone, not to oneself; who begins to watch is told who types', async () => {
    const { w } = await room(MANY);
    w.watch(1, { ids: [ROOM], isHome: false });
    w.watch(2, { ids: [ROOM], isHome: false });
    w.attach(22, 2n, { device: 'phone' });
    w.watch(22, { ids: [ROOM], isHome: false });
    w.take();
    const told = notices(w);
    typing(w, 2);
    expect(await told.until(1)).toEqual([[1, 2]]);
    w.watch(3, { ids: [ROOM], isHome: false });
    expect(await told.until(2)).toEqual([
      [1, 2],
      [3, 2],
    ]);
    typing(w, 2, true);
    await told.until(4);
    w.watch(4, { ids: [ROOM], isHome: false });
    typing(w, 5);
    await told.until(8);
    expect(told.found.filter(([conn]) => conn === 4)).toEqual([[4, 5]]);
  });

  test('of who is invisible: nothing, in small rooms neither', async () => {
    const { w } = await room([1n, 2n, 3n]);
    await set(w, 2, 'invisible', true);
    const told = notices(w);
    typing(w, 2);
    typing(w, 3);
    expect(await told.until(2)).toEqual([
      [1, 3],
      [2, 3],
    ]);
  });
});

describe('joins and leaves', () => {
  const news = (w: FakeWorker) =>
    collector(w, FrameType.MEMBERS_CHANGED, (payload) => {
      const { change, user, members } = client.MembersChanged.decode(payload);
      return `${change} ${user} ${members}`;
    });

  test('above 256 members: who watches is told their number, the user’s devices of the change, others nothing', async () => {
    const { w } = await room(MANY);
    w.watch(1, { ids: [ROOM], isHome: false });
    w.take();
    const told = news(w);
    w.request(1000, 9, 0n, { $case: 'joinRoom', joinRoom: { room: String(ROOM) } });
    await told.until(2);
    const { MEMBER_CHANGE_JOINED, MEMBER_CHANGE_COUNT } = client.MemberChange;
    expect(told.found.toSorted(byConn)).toEqual([
      [1, `${MEMBER_CHANGE_COUNT} 0 258`],
      [1000, `${MEMBER_CHANGE_JOINED} 1000 0`],
    ]);
  });

  test('who leaves is told nothing more of what it watches', async () => {
    const { w } = await room([1n, 2n, 3n]);
    w.watch(2, { ids: [ROOM], isHome: false });
    w.watch(1, { ids: [ROOM], isHome: false });
    w.send(1, 1, ROOM, 'one');
    await settle();
    w.request(2, 9, ROOM, { $case: 'leaveRoom', leaveRoom: {} });
    const read = collector(w, FrameType.READ, readOf);
    await eventually('the leave', () => w.delivered().some(({ type }) => type === FrameType.RESPONSE));
    report(w, 3, 1n, 1n);
    expect(await read.until(1)).toEqual([[1, ['3 read 1 of 1']]]);
  });
});
