/** The part of the store's contract about where a page of history lies. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { HistoryPage, HistoryPoint } from '../store.ts';
import { PAGE_TEXT_BYTES } from '../sync-page.ts';
import type { Nodes } from './scratch.contract.ts';

const T0 = 1_700_000_000_000;

export function describeHistory(nodes: () => Nodes): void {
  /** Makes a room of messages, one each 10 ms from T0 on; the reader may read some of them. */
  async function roomOf(
    count: number,
    { visibleAfter = 0, floor = 0, left }: { visibleAfter?: number; floor?: number; left?: number } = {},
  ): Promise<{ room: ConversationId; ann: UserId; bob: UserId }> {
    const { a } = nodes();
    const [ann, bob] = [await a.user(), await a.user()];
    const room = await a.room(ann, bob);
    const drafts = Array.from({ length: count }, (_, index) =>
      a.draft(room, ann, { atMs: T0 + 10 * (index + 1) }),
    );
    await a.append(drafts);
    await a.execute(`
      update members set visible_after_seq = ${visibleAfter} where conversation = ${room} and user_id = ${bob}`);
    if (left !== undefined)
      await a.execute(`
        delete from members where conversation = ${room} and user_id = ${bob};
        insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason)
          values (${room}, ${bob}, ${visibleAfter}, ${left}, 'left')`);
    if (floor > 0) await a.store.raiseFloor(room, floor);
    return { room, ann, bob };
  }

  /** A page in short. */
  const brief = (page: HistoryPage | undefined) =>
    page && {
      seqs: page.messages.map(({ seq }) => seq),
      more: page.more,
      moreAfter: page.moreAfter,
      anchor: page.anchorSeq,
    };

  describe('history by points', () => {
    test('before and after: the entries next to the point, ascending', async () => {
      const { a, b } = nodes();
      const { room, bob } = await roomOf(10, { visibleAfter: 2 });
      const read = async (point: HistoryPoint, limit = 3) => brief(await b.page(bob, room, point, limit));
      const page = (seqs: number[], more: boolean, moreAfter: boolean) => ({
        seqs,
        more,
        moreAfter,
        anchor: 0,
      });
      expect(await read({ at: 'before', seq: 0 })).toEqual(page([8, 9, 10], true, false));
      expect(await read({ at: 'before', seq: 8 })).toEqual(page([5, 6, 7], true, true));
      expect(await read({ at: 'before', seq: 5 })).toEqual(page([3, 4], false, true));
      expect(await read({ at: 'before', seq: 3 })).toEqual(page([], false, true));
      expect(await read({ at: 'before', seq: 1 })).toEqual(page([], false, true));
      expect(await read({ at: 'before', seq: 99 })).toEqual(page([8, 9, 10], true, false));
      expect(await read({ at: 'after', seq: 0 })).toEqual(page([3, 4, 5], false, true));
      expect(await read({ at: 'after', seq: 5 })).toEqual(page([6, 7, 8], true, true));
      expect(await read({ at: 'after', seq: 7 })).toEqual(page([8, 9, 10], true, false));
      expect(await read({ at: 'after', seq: 10 })).toEqual(page([], true, false));
      expect(await read({ at: 'after', seq: 1e300 })).toEqual(page([], true, false));
      expect(await read({ at: 'after', seq: Number.NaN }, 1)).toEqual(page([3], false, true));
      expect(await a.page(bob, room, { at: 'after', seq: 5 })).toMatchObject({ asOf: 10, floorSeq: 0 });
    });

    test('around: half before it, it, and half after it', async () => {
      const { b } = nodes();
      const { room, bob } = await roomOf(10, { visibleAfter: 2 });
      const read = async (seq: number, limit: number) =>
        brief(await b.page(bob, room, { at: 'around', seq }, limit));
      expect(await read(6, 5)).toEqual({ seqs: [4, 5, 6, 7, 8], more: true, moreAfter: true, anchor: 6 });
      expect(await read(6, 4)).toEqual({ seqs: [5, 6, 7, 8], more: true, moreAfter: true, anchor: 6 });
      expect(await read(6, 1)).toEqual({ seqs: [6], more: true, moreAfter: true, anchor: 6 });
      expect(await read(3, 5)).toEqual({ seqs: [3, 4, 5], more: false, moreAfter: true, anchor: 3 });
      expect(await read(10, 5)).toEqual({ seqs: [8, 9, 10], more: true, moreAfter: false, anchor: 10 });
      // One that may not be read is not found; the page is where it would be.
      expect(await read(2, 5)).toEqual({ seqs: [3, 4, 5], more: false, moreAfter: true, anchor: 0 });
      expect(await read(99, 5)).toMatchObject({ seqs: [9, 10], moreAfter: false, anchor: 0 });
    });

    test('the first unread message: entries of other kinds are none; the newest where nothing is unread', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await roomOf(6);
      const read = async (limit = 3) => brief(await b.page(bob, room, { at: 'firstUnread' }, limit));
      const move = (readSeq: number) =>
        a.store.moveCursors([{ user: bob, device: '', conversation: room, deliveredSeq: 0, readSeq }]);
      expect(await read()).toEqual({ seqs: [1, 2], more: false, moreAfter: true, anchor: 1 });
      await move(4);
      expect(await read()).toEqual({ seqs: [4, 5, 6], more: true, moreAfter: false, anchor: 5 });
      await move(6);
      expect(await read()).toEqual({ seqs: [4, 5, 6], more: true, moreAfter: false, anchor: 0 });
      await a.append([a.entry(room, ann, { kind: 'pin', target: 1 })]);
      expect(await read()).toEqual({ seqs: [5, 6, 7], more: true, moreAfter: false, anchor: 0 });
      await a.append([a.draft(room, ann)]);
      expect(await read(1)).toEqual({ seqs: [8], more: true, moreAfter: false, anchor: 8 });
      await a.store.raiseFloor(room, 8);
      expect(await read()).toEqual({ seqs: [], more: false, moreAfter: false, anchor: 0 });
    });

    test('the first unread message of who has left: by what was read before', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await roomOf(4);
      await a.store.moveCursors([{ user: bob, device: '', conversation: room, deliveredSeq: 0, readSeq: 3 }]);
      await a.leaveRoom(room, bob);
      await a.fill(room, ann, 2);
      expect(brief(await b.page(bob, room, { at: 'firstUnread' }, 3))).toEqual({
        seqs: [3, 4],
        more: true,
        moreAfter: false,
        anchor: 4,
      });
    });

    test('a date: around the first entry at or after it; the newest where all are before it', async () => {
      const { b } = nodes();
      const { room, bob } = await roomOf(50, { visibleAfter: 5, floor: 3 });
      const read = async (ms: number) => brief(await b.page(bob, room, { at: 'date', ms }, 3));
      expect(await read(T0 + 200)).toEqual({ seqs: [19, 20, 21], more: true, moreAfter: true, anchor: 20 });
      expect(await read(T0 + 201)).toMatchObject({ anchor: 21 });
      expect(await read(0)).toEqual({ seqs: [6, 7], more: false, moreAfter: true, anchor: 6 });
      expect(await read(T0 + 500)).toEqual({ seqs: [49, 50], more: true, moreAfter: false, anchor: 50 });
      expect(await read(T0 + 501)).toEqual({ seqs: [48, 49, 50], more: true, moreAfter: false, anchor: 0 });
      expect(await read(Number.MAX_VALUE)).toMatchObject({ anchor: 0 });
    });

    test('random points and bounds: a page without a hole, within what may be read, and its edges are true', async () => {
      const { b } = nodes();
      const point = fc.oneof(
        fc.record({ at: fc.constantFrom('before', 'after', 'around'), seq: fc.nat(24) }),
        fc.record({ at: fc.constant('date'), ms: fc.integer({ min: T0, max: T0 + 240 }) }),
        fc.record({ at: fc.constant('firstUnread') }),
      );
      const bounds = fc.record({
        visibleAfter: fc.nat(6),
        floor: fc.nat(6),
        left: fc.option(fc.integer({ min: 6, max: 20 }), { nil: undefined }),
      });
      await fc.assert(
        fc.asyncProperty(
          bounds,
          fc.array(fc.tuple(point, fc.integer({ min: 1, max: 9 })), { maxLength: 8 }),
          async (who, asked) => {
            const { room, bob } = await roomOf(20, who);
            const [first, last] = [Math.max(who.visibleAfter, who.floor) + 1, who.left ?? 20];
            for (const [at, limit] of asked) {
              const page = await b.page(bob, room, at, limit);
              const seqs = page?.messages.map(({ seq }) => seq) ?? [];
              const [low, high] = [seqs[0] ?? 0, seqs.at(-1) ?? 0];
              expect(seqs).toEqual(seqs.map((_, index) => low + index));
              expect(seqs.length).toBeLessThanOrEqual(limit);
              expect(page).toMatchObject({ asOf: last, floorSeq: who.floor });
              if (seqs.length === 0) continue;
              expect([page?.more, page?.moreAfter]).toEqual([low > first, high < last]);
              expect([low >= first, high <= last]).toEqual([true, true]);
              if (page?.anchorSeq !== 0) expect(seqs).toContain(page?.anchorSeq);
            }
          },
        ),
        { numRuns: 15 },
      );
    });

    test('texts of any size: a page ends away from its point, and the next goes on from there', async () => {
      const { a, b } = nodes();
      const [ann, size] = [await a.user(), 60_000];
      const room = await a.room(ann);
      await a.append(Array.from({ length: 12 }, () => a.draft(room, ann, { text: 'x'.repeat(size) })));
      const bytesOf = (page: HistoryPage | undefined) =>
        page?.messages.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) ?? 0;
      const newer = await b.page(ann, room, { at: 'after', seq: 2 }, 12);
      const older = await b.page(ann, room, { at: 'before', seq: 11 }, 12);
      const around = await b.page(ann, room, { at: 'around', seq: 6 }, 12);
      expect(newer).toMatchObject({
        messages: [{ seq: 3 }, { seq: 4 }, { seq: 5 }, { seq: 6 }],
        moreAfter: true,
      });
      expect(older).toMatchObject({
        messages: [{ seq: 7 }, { seq: 8 }, { seq: 9 }, { seq: 10 }],
        more: true,
      });
      expect(around?.messages.map(({ seq }) => seq)).toContain(6);
      expect(around).toMatchObject({ more: true, moreAfter: true });
      for (const page of [newer, older, around])
        expect(bytesOf(page)).toBeLessThan(PAGE_TEXT_BYTES + 2 * size);
    });
  });
}
