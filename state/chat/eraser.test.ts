import { afterEach, describe, expect, test, vi } from 'vitest';
import { silentLogger, type UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { testNode } from '../testing/test-node.ts';
import { Eraser } from './eraser.ts';

/** A store in which there is so much to erase; calls fail while `isFailing`. */
function storeWith(rounds: number) {
  const store = {
    calls: 0,
    left: rounds,
    isFailing: false,
    erase: async (limit: number, nowMs: number) => {
      store.calls++;
      expect([limit > 0, nowMs > 0]).toEqual([true, true]);
      if (store.isFailing) throw new Error('down');
      store.left = Math.max(0, store.left - 1);
      return store.left > 0;
    },
  };
  return store;
}

describe('the eraser', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('erases until nothing is left, in transactions of a bounded size', async () => {
    const store = storeWith(5);
    const eraser = new Eraser(store, silentLogger);
    eraser.erase();
    await eventually(() => store.left === 0);
    await eraser.stop();
    expect(store.calls).toBe(5);
  });

  test('told of more while it works: looks again', async () => {
    const store = storeWith(1);
    const eraser = new Eraser(store, silentLogger);
    eraser.erase();
    eraser.erase();
    await eventually(() => store.calls === 2);
    await eraser.stop();
  });

  test('a store that fails: is asked again by itself', async () => {
    const store = storeWith(2);
    store.isFailing = true;
    const eraser = new Eraser(store, silentLogger);
    eraser.erase();
    await eventually(() => store.calls >= 2);
    store.isFailing = false;
    await eventually(() => store.left === 0);
    await eraser.stop();
  });

  test('stopped: begins nothing', async () => {
    const store = storeWith(2);
    const eraser = new Eraser(store, silentLogger);
    await eraser.stop();
    eraser.erase();
    expect(store.calls).toBe(0);
  });

  test('what a node that stopped has left, also after a long failure: is gone within 10 s', async () => {
    vi.useFakeTimers();
    const store = storeWith(0);
    const eraser = new Eraser(store, silentLogger);
    eraser.erase();
    await vi.advanceTimersByTimeAsync(60_000);
    store.left = 5;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(store.left).toBe(0);
    store.isFailing = true;
    await vi.advanceTimersByTimeAsync(600_000);
    store.isFailing = false;
    store.left = 5;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(store.left).toBe(0);
    await eraser.stop();
  });

  test('a retraction of a range: the messages lose their texts soon', async () => {
    const { store, worker, node } = await testNode();
    const room = await store.addRoom(7n, 'room', [1n, 2n]);
    const w = worker();
    w.attach(2, 2n);
    for (let n = 1; n <= 3; n++) w.send(2, n, room, `m${n}`);
    await eventually(() => store.log(room).length === 3);
    const range = { sender: 2n as UserId, fromSeq: 1n, toSeq: 3n };
    const fields = { clientMsgId: 'r', kind: client.EntryKind.ENTRY_KIND_RETRACT, range };
    const payload = client.Send.encode(client.Send.fromPartial(fields)).finish();
    w.frames([2, encodeFrame(FrameType.SEND, 9, room, payload)]);
    await eventually(() => store.log(room).every(({ text }) => text === ''));
    await node.drain();
  });
});
