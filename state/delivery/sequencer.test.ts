import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { TestStore } from '../testing/test-store.ts';
import { settle, type TestNode, testNode } from '../testing/test-node.ts';
import type { FakeWorker } from '../testing/fake-stream.ts';
import { sendFrame } from '../testing/fake-stream.ts';
import { eventually, within } from '../../test/harness/eventually.ts';

const ROOM = 7n;

/** Two users in a room, each with one connection of the same worker: 1 and 2. */
async function pair(limits: Parameters<typeof testNode>[0] = {}): Promise<TestNode & { w: FakeWorker }> {
  const made = await testNode(limits);
  await made.store.addRoom(ROOM, 'room', [1n, 2n]);
  const w = made.worker();
  w.attach(1, 1n);
  w.attach(2, 2n);
  w.take();
  return { ...made, w };
}

function texts(store: TestStore): string[] {
  return store.log(ROOM).map(({ text }) => text);
}

function batchSizes(store: TestStore): number[] {
  return store.batches.map((batch) => batch.length);
}

describe('sequencer: group commit', () => {
  test('first sends: commit at once; what comes meanwhile is committed together, in order', async () => {
    const { store, w } = await pair();
    store.holding = true;
    for (let i = 1; i <= 5; i++) w.send(1, i, ROOM, `m${i}`);
    expect(batchSizes(store)).toEqual([1]);
    store.release();
    await settle();
    expect(batchSizes(store)).toEqual([1, 4]);
    store.release();
    await settle();
    expect(texts(store)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
    expect(w.lines().filter((line) => line.startsWith('1:'))).toEqual(
      [1, 2, 3, 4, 5].map((i) => `1: SENT ref=${i} m${i} seq=${i}`),
    );
  });

  test('sends of one batch of records: are committed together', async () => {
    const { store, w } = await pair();
    w.frames([1, sendFrame(1, ROOM, 'a', 'a')], [2, sendFrame(1, ROOM, 'b', 'b')]);
    await settle();
    expect(batchSizes(store)).toEqual([2]);
  });

  test('SENT: goes out only after the commit', async () => {
    const { store, w } = await pair();
    store.holding = true;
    w.send(1, 1, ROOM, 'm1');
    await settle();
    expect(w.lines()).toEqual([]);
    store.release();
    await settle();
    expect(w.lines()).toEqual(['1: SENT ref=1 m1 seq=1', '2: MESSAGE 7#1 user1: m1']);
  });

  test('batches: are bounded by rows and by bytes', async () => {
    const rows = await pair({ batchRows: 2 });
    rows.store.holding = true;
    for (let i = 1; i <= 6; i++) rows.w.send(1, i, ROOM, `m${i}`);
    rows.store.holding = false;
    rows.store.release();
    await eventually(() => texts(rows.store).length === 6);
    expect(batchSizes(rows.store)).toEqual([1, 2, 2, 1]);

    const bytes = await pair({ batchBytes: 3000 });
    bytes.store.holding = true;
    for (let i = 1; i <= 5; i++) bytes.w.send(1, i, ROOM, `m${i}`, 'x'.repeat(1000));
    bytes.store.holding = false;
    bytes.store.release();
    await eventually(() => texts(bytes.store).length === 5);
    expect(batchSizes(bytes.store)).toEqual([1, 1, 1, 1, 1]);
  });

  test('not a member: is refused, and nothing else in the batch is', async () => {
    const { store, w } = await pair();
    w.attach(3, 3n);
    w.take();
    w.frames(
      [3, sendFrame(9, ROOM, 'x', 'x')],
      [1, sendFrame(1, ROOM, 'm1', 'm1')],
      [1, sendFrame(2, 99n, 'y', 'y')],
    );
    await settle();
    expect(w.lines()).toEqual([
      '3: NACK ref=9 NOT_A_MEMBER',
      '1: SENT ref=1 m1 seq=1',
      '1: NACK ref=2 NOT_A_MEMBER',
      '2: MESSAGE 7#1 user1: m1',
    ]);
    expect(texts(store)).toEqual(['m1']);
  });

  test('not a member, but one again by the next send: that one is committed, and the first stays refused', async () => {
    const { store, w } = await pair();
    await store.leave(ROOM, 1n);
    store.holding = true;
    w.send(1, 1, ROOM, 'm1');
    w.send(1, 2, ROOM, 'm2');
    w.send(2, 3, ROOM, 'other');
    store.release();
    await settle();
    await store.addMember(ROOM, 1n);
    store.holding = false;
    store.release();
    await settle();
    expect(w.lines()).toEqual([
      '1: NACK ref=1 NOT_A_MEMBER',
      // The leave and the new owner have the seqs before.
      '1: SENT ref=2 m2 seq=3',
      '2: SENT ref=3 other seq=4',
      '2: MESSAGE 7#3 user1: m2',
      '1: MESSAGE 7#4 user2: other',
    ]);
    w.send(1, 4, ROOM, 'm3');
    // The refusal of m1 was lost on the way.
    w.resynced();
    for (let i = 1; i <= 3; i++) w.send(1, 10 + i, ROOM, `m${i}`);
    await settle();
    expect(w.lines()).toContain('1: NACK ref=11 NOT_A_MEMBER');
    expect(texts(store)).toEqual(['m2', 'other', 'm3']);
  });
});

describe('sequencer: overload', () => {
  test('full queue: OVERLOADED, and nothing later of that connection overtakes it', async () => {
    const { store, w } = await pair({ queueRows: 2 });
    store.holding = true;
    for (let i = 1; i <= 5; i++) w.send(1, i, ROOM, `m${i}`);
    // m1 is in flight, m2 and m3 wait, m4 does not fit, m5 must not go before it.
    expect(w.lines()).toEqual(['1: NACK ref=4 OVERLOADED', '1: NACK ref=5 RESYNC_REQUIRED']);
    store.holding = false;
    store.release();
    await settle();
    const lines = w.lines();
    expect(lines.filter((line) => line.startsWith('fence'))).toEqual(['fence 1']);
    expect(texts(store)).toEqual(['m1', 'm2', 'm3']);
    // A send that is still on its way is refused, the repetition is taken from its first one on.
    w.send(1, 6, ROOM, 'm6');
    w.resynced();
    for (let i = 4; i <= 6; i++) w.send(1, 10 + i, ROOM, `m${i}`);
    await settle();
    expect(texts(store)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6']);
    expect(w.lines()[0]).toBe('1: NACK ref=6 RESYNC_REQUIRED');
  });

  test('full queue: FENCE is sent when there is room again, not before', async () => {
    const { store, w } = await pair({ queueRows: 4, batchRows: 1 });
    store.holding = true;
    for (let i = 1; i <= 6; i++) w.send(1, i, ROOM, `m${i}`);
    expect(w.lines()).toEqual(['1: NACK ref=6 OVERLOADED']);
    store.release();
    await settle();
    expect(w.lines().filter((line) => line.startsWith('fence'))).toEqual([]);
    store.release();
    await settle();
    expect(w.lines().filter((line) => line.startsWith('fence'))).toEqual(['fence 1']);
  });

  test('a send that has waited too long: OVERLOADED, nothing later of that connection overtakes it, others go on', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { store, w } = await pair({ batchRows: 1 });
    store.holding = true;
    w.send(2, 1, ROOM, 'x1');
    w.send(1, 1, ROOM, 'm1');
    vi.advanceTimersByTime(10_001);
    w.send(1, 2, ROOM, 'm2');
    w.send(2, 2, ROOM, 'x2');
    store.release();
    await settle();
    store.release();
    await settle();
    expect(texts(store)).toEqual(['x1', 'x2']);
    expect(w.lines().filter((line) => line.startsWith('1: NACK') || line.startsWith('fence'))).toEqual([
      '1: NACK ref=1 OVERLOADED',
      '1: NACK ref=2 RESYNC_REQUIRED',
      'fence 1',
    ]);
    store.holding = false;
    w.resynced();
    w.frames([1, sendFrame(1, ROOM, 'm1', 'm1')], [1, sendFrame(2, ROOM, 'm2', 'm2')]);
    await settle();
    expect(texts(store)).toEqual(['x1', 'x2', 'm1', 'm2']);
  });

  test('other connections: are not held up', async () => {
    const { store, w } = await pair({ queueRows: 1 });
    store.holding = true;
    for (let i = 1; i <= 3; i++) w.send(1, i, ROOM, `m${i}`);
    store.holding = false;
    store.release();
    await settle();
    w.send(2, 1, ROOM, 'other');
    await settle();
    expect(texts(store)).toEqual(['m1', 'm2', 'other']);
  });
});

describe('sequencer: store failures', () => {
  test('failed commit: NACK and fence, and what the sender queued after it is refused', async () => {
    const { store, w } = await pair();
    store.holding = true;
    for (let i = 1; i <= 3; i++) w.send(1, i, ROOM, `m${i}`);
    w.send(2, 1, ROOM, 'other');
    store.failing.add('append');
    store.holding = false;
    store.release();
    await settle();
    store.failing.delete('append');
    const lines = w.lines();
    expect(lines.slice(0, 4)).toEqual([
      '1: NACK ref=1 STORE_UNAVAILABLE',
      '1: NACK ref=2 RESYNC_REQUIRED',
      '1: NACK ref=3 RESYNC_REQUIRED',
      'fence 1',
    ]);
    expect(texts(store)).toEqual([]);
  });

  test('a commit that cannot be acknowledged: nobody is refused, all resynchronise, the next one goes on', async () => {
    const { store, w } = await pair();
    store.holding = true;
    w.frames([1, sendFrame(1, ROOM, 'm1', 'm1')], [2, sendFrame(1, ROOM, 'm2', 'm2')]);
    w.send(1, 2, ROOM, 'm3');
    let answers = 0;
    w.stream.onSend = () => {
      if (++answers === 2) throw new Error('the answer to m2');
    };
    store.release();
    await settle();
    const lines = w.lines();
    expect(lines.filter((line) => line.includes('NACK'))).toEqual([]);
    expect(lines).toContain('fence 1,2');
    store.holding = false;
    store.release();
    await settle();
    expect(w.lines()).toContain('1: SENT ref=2 m3 seq=3');
    w.resynced();
    w.send(2, 1, ROOM, 'm2');
    await settle();
    expect(w.lines()).toContain('2: SENT ref=1 m2 seq=2 duplicate');
    expect(texts(store)).toEqual(['m1', 'm2', 'm3']);
  });

  test('a connection that has closed: what it queued after a failed send is dropped too', async () => {
    const { store, w } = await pair();
    store.holding = true;
    w.send(1, 1, ROOM, 'm1');
    w.send(1, 2, ROOM, 'm2');
    w.detach(1);
    store.failing.add('append');
    store.release();
    await settle();
    store.failing.delete('append');
    store.holding = false;
    await settle();
    expect(texts(store)).toEqual([]);
    expect(store.batches).toHaveLength(1);
  });

  test('one failure between good commits: a later message never overtakes an earlier one', async () => {
    const { store, w } = await pair();
    store.holding = true;
    for (let i = 1; i <= 4; i++) w.send(1, i, ROOM, `m${i}`);
    store.failing.add('append');
    store.release();
    await settle();
    store.failing.delete('append');
    store.holding = false;
    // Sent before the client knew: still refused.
    w.send(1, 5, ROOM, 'm5');
    await settle();
    expect(texts(store)).toEqual([]);
    // The repetition, in the original order.
    w.resynced();
    w.frames(...[1, 2, 3, 4, 5].map((i) => [1, sendFrame(i, ROOM, `m${i}`, `m${i}`)] as const));
    await settle();
    expect(texts(store)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
  });

  test('a client that gives up the refused sends: is accepted once it has resynchronised', async () => {
    const { store, w } = await pair();
    store.failing.add('append');
    w.send(1, 1, ROOM, 'm1');
    await settle();
    store.failing.delete('append');
    w.take();
    w.send(1, 2, ROOM, 'new');
    await settle();
    expect(w.lines()).toEqual(['1: NACK ref=2 RESYNC_REQUIRED']);
    w.resynced();
    w.send(1, 3, ROOM, 'new');
    await settle();
    expect(texts(store)).toEqual(['new']);
  });

  test('a store that keeps failing: FENCE is sent at growing intervals, and recovery needs nothing else', async () => {
    const { store, w } = await pair();
    store.failing.add('append');
    w.send(1, 1, ROOM, 'm1');
    await settle();
    expect(w.lines()).toContain('fence 1');
    w.resynced();
    w.send(1, 2, ROOM, 'm1');
    // The second failure in a row waits before it asks for the next repetition.
    await eventually(() => (store.calls.get('append') ?? 0) === 2);
    await eventually(() => w.stream.sent.some((record) => record[0] === 20) && w.lines().includes('fence 1'));
    store.failing.delete('append');
    w.resynced();
    w.send(1, 3, ROOM, 'm1');
    await settle();
    expect(w.lines()).toContain('1: SENT ref=3 m1 seq=1');
  });

  test('no node number: sends are refused as retryable, and accepted when there is one again', async () => {
    const { node, store, w, ids } = await pair();
    ids.available = false;
    w.send(1, 1, ROOM, 'm1');
    expect(w.lines()).toEqual(['1: NACK ref=1 STATE_UNAVAILABLE']);
    ids.available = true;
    node.wake();
    expect(w.lines()).toEqual(['fence 1']);
    w.resynced();
    w.send(1, 2, ROOM, 'm1');
    await settle();
    expect(texts(store)).toEqual(['m1']);
  });

  test('the node number is lost while sends wait for the commit: they are refused, and committed when sent again', async () => {
    const { node, store, w, ids } = await pair();
    store.holding = true;
    for (let i = 1; i <= 3; i++) w.send(1, i, ROOM, `m${i}`);
    ids.available = false;
    store.holding = false;
    store.release();
    await settle();
    expect(w.lines().filter((line) => line.startsWith('1:'))).toEqual([
      '1: SENT ref=1 m1 seq=1',
      '1: NACK ref=2 STATE_UNAVAILABLE',
      '1: NACK ref=3 STATE_UNAVAILABLE',
    ]);
    ids.available = true;
    node.wake();
    expect(w.lines()).toEqual(['fence 1']);
    w.resynced();
    for (let i = 2; i <= 3; i++) w.send(1, i, ROOM, `m${i}`);
    await settle();
    expect(texts(store)).toEqual(['m1', 'm2', 'm3']);
  });
});

describe('sequencer: duplicates', () => {
  test('a retry: is answered with the original and goes out again as the log has it', async () => {
    const { store, w } = await pair();
    w.send(1, 1, ROOM, 'm1', 'first');
    await settle();
    w.take();
    w.send(1, 2, ROOM, 'm1', 'another text');
    await settle();
    expect(w.lines()).toEqual(['1: SENT ref=2 m1 seq=1 duplicate', '2: MESSAGE 7#1 user1: first']);
    expect(texts(store)).toEqual(['first']);
  });

  test('many retries: each message goes out again, in few reads', async () => {
    const { store, w } = await pair({ turnRows: 1000 });
    const all = Array.from({ length: 450 }, (_, i) => [1, sendFrame(i + 1, ROOM, `m${i}`, `t${i}`)] as const);
    w.frames(...all);
    await settle();
    w.take();
    w.frames(...all);
    await eventually(() => (store.calls.get('entriesAt') ?? 0) === 8);
    await settle();
    const again = w.lines().filter((line) => line.startsWith('2: MESSAGE'));
    expect(again).toHaveLength(450);
    expect(new Set(again).size).toBe(450);
    expect(store.calls.get('entriesAt')).toBe(8);
  });

  test('a retry that cannot be read back: the members resynchronise', async () => {
    const { store, w } = await pair();
    w.send(1, 1, ROOM, 'm1');
    await settle();
    w.take();
    store.failing.add('entriesAt');
    w.send(1, 2, ROOM, 'm1');
    await settle();
    expect(w.lines()).toEqual(['1: SENT ref=2 m1 seq=1 duplicate', 'fence 1,2']);
  });
});

describe('sequencer: drain', () => {
  test('drain: what is queued is committed and acknowledged, later sends are refused', async () => {
    const { node, store, w } = await pair();
    store.holding = true;
    for (let i = 1; i <= 3; i++) w.send(1, i, ROOM, `m${i}`);
    const drained = node.drain();
    w.send(1, 4, ROOM, 'm4');
    store.holding = false;
    store.release();
    await within('the end of the drain', drained);
    const lines = w.lines().filter((line) => line.startsWith('1:'));
    expect(lines).toEqual([
      '1: NACK ref=4 RESYNC_REQUIRED',
      '1: SENT ref=1 m1 seq=1',
      '1: SENT ref=2 m2 seq=2',
      '1: SENT ref=3 m3 seq=3',
    ]);
    expect(texts(store)).toEqual(['m1', 'm2', 'm3']);
    node.stop();
    expect(w.stream.isClosed).toBe(true);
  });
});
