/** Contract: sync and cursors. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Nodes, World } from './scratch.contract.ts';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { Store } from '../mod.ts';
import { PAGE_TEXT_BYTES } from '../sync-page.ts';

const UNSTORABLE = (2n ** 64n - 1n) as ConversationId;

/** Lengths of texts in each of some rooms; a page holds many or not even one. */
const texts = fc.array(
  fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 40_000, max: 150_000 })), { minLength: 1, maxLength: 4 }),
  { minLength: 1, maxLength: 4 },
);

export function describeSync(nodes: () => Nodes): void {
  /** Syncs page by page as a client does; returns the seqs of each conversation and the number of pages. */
  async function syncAll(
    world: World,
    user: UserId,
    limit: number,
    cursors = new Map<ConversationId, number>(),
  ): Promise<{ seqs: Map<ConversationId, number[]>; pages: number }> {
    const seqs = new Map<ConversationId, number[]>();
    for (let pages = 1; ; pages++) {
      const page = await world.sync({ user, cursors, limit });
      const count = page.conversations.reduce((sum, { messages }) => sum + messages.length, 0);
      expect(count).toBeLessThanOrEqual(limit);
      if (page.more) expect(count).toBe(limit);
      for (const { conversation, messages } of page.conversations) {
        if (messages.length === 0) continue;
        expect(messages.every((message) => message.conversation === conversation.id)).toBe(true);
        const list = seqs.get(conversation.id) ?? [];
        list.push(...messages.map(({ seq }) => seq));
        seqs.set(conversation.id, list);
        cursors.set(conversation.id, list.at(-1) ?? 0);
      }
      if (!page.more) return { seqs, pages };
    }
  }

  describe('sync', () => {
    test('what is after the cursors, and nothing if nothing is new', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [one, two] = [await a.room(ann, bob), await a.room(ann)];
      const drafts = [a.draft(one, ann), a.draft(one, ann), a.draft(one, ann)];
      await a.append(drafts);
      await a.fill(two, ann, 2);
      const cursors = new Map([
        [one, 1],
        [two, 2],
      ]);
      const result = await b.sync({ user: bob, device: 'phone', cursors, limit: 10 });
      expect(result).toEqual({
        conversations: [
          {
            conversation: await a.store.conversationOf(one, bob, 'phone'),
            messages: [
              { ...drafts[1], seq: 2 },
              { ...drafts[2], seq: 3 },
            ],
            afterSeq: 1,
            asOf: 3,
          },
        ],
        more: false,
        gone: [{ conversation: two, reason: 'deleted', lastSeq: 0 }],
      });
      cursors.set(one, 3);
      const nothing = { conversations: [], more: false, gone: [] };
      expect(await a.sync({ user: ann, device: '', cursors, limit: 10 })).toEqual(nothing);
    });

    test('a missing cursor starts at the stored one of the device, else of the unnamed devices, else at 0', async () => {
      const { a } = nodes();
      const user = await a.user();
      const room = await a.room(user);
      await a.fill(room, user, 6);
      const seqs = async (device: string, cursors: [ConversationId, number][] = []) => {
        const result = await a.sync({ user, device, cursors: new Map(cursors), limit: 10 });
        return result.conversations.flatMap(({ messages }) => messages.map(({ seq }) => seq));
      };
      expect(await seqs('phone')).toEqual([1, 2, 3, 4, 5, 6]);
      const move = { user, conversation: room, readSeq: 0 };
      await a.store.moveCursors([{ ...move, device: '', deliveredSeq: 2 }]);
      expect(await seqs('phone')).toEqual([3, 4, 5, 6]);
      expect(await seqs('')).toEqual([3, 4, 5, 6]);
      await a.store.moveCursors([{ ...move, device: 'phone', deliveredSeq: 4 }]);
      expect(await seqs('phone')).toEqual([5, 6]);
      expect(await seqs('laptop')).toEqual([3, 4, 5, 6]);
      // A device that has only read keeps the fallback.
      await a.store.moveCursors([{ ...move, device: 'tv', deliveredSeq: 0, readSeq: 5 }]);
      expect(await seqs('tv')).toEqual([3, 4, 5, 6]);
      // What the client says it has counts, also when it is less than what is stored.
      expect(await seqs('phone', [[room, 1]])).toEqual([2, 3, 4, 5, 6]);
      expect(await seqs('phone', [[room, 0]])).toEqual([1, 2, 3, 4, 5, 6]);
    });

    test('pushed: begins at the stored cursor or at the pushed seq, whichever is lower, also for a former member', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [inside, left, gone, foreign] = [
        await a.room(ann, bob),
        await a.room(ann, bob),
        await a.room(ann, bob),
        await a.room(ann),
      ];
      for (const room of [inside, left, gone, foreign]) await a.fill(room, ann, 4);
      const devices = [
        ['', 3],
        ['phone', 1],
      ] as const;
      for (const [device, deliveredSeq] of devices)
        for (const conversation of [inside, left])
          await a.store.moveCursors([{ user: bob, device, conversation, deliveredSeq, readSeq: 0 }]);
      await a.leaveRoom(left, bob);
      await a.deleteRoom(gone, ann);
      await a.fill(left, ann, 1);
      const sync = async (device: string, seq: number) => {
        const pushed = new Map([inside, left, gone, foreign].map((room) => [room, seq]));
        const page = await b.sync({ user: bob, device, cursors: new Map(), limit: 20, pushed });
        return {
          seqs: new Map(
            page.conversations.map(({ conversation, messages }) => [
              conversation.id,
              messages.map((message) => message.seq),
            ]),
          ),
          gone: page.gone,
        };
      };
      const goodbye = expect.arrayContaining([
        { conversation: left, reason: 'left', lastSeq: 4 },
        expect.objectContaining({ conversation: gone }),
        { conversation: foreign, reason: 'deleted', lastSeq: 0 },
      ]) as unknown;
      for (const [device, pushed, seqs] of [
        ['phone', 3, [2, 3, 4]],
        ['phone', 0, [1, 2, 3, 4]],
        ['laptop', 9, [4]],
        ['', 2, [3, 4]],
      ] as const) {
        expect(await sync(device, pushed)).toEqual({
          seqs: new Map([
            [inside, seqs],
            [left, seqs],
          ]),
          gone: goodbye,
        });
      }
      // What the client has counts before what it was pushed.
      const both = { cursors: new Map([[left, 3]]), pushed: new Map([[left, 1]]) };
      const page = await b.sync({ user: bob, device: 'phone', limit: 20, ...both });
      expect(page.conversations.find(({ conversation }) => conversation.id === left)?.messages).toMatchObject(
        [{ seq: 4 }],
      );
      expect(page.gone).toHaveLength(1);
    });

    test('odd cursors: beyond the end, of non-members, unstorable, negative, fractional', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [one, two, foreign] = [await a.room(ann), await a.room(ann), await a.room(bob)];
      await a.fill(one, ann, 2);
      await a.fill(two, ann, 2);
      await a.fill(foreign, bob, 2);
      const sync = (cursors: [ConversationId, number][]) =>
        a.sync({ user: ann, device: '', cursors: new Map(cursors), limit: 10 });
      expect(
        await sync([
          [one, 1e300],
          [two, 2],
          [foreign, 0],
          [UNSTORABLE, 0],
          [a.conversationId(), 1],
        ]),
      ).toMatchObject({ conversations: [], more: false });
      const result = await sync([
        [one, -5],
        [two, 1.5],
      ]);
      const seqs = result.conversations.map(({ messages }) => messages.map(({ seq }) => seq));
      expect(seqs).toEqual([[2], [1, 2]]);
    });

    test('a page never exceeds its limit, and the pages together have everything without a gap', async () => {
      const { a, b } = nodes();
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(12), fc.nat(14)), { maxLength: 6 }),
          fc.integer({ min: 1, max: 20 }),
          async (sizes, limit) => {
            const user = await a.user();
            const cursors = new Map<ConversationId, number>();
            const expected = new Map<ConversationId, number[]>();
            for (const [size, cursor] of sizes) {
              const room = await a.room(user);
              if (size > 0) await a.fill(room, user, size);
              if (cursor > 0) cursors.set(room, cursor);
              const seqs = Array.from({ length: size }, (_, index) => index + 1).slice(cursor);
              if (seqs.length > 0) expected.set(room, seqs);
            }
            const { seqs } = await syncAll(b, user, limit, cursors);
            expect(seqs).toEqual(expected);
          },
        ),
        { numRuns: 20 },
      );
    });

    test('the backlog of a busy room does not delay the others', async () => {
      const { a } = nodes();
      const user = await a.user();
      const [busy, quiet] = [await a.room(user), await a.room(user)];
      await a.fill(busy, user, 50);
      await a.fill(quiet, user, 2);
      const page = await a.sync({ user, device: '', cursors: new Map(), limit: 10 });
      expect(page.conversations.map(({ conversation }) => conversation.id)).toEqual([quiet, busy]);
      expect(page.conversations.map(({ messages }) => messages.length)).toEqual([2, 8]);
      expect(page.more).toBe(true);
      expect((await syncAll(a, user, 10)).pages).toBe(6);
    });

    test('more conversations than the limit: all come in the end', async () => {
      const { a } = nodes();
      const user = await a.user();
      const rooms = await Promise.all(Array.from({ length: 7 }, () => a.room(user)));
      for (const room of rooms) await a.fill(room, user, 1);
      const { seqs, pages } = await syncAll(a, user, 3);
      expect(new Set(seqs.keys())).toEqual(new Set(rooms));
      expect(pages).toBe(3);
      // A page moves on whatever is asked for.
      const least = await a.sync({ user, device: '', cursors: new Map(), limit: 0 });
      expect(least).toMatchObject({ conversations: [{ messages: [{ seq: 1 }] }], more: true, gone: [] });
    });

    test('texts of any size: each page has at least one message and hardly exceeds PAGE_TEXT_BYTES', async () => {
      const { a } = nodes();
      await fc.assert(
        fc.asyncProperty(texts, fc.integer({ min: 1, max: 12 }), async (rooms, limit) => {
          const user = await a.user();
          const expected = new Map<ConversationId, number[]>();
          for (const sizes of rooms) {
            const room = await a.room(user);
            await a.append(sizes.map((size) => a.draft(room, user, { text: 'ä'.repeat(size) })));
            expected.set(
              room,
              sizes.map((_, at) => at + 1),
            );
          }
          const cursors = new Map<ConversationId, number>();
          const seen = new Map<ConversationId, number[]>();
          for (let more = true; more; ) {
            const page = await a.sync({ user, device: '', cursors, limit });
            const bytes: number[] = [];
            for (const { conversation, messages } of page.conversations) {
              const seqs = [...(seen.get(conversation.id) ?? []), ...messages.map(({ seq }) => seq)];
              seen.set(conversation.id, seqs);
              cursors.set(conversation.id, seqs.at(-1) ?? 0);
              bytes.push(...messages.map(({ text }) => Buffer.byteLength(text)));
            }
            expect(bytes.length).toBeGreaterThan(0);
            expect(bytes.slice(0, -1).reduce((sum, size) => sum + size, 0)).toBeLessThan(PAGE_TEXT_BYTES);
            more = page.more;
          }
          expect(seen).toEqual(expected);
        }),
        { numRuns: 12 },
      );
    });

    test('ten thousand cursors of a non-member: each is reported as gone, except those of rooms that the user is or was in', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [inside, left, foreign] = [await a.room(ann, bob), await a.room(ann, bob), await a.room(ann)];
      await a.fill(inside, ann, 2);
      await a.leaveRoom(left, bob);
      const others = Array.from({ length: 9_998 }, () => a.conversationId());
      const cursors = new Map([inside, left, foreign, ...others].map((id) => [id, 1]));
      const page = await b.sync({ user: bob, device: 'phone', cursors, limit: 200 });
      expect(page.conversations).toMatchObject([{ conversation: { id: inside }, messages: [{ seq: 2 }] }]);
      const gone = new Map(page.gone.map(({ conversation, ...rest }) => [conversation, rest]));
      expect(gone.get(left)).toEqual({ reason: 'left', lastSeq: 0 });
      const deleted = new Set(
        [...gone].filter(([, { reason }]) => reason === 'deleted').map(([conversation]) => conversation),
      );
      expect(deleted).toEqual(new Set([foreign, ...others]));
      expect(page.gone).toHaveLength(10_000);
      expect(page.more).toBe(false);
    });

    test('a conversation with nothing to read: comes without messages until the device names it', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann);
      const direct = (await a.store.openDirect(a.conversationId(), ann, bob)).id;
      const hidden = (await a.store.createRoom(a.conversationId(), a.name(), bob, true))
        ?.id as ConversationId;
      await a.fill(hidden, bob, 3);
      await a.joinRoom(hidden, ann);
      const known = async (user: UserId, device: string, names: ConversationId[] = []) => {
        const cursors = new Map(names.map((id) => [id, 0]));
        const page = await b.sync({ user, device, cursors, limit: 20 });
        expect(page.more).toBe(false);
        return page.conversations.map(({ conversation, messages }) => [conversation.id, messages.length]);
      };
      // The newest first.
      expect(await known(ann, 'phone')).toEqual([
        [hidden, 0],
        [direct, 0],
        [room, 0],
      ]);
      expect(await known(ann, 'phone', [hidden, room])).toEqual([[direct, 0]]);
      expect(await known(ann, '')).toHaveLength(3);
      // Bob did not open it, and nobody has said anything to him.
      expect(await known(bob, 'phone')).toEqual([[hidden, 4]]);
      await a.fill(room, ann, 1);
      await a.store.moveCursors([
        { user: ann, device: 'phone', conversation: room, deliveredSeq: 1, readSeq: 0 },
      ]);
      expect(await known(ann, 'phone')).toHaveLength(2);
      expect(await known(ann, 'desk')).toEqual([
        [room, 1],
        [hidden, 0],
        [direct, 0],
      ]);
    });

    test('starts after what the member may not see', async () => {
      const { a, scratch } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 5);
      await scratch.execute(
        `update members set visible_after_seq = 3 where conversation = ${room} and user_id = ${bob}`,
      );
      const page = await a.sync({ user: bob, device: '', cursors: new Map([[room, 1]]), limit: 10 });
      expect(page.conversations[0]?.messages.map(({ seq }) => seq)).toEqual([4, 5]);
      expect(page.conversations[0]?.conversation.visibleAfterSeq).toBe(3);
    });
  });

  describe('moveCursors', () => {
    test('both cursors move forward only, independently, and not past the last seq', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const room = await a.room(user);
      await a.fill(room, user, 5);
      const cursors = async () => {
        const [conversation] = await b.conversations(user, 'phone');
        return [conversation?.deliveredSeq, conversation?.readSeq];
      };
      const move = async (...pairs: [number, number][]) => {
        const base = { user, device: 'phone', conversation: room };
        await a.store.moveCursors(
          pairs.map(([deliveredSeq, readSeq]) => ({ ...base, deliveredSeq, readSeq })),
        );
        return cursors();
      };
      expect(await cursors()).toEqual([0, 0]);
      expect(await move([3, 1])).toEqual([3, 1]);
      expect(await move([2, 2])).toEqual([3, 2]);
      expect(await move([0, 0])).toEqual([3, 2]);
      expect(await move([4, 0])).toEqual([4, 2]);
      expect(await move([1, 3], [5, 1], [2, 2])).toEqual([5, 3]);
      expect(await move([99, 99])).toEqual([5, 5]);
      await a.fill(room, user, 1);
      expect(await cursors()).toEqual([5, 5]);
      expect(await move([Number.NaN, -1], [1e300, 0.5])).toEqual([6, 5]);
    });

    test('devices have their own delivered cursor; unnamed ones share one, which also serves a device that has none; all share the read cursor', async () => {
      const { a } = nodes();
      const user = await a.user();
      const room = await a.room(user);
      await a.fill(room, user, 5);
      const move = { user, conversation: room };
      await a.store.moveCursors([
        { ...move, device: 'a', deliveredSeq: 1, readSeq: 1 },
        { ...move, device: 'b', deliveredSeq: 2, readSeq: 2 },
        { ...move, device: '', deliveredSeq: 3, readSeq: 3 },
      ]);
      const of = async (device: string) => (await a.conversations(user, device))[0];
      expect(await of('a')).toMatchObject({ deliveredSeq: 1, readSeq: 3 });
      expect(await of('b')).toMatchObject({ deliveredSeq: 2, readSeq: 3 });
      expect(await of('')).toMatchObject({ deliveredSeq: 3, readSeq: 3 });
      expect(await of('c')).toMatchObject({ deliveredSeq: 3, readSeq: 3 });
    });

    test('ignores receipts of non-members', async () => {
      const { a, scratch } = nodes();
      const [ann, eve] = [await a.user(), await a.user()];
      const [room, empty] = [await a.room(ann), await a.room(ann)];
      await a.fill(room, ann, 3);
      const move = { device: 'd', deliveredSeq: 2, readSeq: 2 };
      await a.store.moveCursors([
        { ...move, user: eve, conversation: room },
        { ...move, user: ann, conversation: UNSTORABLE },
        { ...move, user: ann, conversation: a.conversationId() },
        { ...move, user: a.userId(), conversation: room },
        { ...move, user: ann, conversation: empty },
        { ...move, user: ann, conversation: room },
      ]);
      const rows = await scratch.query(
        `select conversation from cursors where user_id in (${ann}, ${eve}) or conversation in (${room}, ${empty})`,
      );
      expect(rows).toHaveLength(1);
      expect(await a.conversations(ann, 'd')).toContainEqual(
        expect.objectContaining({ id: room, deliveredSeq: 2, readSeq: 2 }),
      );
      await expect(a.store.moveCursors([])).resolves.toBeUndefined();
    });

    test('two nodes at once, in opposite order: the highest wins', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const rooms = await Promise.all(Array.from({ length: 10 }, () => a.room(user)));
      for (const room of rooms) await a.fill(room, user, 20);
      const move = async (store: Store, reverse: boolean) => {
        for (let seq = 1; seq <= 20; seq++) {
          const moves = rooms.map((conversation) => {
            return { user, device: 'd', conversation, deliveredSeq: seq, readSeq: seq };
          });
          if (reverse) moves.reverse();
          await store.moveCursors(moves);
        }
      };
      await Promise.all([move(a.store, false), move(b.store, true)]);
      const cursors = await a.conversations(user, 'd');
      expect(cursors.map(({ deliveredSeq, readSeq }) => [deliveredSeq, readSeq])).toEqual(
        rooms.map(() => [20, 20]),
      );
    });
  });
}
