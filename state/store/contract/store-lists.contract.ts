/** The part of the store's contract about lists in pages, unread counts, and the sync of many and long conversations. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import { QUOTE_CHARACTERS } from '../store.ts';
import type { Nodes } from './scratch.contract.ts';

export function describeLists(nodes: () => Nodes): void {
  describe('lists', () => {
    test('conversationsOf: pages of any size have each once, the last active first', async () => {
      const { a, b } = nodes();
      const ann = await a.user();
      const rooms: ConversationId[] = [];
      for (let count = 0; count < 7; count++) rooms.push(await a.room(ann));
      // Some at the same time.
      const later = Date.now() + 60_000;
      for (const [index, room] of rooms.entries())
        await a.append([a.draft(room, ann, { atMs: later + (index % 3) })]);
      const expected = (await a.conversations(ann)).map(({ id }) => id);
      const order = rooms.toSorted((x, y) => {
        const [i, j] = [rooms.indexOf(x) % 3, rooms.indexOf(y) % 3];
        return i === j ? Number(y - x) : j - i;
      });
      expect(expected).toEqual(order);
      for (const limit of [1, 2, 3, 7, 8]) {
        const seen: ConversationId[] = [];
        let after: string | undefined = '';
        while (after !== undefined) {
          const page = await b.store.conversationsOf(ann, '', after, limit);
          expect(page.items.length).toBeLessThanOrEqual(limit);
          seen.push(...page.items.map(({ id }) => id));
          after = page.next;
        }
        expect(seen).toEqual(order);
      }
      for (const key of ['x', '1', '1.2.3', '-1.2', `${'9'.repeat(21)}.1`])
        expect(await a.store.conversationsOf(ann, '', key, 5)).toEqual({ items: [], next: undefined });
    });

    test('conversationsOf: the last message that the user may read, as later entries have left it', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      const lastOf = async (user: UserId) => (await a.conversations(user))[0]?.lastMessage;
      expect(await lastOf(bob)).toBeUndefined();
      await a.append([a.draft(room, ann, { text: 'one' }), a.draft(room, ann, { text: 'x'.repeat(1000) })]);
      expect(await lastOf(bob)).toMatchObject({
        seq: 2,
        text: 'x'.repeat(QUOTE_CHARACTERS),
        extra: undefined,
      });
      await a.append([
        a.entry(room, ann, { kind: 'edit', target: 2, text: 'two' }),
        a.entry(room, ann, { kind: 'pin', target: 2 }),
      ]);
      expect(await lastOf(bob)).toMatchObject({ seq: 2, text: 'two', extra: { version: 3 } });
      await a.append([a.entry(room, bob, { target: 1, text: 'reply' })]);
      expect(await lastOf(ann)).toMatchObject({
        seq: 5,
        text: 'reply',
        extra: { quote: { seq: 1, text: 'one' } },
      });
      await a.append([a.entry(room, ann, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 9 } })]);
      expect(await lastOf(ann)).toMatchObject({
        seq: 5,
        text: '',
        extra: { retraction: { seq: 6, by: ann } },
      });
      await a.execute(
        `update members set visible_after_seq = 5 where conversation = ${room} and user_id = ${bob}`,
      );
      expect(await lastOf(bob)).toBeUndefined();
      await a.store.raiseFloor(room, 5);
      expect(await lastOf(ann)).toBeUndefined();
    });

    test('membersPage: by ascending id with roles and the number of all, for members only', async () => {
      const { a, b } = nodes();
      const users = await Promise.all(Array.from({ length: 5 }, () => a.user()));
      const [ann, bob] = users as [UserId, UserId];
      const room = await a.room(...users);
      const read = (user: UserId, after = '', limit = 2) =>
        b.store.membersPage(room, accessCheck('getMembers', user), after, limit);
      const first = await read(bob);
      expect(first).toEqual({
        items: [
          { user: ann, role: 'owner' },
          { user: bob, role: 'member' },
        ],
        next: String(bob),
        count: 5,
      });
      expect(await read(bob, String(bob), 9)).toMatchObject({
        items: users.slice(2).map((user) => ({ user })),
        next: undefined,
        count: 5,
      });
      expect(await read(bob, 'x')).toEqual({ items: [], next: undefined, count: 5 });
      expect(await read(await a.user())).toBe('NOT_A_MEMBER');
      await a.leaveRoom(room, bob);
      expect(await read(bob)).toBe('NOT_A_MEMBER');
      const missing = b.store.membersPage(b.conversationId(), accessCheck('getMembers', ann), '', 2);
      expect(await missing).toBe('NOT_A_MEMBER');
    });

    test('unread: messages of others beyond the greatest of cursor, visibility and floor that nobody has retracted', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const kind = fc.constantFrom('message', 'reply', 'edit', 'retract', 'range', 'pin', 'unpin');
      const entry = fc.record({
        kind,
        by: fc.constantFrom(ann, ann, bob),
        target: fc.integer({ min: 1, max: 20 }),
      });
      const numbers = fc.record({ read: fc.nat(25), visible: fc.nat(25), floor: fc.nat(10) });
      await fc.assert(
        fc.asyncProperty(
          fc.array(entry, { maxLength: 25 }),
          numbers,
          async (entries, { read, visible, floor }) => {
            const room = await a.room(ann, bob);
            await a.fill(room, ann, 2);
            for (const { kind: of, by, target } of entries) {
              const range = { sender: by, fromSeq: target, toSeq: target + 2 };
              await a.append([
                of === 'message'
                  ? a.draft(room, by)
                  : a.entry(room, by, {
                      kind: of === 'reply' ? 'message' : of === 'range' ? 'retract' : of,
                      ...(of === 'range' ? { range } : { target }),
                    }),
              ]);
            }
            const log = (await a.page(ann, room, { at: 'before', seq: 0 }, 50))?.messages ?? [];
            const within = (seq: number) => Math.min(seq, log.length);
            await a.store.moveCursors([
              { user: bob, device: '', conversation: room, deliveredSeq: 0, readSeq: read },
            ]);
            await a.execute(`
            update members set visible_after_seq = ${within(visible)} where conversation = ${room} and user_id = ${bob}`);
            if (floor > 0) await a.store.raiseFloor(room, floor);
            const start = Math.max(within(read), within(visible), within(floor));
            const unread = log.filter(
              ({ seq, sender, extra }) =>
                seq > start &&
                sender !== bob &&
                (extra?.kind ?? 'message') === 'message' &&
                extra?.retraction === undefined,
            );
            const counted = async () => [
              (await b.store.conversationOf(room, bob, ''))?.unread,
              (await b.conversations(bob)).find(({ id }) => id === room)?.unread,
              (await b.store.listRooms(bob, String(room - 1n), 1)).items[0]?.unread,
            ];
            const { length } = unread;
            expect(await counted()).toEqual([length, length, length]);
            const first = await b.page(bob, room, { at: 'firstUnread' }, 1);
            expect(first?.anchorSeq).toBe(unread[0]?.seq ?? 0);
            await a.store.erase(30, 0);
            expect(await counted()).toEqual([length, length, length]);
          },
        ),
        { numRuns: 20 },
      );
    });

    test('mark as unread: the greater pair of epoch and seq counts, in whatever order, also after a leave', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 6);
      const move = (readEpoch: number, readSeq: number, device = '') => ({
        user: bob,
        device,
        conversation: room,
        deliveredSeq: 0,
        readSeq,
        readEpoch,
      });
      const seen = async () => {
        const { readEpoch, readSeq, unread } = (await b.store.conversationOf(room, bob, '')) ?? {};
        return [readEpoch, readSeq, unread];
      };
      await a.store.moveCursors([move(0, 5)]);
      expect(await seen()).toEqual([0, 5, 1]);
      await a.store.moveCursors([move(1, 2), move(0, 6, 'phone')]);
      expect(await seen()).toEqual([1, 2, 4]);
      await a.store.moveCursors([move(0, 6)]);
      expect(await seen()).toEqual([1, 2, 4]);
      await a.store.moveCursors([move(1, 3), move(1, 99, 'phone')]);
      expect(await seen()).toEqual([1, 6, 0]);
      // To the very beginning.
      await a.store.moveCursors([move(2, 0)]);
      expect(await seen()).toEqual([2, 0, 6]);
      await a.store.moveCursors([move(2, 4)]);
      await a.leaveRoom(room, bob);
      await a.joinRoom(room, bob);
      expect((await seen()).slice(0, 2)).toEqual([2, 4]);
      await a.store.moveCursors([move(1, 6)]);
      expect((await seen()).slice(0, 2)).toEqual([2, 4]);
    });

    test('markRead: answers with the counts; an old epoch and a seq beyond the end change nothing', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 6);
      const mark = (readEpoch: number, readSeq: number, user = bob) =>
        a.store.markRead(room, accessCheck('markRead', user), { readEpoch, readSeq, device: '' });
      expect(await mark(0, 4)).toMatchObject({ id: room, readSeq: 4, readEpoch: 0, unread: 2 });
      expect(await mark(0, 2)).toMatchObject({ readSeq: 4, unread: 2 });
      expect(await mark(1, 2)).toMatchObject({ readSeq: 2, readEpoch: 1, unread: 4 });
      expect(await mark(1, 2)).toMatchObject({ readSeq: 2, readEpoch: 1, unread: 4 });
      expect(await mark(0, 6)).toBe('CURSOR_EPOCH_OLD');
      expect(await mark(1, 7)).toBe('CURSOR_BEYOND_END');
      expect(await mark(0, 1, await a.user())).toBe('NOT_A_MEMBER');
      expect(await b.store.conversationOf(room, bob, '')).toMatchObject({
        readSeq: 2,
        readEpoch: 1,
        unread: 4,
      });
    });

    test('more than a thousand entries beyond the cursor: the count is a thousand if a message is among them', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      const unread = async () => (await b.store.conversationOf(room, bob, ''))?.unread;
      await a.fill(room, ann, 999);
      expect(await unread()).toBe(999);
      await a.fill(room, ann, 3);
      expect(await unread()).toBe(1000);
      const move = (readSeq: number) =>
        a.store.moveCursors([{ user: bob, device: '', conversation: room, deliveredSeq: 0, readSeq }]);
      await move(1002);
      for (let more = 0; more < 2; more++)
        await a.append(
          Array.from({ length: 501 }, (_, at) =>
            a.entry(room, ann, { kind: at % 2 === 0 ? 'pin' : 'unpin', target: 1 }),
          ),
        );
      expect(await unread()).toBe(0);
      await a.fill(room, ann, 1);
      expect(await unread()).toBe(1000);
      expect((await b.page(bob, room, { at: 'firstUnread' }, 1))?.anchorSeq).toBe(2005);
    });

    test('sync: only conversations of a range of ids, also of those that are gone', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const rooms: ConversationId[] = [];
      for (let count = 0; count < 4; count++) rooms.push(await a.room(ann));
      for (const room of rooms.slice(0, 3)) await a.fill(room, ann, 1);
      const [one, two, three, four] = rooms as [
        ConversationId,
        ConversationId,
        ConversationId,
        ConversationId,
      ];
      const foreign = await a.room(bob);
      const cursors = new Map([two, foreign].map((id) => [id, 0]));
      const read = async (after: bigint, until: bigint) => {
        const page = await b.sync({ user: ann, device: 'd', cursors, after, until });
        return [page.conversations.map(({ conversation }) => conversation.id), page.gone.length];
      };
      expect(await read(0n, two)).toEqual([[one, two], 0]);
      expect(await read(two, four)).toEqual([[three, four], 0]);
      expect(await read(four, foreign)).toEqual([[], 1]);
      expect(await read(0n, 2n ** 64n - 1n)).toEqual([[one, two, three, four], 1]);
    });

    test('sync: begins with the newest of a long absence, page by page', async () => {
      const { a, b } = nodes();
      const ann = await a.user();
      const [long, short] = [await a.room(ann), await a.room(ann)];
      await a.fill(long, ann, 30);
      await a.fill(short, ann, 3);
      const cursors = new Map([[long, 2]]);
      const pages: unknown[] = [];
      for (let more = true; more; ) {
        const page = await b.sync({ user: ann, device: 'd', cursors, newest: 10, limit: 6 });
        for (const { conversation, messages, afterSeq, asOf } of page.conversations) {
          pages.push([conversation.id, afterSeq, messages.map(({ seq }) => seq), asOf]);
          cursors.set(conversation.id, messages.at(-1)?.seq ?? 0);
        }
        ({ more } = page);
      }
      expect(pages).toEqual([
        [short, 0, [1, 2, 3], 3],
        [long, 20, [21, 22, 23], 30],
        [long, 23, [24, 25, 26, 27, 28, 29], 30],
        [long, 29, [30], 30],
      ]);
      // With a cursor that is near enough nothing is skipped.
      const near = await b.sync({ user: ann, cursors: new Map([[long, 25]]), newest: 10 });
      expect(near.conversations.find(({ conversation }) => conversation.id === long)).toMatchObject({
        afterSeq: 25,
      });
    });

    test('sync: folds, and is bare where its reader may not read the target', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.append([
        a.draft(room, ann, { text: 'one' }),
        a.draft(room, ann, { text: 'two' }),
        a.entry(room, ann, { kind: 'edit', target: 1, text: 'uno' }),
        a.entry(room, ann, { kind: 'edit', target: 2, text: 'due' }),
      ]);
      await a.execute(
        `update members set visible_after_seq = 1 where conversation = ${room} and user_id = ${bob}`,
      );
      const { conversations } = await b.sync({ user: bob, cursors: new Map([[room, 0]]) });
      expect(conversations).toMatchObject([
        {
          afterSeq: 1,
          asOf: 4,
          messages: [
            { seq: 2, text: 'due', extra: { version: 4 } },
            { seq: 3, text: '', extra: { bare: true, target: 0 } },
            { seq: 4, text: 'due', extra: { target: 2, version: 4, bare: false } },
          ],
        },
      ]);
      const page = await b.sync({ user: ann, limit: 1 });
      expect(page.conversations).toMatchObject([
        { messages: [{ seq: 1, text: 'uno', extra: { version: 3 } }] },
      ]);
    });
  });
}
