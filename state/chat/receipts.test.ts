import { describe, expect, test } from 'vitest';
import { silentLogger as logger, type UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import type { CursorMove } from '../store/store.ts';
import { settle } from '../testing/test-node.ts';
import { Receipts } from './receipts.ts';
import { eventually } from '../../test/harness/eventually.ts';

const ANN = { user: 1n as UserId, userName: 'ann', device: 'phone' };

/** A store whose writes end when the test says so. */
class Cursors {
  readonly writes: { readonly moves: readonly CursorMove[]; end: (error?: Error) => void }[] = [];

  moveCursors(moves: readonly CursorMove[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.writes.push({ moves, end: (error) => (error ? reject(error) : resolve()) });
    });
  }

  /** Each write as text. */
  get lines(): string[] {
    return this.writes.map(({ moves }) =>
      moves.map((m) => `${m.device}/${m.conversation}:${m.deliveredSeq},${m.readSeq}`).join(' '),
    );
  }
}

const receipt = (conversation: bigint, deliveredSeq: number, readSeq = 0) =>
  client.Receipt.fromPartial({ conversation, deliveredSeq: BigInt(deliveredSeq), readSeq: BigInt(readSeq) });

describe('Receipts', () => {
  test('receipts of one tick: one write, with the highest of each cursor', async () => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 100, cursorMovesPerUser: 100 }, logger);
    receipts.add(ANN, [receipt(7n, 5), receipt(8n, 1)]);
    receipts.add(ANN, [receipt(7n, 3, 2)]);
    receipts.add({ ...ANN, device: 'desk' }, [receipt(7n, 4)]);
    await settle();
    expect(store.lines).toEqual(['phone/7:5,2 phone/8:1,0 desk/7:4,0']);
  });

  test('receipts during a write: go into the next one together', async () => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 100, cursorMovesPerUser: 100 }, logger);
    receipts.add(ANN, [receipt(7n, 1)]);
    await settle();
    receipts.add(ANN, [receipt(7n, 2)]);
    await settle();
    receipts.add(ANN, [receipt(7n, 3)]);
    await settle();
    expect(store.lines).toEqual(['phone/7:1,0']);
    store.writes[0]?.end();
    await settle();
    expect(store.lines).toEqual(['phone/7:1,0', 'phone/7:3,0']);
  });

  test('a user at the bound: is full until the receipts are written, and other users are not', async () => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 100, cursorMovesPerUser: 3 }, logger);
    const bob = { ...ANN, user: 2n as UserId };
    receipts.add(ANN, [receipt(7n, 1), receipt(8n, 1)]);
    receipts.add(ANN, [receipt(7n, 2)]);
    receipts.add(bob, [receipt(7n, 1)]);
    expect([receipts.isFull(ANN.user), receipts.isFull(bob.user)]).toEqual([false, false]);
    receipts.add(ANN, [receipt(9n, 1)]);
    expect([receipts.isFull(ANN.user), receipts.isFull(bob.user)]).toEqual([true, false]);
    await settle();
    expect(receipts.isFull(ANN.user)).toBe(false);
  });

  test('a failed write: is repeated with what has come since, and no cursor goes back', async () => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 100, cursorMovesPerUser: 100 }, logger);
    receipts.add(ANN, [receipt(7n, 5, 5), receipt(8n, 2)]);
    await settle();
    receipts.add(ANN, [receipt(7n, 6)]);
    store.writes[0]?.end(new Error('away'));
    await eventually(() => store.writes.length === 2);
    expect(store.lines[1]?.split(' ').toSorted()).toEqual(['phone/7:6,5', 'phone/8:2,0']);
    receipts.stop();
  });

  test('more cursors than may wait: the rest is dropped, and a later receipt makes up for it', async () => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 2, cursorMovesPerUser: 100 }, logger);
    receipts.add(ANN, [receipt(7n, 1), receipt(8n, 1), receipt(9n, 1)]);
    expect(receipts.size).toBe(2);
    await settle();
    receipts.add(ANN, [receipt(9n, 2)]);
    store.writes[0]?.end();
    await settle();
    expect(store.lines).toEqual(['phone/7:1,0 phone/8:1,0', 'phone/9:2,0']);
  });

  test.each([
    ['more than a frame may hold', Array.from({ length: 257 }, (_, i) => receipt(BigInt(i + 1), 1))],
    ['no conversation', [receipt(7n, 1), receipt(0n, 1)]],
    [
      'an invalid seq',
      [receipt(7n, 1), client.Receipt.fromPartial({ conversation: 8n, readSeq: 1n << 60n })],
    ],
  ])('%s: all of the frame is refused', async (_, list) => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 1000, cursorMovesPerUser: 100 }, logger);
    expect(receipts.add(ANN, list)).toBe(false);
    await settle();
    expect(store.writes).toEqual([]);
  });

  test('flush: resolves when all is written; after stop nothing is', async () => {
    const store = new Cursors();
    const receipts = new Receipts(store, { cursorMoves: 100, cursorMovesPerUser: 100 }, logger);
    receipts.add(ANN, [receipt(7n, 1)]);
    let flushed = false;
    const flush = receipts.flush().then(() => (flushed = true));
    await settle();
    expect(flushed).toBe(false);
    store.writes[0]?.end();
    await flush;
    receipts.stop();
    receipts.add(ANN, [receipt(7n, 2)]);
    await settle();
    expect(store.lines).toEqual(['phone/7:1,0']);
  });
});
