/** The part of the store's contract about threads. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import { MAX_UNREAD } from '../repositories/unread.ts';
import type { HistoryPoint, ThreadPage } from '../store.ts';
import type { Nodes } from './scratch.contract.ts';

type Point = Exclude<HistoryPoint, { readonly at: 'date' }>;
const NEWEST: Point = { at: 'before', seq: 0 };

export function describeThreads(nodes: () => Nodes): void {
  /** Makes a room with a message of each of three members: seqs 1 to 3. */
  async function makeRoom(): Promise<{ room: ConversationId; ann: UserId; bob: UserId; cyd: UserId }> {
    const { a } = nodes();
    const [ann, bob, cyd] = [await a.user(), await a.user(), await a.user()];
    const room = await a.room(ann, bob, cyd);
    await a.append([a.draft(room, ann), a.draft(room, bob), a.draft(room, cyd)]);
    return { room, ann, bob, cyd };
  }

  /** Appends replies in one batch; returns their seqs, or the codes of refusals. */
  async function reply(
    room: ConversationId,
    ...replies: readonly (readonly [user: UserId, root: number])[]
  ): Promise<(number | string)[]> {
    const { a } = nodes();
    const answers = await a.append(
      replies.map(([user, thread]) => a.entry(room, user, { kind: 'message', thread })),
    );
    return answers.map((answer) => (answer.ok ? answer.seq : answer.code));
  }

  async function thread(
    user: UserId,
    room: ConversationId,
    root: number,
    point = NEWEST,
    limit = 100,
  ): Promise<ThreadPage> {
    const page = await nodes().b.store.threadOf(room, accessCheck('getThread', user), root, point, limit);
    if (typeof page === 'string') throw new Error(page);
    return page;
  }

  /** The seqs of the threads that a user follows, with the number of unread replies. */
  async function followed(user: UserId, room?: ConversationId): Promise<(readonly [number, number?])[]> {
    const { items } = await nodes().b.store.followedThreads(user, room, '', 100);
    return items.map(({ seq, summary }) => [seq, summary?.following?.unread]);
  }

  async function counts(user: UserId, room: ConversationId): Promise<readonly [number?, number?]> {
    const conversation = await nodes().b.store.conversationOf(room, user, '');
    return [conversation?.unread, conversation?.threadsUnread];
  }

  async function follow(user: UserId, room: ConversationId, root: number, follows = true): Promise<unknown> {
    return nodes().a.store.followThread(room, accessCheck('followThread', user), root, follows);
  }

  async function markRead(user: UserId, room: ConversationId, root: number, seq: number, epoch = 0) {
    const cursor = { readSeq: seq, readEpoch: epoch, device: '', thread: root };
    const marked = await nodes().a.store.markRead(room, accessCheck('markRead', user), cursor);
    return typeof marked === 'string' ? marked : marked.threadsUnread;
  }

  describe('threads', () => {
    test('a reply: has its place in the log, its number in the thread, and counts there alone', async () => {
      const { a, b } = nodes();
      const { room, ann, bob, cyd } = await makeRoom();
      const before = await b.store.conversationOf(room, ann, '');
      expect(await reply(room, [bob, 1], [cyd, 1], [cyd, 2], [bob, 1])).toEqual([4, 5, 6, 7]);
      expect(await counts(ann, room)).toEqual([2, 1]);
      expect(await b.store.conversationOf(room, ann, '')).toMatchObject({
        lastSeq: 7,
        activeAtMs: before?.activeAtMs,
      });
      const [listed] = await b.conversations(ann);
      expect(listed?.lastMessage?.seq).toBe(3);
      await a.append([a.draft(room, cyd)]);
      expect(await counts(ann, room)).toEqual([3, 1]);
      const page = await b.page(ann, room);
      expect(page?.messages.map(({ seq, extra }) => [seq, extra?.kind, extra?.thread])).toEqual([
        [1, undefined, undefined],
        [2, undefined, undefined],
        [3, undefined, undefined],
        [4, 'message', 1],
        [5, 'message', 1],
        [6, 'message', 2],
        [7, 'message', 1],
        [8, undefined, undefined],
      ]);
      expect(page?.messages.map(({ threadSummary }) => threadSummary?.replies)).toEqual(
        [3, 1].concat(Array.from({ length: 6 })),
      );
      expect(page?.messages[0]?.threadSummary).toMatchObject({
        lastSeq: 7,
        following: { unread: 3, readSeq: 0, readEpoch: 0 },
      });
      // The page of the past tells of the thread as it is at its end.
      expect((await b.history(ann, room, 2, 1))?.messages[0]?.threadSummary).toMatchObject({ replies: 3 });
      const { conversations } = await b.sync({ user: ann });
      const found = conversations.find(({ conversation }) => conversation.id === room);
      expect(found?.messages[3]).toMatchObject({ seq: 4, extra: { thread: 1 } });
      expect(found?.conversation).toMatchObject({ unread: 3, threadsUnread: 1 });
    });

    test('a reply: repeated it is a duplicate, and the thread has it once', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await makeRoom();
      const draft = a.entry(room, bob, { kind: 'message', thread: 1 });
      expect(await a.append([draft])).toMatchObject([{ ok: true, seq: 4, duplicate: false, target: 0 }]);
      expect(
        await b.append([draft, b.entry(room, bob, { kind: 'message', thread: 1 }), draft]),
      ).toMatchObject([
        { ok: true, seq: 4, duplicate: true },
        { ok: true, seq: 5, duplicate: false },
        { ok: true, seq: 4, duplicate: true },
      ]);
      expect((await thread(ann, room, 1)).summary).toMatchObject({ replies: 2, lastSeq: 5 });
    });

    test('refusals: what is no root for the sender; a retracted root is one', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await makeRoom();
      const dan = await a.user();
      await a.append([
        a.entry(room, bob, { kind: 'edit', target: 2 }),
        a.entry(room, bob, { thread: 1, text: 'x' }),
      ]);
      await a.append([a.entry(room, ann, { kind: 'retract', target: 1 })]);
      expect(await reply(room, [ann, 0 + 99], [ann, 4], [ann, 5], [dan, 1], [ann, 1])).toEqual([
        'TARGET_NOT_FOUND',
        'TARGET_INVALID',
        'THREAD_NESTED',
        'NOT_A_MEMBER',
        7,
      ]);
      await a.store.raiseFloor(room, 2);
      expect(await reply(room, [ann, 2], [ann, 3], [bob, 3])).toEqual(['TARGET_EXPIRED', 8, 9]);
      const page = await thread(bob, room, 1);
      expect(page).toMatchObject({ root: undefined, summary: { replies: 2, lastSeq: 7 } });
      expect(page.messages.map(({ seq }) => seq)).toEqual([5, 7]);
    });

    test('one batch: the root and what follows it, refusals in between, texts and edits', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await makeRoom();
      const answers = await a.append([
        a.draft(room, ann),
        a.entry(room, bob, { kind: 'message', thread: 4 }),
        a.entry(room, bob, { kind: 'edit', target: 1 }),
        a.entry(room, bob, { kind: 'message', thread: 1 }),
        a.entry(room, bob, { kind: 'message', thread: 4 }),
        a.entry(room, bob, { kind: 'message', target: 4 }),
        a.entry(room, bob, { kind: 'message', thread: 5 }),
      ]);
      expect(answers.map((answer) => (answer.ok ? answer.seq : answer.code))).toEqual([
        4,
        5,
        'NOT_AUTHOR',
        6,
        7,
        8,
        'THREAD_NESTED',
      ]);
      expect((await thread(ann, room, 4)).messages.map(({ seq }) => seq)).toEqual([5, 7]);
      expect((await thread(ann, room, 1)).summary).toMatchObject({ replies: 1 });
      // Of the timeline: 2 and 3, 8.
      expect(await counts(ann, room)).toEqual([3, 2]);
    });

    test('following: who wrote the root or a reply, or chose to; who stopped is asked again by nothing', async () => {
      const { room, ann, bob, cyd } = await makeRoom();
      await reply(room, [bob, 1], [ann, 1], [bob, 1]);
      expect([await followed(ann), await followed(bob, room), await followed(cyd)]).toEqual([
        [[1, 2]],
        [[1, 1]],
        [],
      ]);
      await follow(cyd, room, 1);
      expect(await followed(cyd)).toEqual([[1, 0]]);
      await reply(room, [bob, 1]);
      expect(await followed(cyd)).toEqual([[1, 1]]);
      // Repeated it marks nothing as read.
      await follow(cyd, room, 1);
      expect(await followed(cyd)).toEqual([[1, 1]]);
      expect([await follow(ann, room, 1, false), await followed(ann), await counts(ann, room)]).toEqual([
        { follows: false },
        [],
        [2, 0],
      ]);
      await reply(room, [bob, 1], [ann, 1]);
      expect(await followed(ann)).toEqual([]);
      await follow(ann, room, 1);
      expect(await followed(ann)).toEqual([[1, 0]]);
      const { a } = nodes();
      const dan = await a.user();
      expect([await follow(ann, room, 4), await follow(ann, room, 99), await follow(dan, room, 1)]).toEqual([
        'TARGET_NOT_FOUND',
        'TARGET_NOT_FOUND',
        'NOT_A_MEMBER',
      ]);
      // Without a reply there is nothing to list.
      await follow(ann, room, 3);
      expect(await followed(ann)).toEqual([[1, 0]]);
      expect(await thread(ann, room, 3)).toMatchObject({ summary: undefined, messages: [], more: false });
    });

    test('unread: own, retracted and purged replies are none; the cursor of the thread and that of the room are two', async () => {
      const { a } = nodes();
      const { room, ann, bob, cyd } = await makeRoom();
      await reply(room, [bob, 1], [cyd, 1], [bob, 1], [ann, 1], [cyd, 1]);
      expect(await followed(ann)).toEqual([[1, 4]]);
      await a.append([a.entry(room, bob, { kind: 'retract', target: 4 })]);
      expect(await followed(ann)).toEqual([[1, 3]]);
      const range = { sender: cyd, fromSeq: 1, toSeq: 99 };
      await a.append([a.entry(room, cyd, { kind: 'retract', range })]);
      expect([await followed(ann), await counts(ann, room)]).toEqual([[[1, 1]], [1, 1]]);
      while (await a.store.erase(100, 0)) continue;
      expect([await followed(ann), await counts(ann, room)]).toEqual([[[1, 1]], [1, 1]]);
      const read = { user: ann, device: '', conversation: room, deliveredSeq: 0 };
      await a.store.moveCursors([{ ...read, readSeq: 3 }]);
      expect(await counts(ann, room)).toEqual([0, 1]);
      await a.store.moveCursors([
        { ...read, readSeq: 5, thread: 1 },
        { ...read, readSeq: 6, thread: 1 },
        { ...read, user: cyd, readSeq: 6, thread: 2 },
      ]);
      expect([await counts(ann, room), await followed(ann)]).toEqual([[0, 0], [[1, 0]]]);
      expect((await a.store.conversationOf(room, ann, ''))?.readSeq).toBe(3);
    });

    test('markRead: moves back under a greater epoch, and refuses what is beyond the end, old, or not followed', async () => {
      const { room, ann, bob, cyd } = await makeRoom();
      await reply(room, [bob, 1], [bob, 1], [bob, 1]);
      expect(await markRead(ann, room, 1, 6)).toBe(0);
      expect(await markRead(ann, room, 1, 4, 1)).toBe(1);
      expect(await followed(ann)).toEqual([[1, 2]]);
      expect(await markRead(ann, room, 1, 6)).toBe('CURSOR_EPOCH_OLD');
      expect(await markRead(ann, room, 1, 7, 2)).toBe('CURSOR_BEYOND_END');
      expect(await markRead(cyd, room, 1, 6)).toBe('TARGET_NOT_FOUND');
      expect(await followed(ann)).toEqual([[1, 2]]);
      const { summary } = await thread(ann, room, 1);
      expect(summary?.following).toEqual({ unread: 2, readSeq: 4, readEpoch: 1 });
    });

    test('markAllRead: timelines and followed threads, of one conversation or of all, of this user alone', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await makeRoom();
      const other = await a.room(ann, bob);
      await a.append([a.draft(other, bob)]);
      await reply(room, [bob, 1]);
      await reply(other, [ann, 1], [bob, 1]);
      const all = async () => [
        await counts(ann, room),
        await counts(ann, other),
        await counts(bob, room),
        await counts(bob, other),
      ];
      expect(await all()).toEqual([
        [2, 1],
        [1, 1],
        [2, 0],
        [0, 1],
      ]);
      const moved = await a.store.markAllRead(ann, other);
      expect(moved.toSorted((x, y) => x.thread - y.thread)).toEqual([
        { conversation: other, thread: 0, readSeq: 3, readEpoch: 0 },
        { conversation: other, thread: 1, readSeq: 3, readEpoch: 0 },
      ]);
      expect(await all()).toEqual([
        [2, 1],
        [0, 0],
        [2, 0],
        [0, 1],
      ]);
      expect(await a.store.markAllRead(ann, undefined)).toHaveLength(2);
      expect(await all()).toEqual([
        [0, 0],
        [0, 0],
        [2, 0],
        [0, 1],
      ]);
      expect(await a.store.markAllRead(ann, undefined)).toEqual([]);
      // The epochs stay: what was marked unread can be read on another device.
      await markRead(ann, room, 1, 0, 1);
      expect(await a.store.markAllRead(ann, room)).toMatchObject([{ thread: 1, readEpoch: 1 }]);
    });

    test('more than a thousand replies beyond the cursor: the count is a thousand', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await makeRoom();
      const many = Array.from({ length: MAX_UNREAD + 1 }, () => [bob, 1] as const);
      await reply(room, ...many.slice(1));
      await a.append([a.entry(room, bob, { kind: 'retract', target: 10 })]);
      expect(await followed(ann)).toEqual([[1, MAX_UNREAD - 1]]);
      await reply(room, [bob, 1]);
      expect([await followed(ann), await counts(ann, room)]).toEqual([[[1, MAX_UNREAD]], [MAX_UNREAD, 1]]);
    });

    test('threadOf: pages of any size at any point have each reply once', async () => {
      const { a } = nodes();
      const { room, ann, bob } = await makeRoom();
      const seqs: number[] = [];
      for (let count = 0; count < 7; count++) {
        await a.append([a.draft(room, ann)]);
        seqs.push(...((await reply(room, [bob, 1])) as number[]));
      }
      for (const limit of [1, 2, 3, 7, 8]) {
        const back: number[] = [];
        for (let seq = 0, more = true; more; ) {
          const page = await thread(ann, room, 1, { at: 'before', seq }, limit);
          back.unshift(...page.messages.map((message) => message.seq));
          [seq, more] = [back[0] as number, page.more];
        }
        const forth: number[] = [];
        for (let more = true; more; ) {
          const page = await thread(ann, room, 1, { at: 'after', seq: forth.at(-1) ?? 0 }, limit);
          forth.push(...page.messages.map((message) => message.seq));
          more = page.moreAfter;
        }
        expect([back, forth]).toEqual([seqs, seqs]);
      }
      const around = await thread(ann, room, 1, { at: 'around', seq: seqs[3] as number }, 3);
      expect(around).toMatchObject({ anchorSeq: seqs[3], more: true, moreAfter: true });
      expect(around.messages.map(({ seq }) => seq)).toEqual(seqs.slice(2, 5));
      await markRead(ann, room, 1, seqs[1] as number);
      expect(await thread(ann, room, 1, { at: 'firstUnread' }, 1)).toMatchObject({ anchorSeq: seqs[2] });
    });

    test('bounds: who may not read the root has no thread; who left has it as of then', async () => {
      const { a, b } = nodes();
      const ann = await a.user();
      const [bob, cyd] = [await a.user(), await a.user()];
      const made = await a.store.createRoom(a.conversationId(), a.name(), ann, true);
      const room = made?.id as ConversationId;
      await a.joinRoom(room, bob);
      await a.append([a.draft(room, ann)]);
      const root = (await b.store.conversationOf(room, ann, ''))?.lastSeq as number;
      await reply(room, [bob, root]);
      await a.joinRoom(room, cyd);
      expect(await reply(room, [cyd, root], [bob, root])).toMatchObject(['TARGET_NOT_FOUND', root + 3]);
      expect(await follow(cyd, room, root)).toBe('TARGET_NOT_FOUND');
      await expect(thread(cyd, room, root)).rejects.toThrow('TARGET_NOT_FOUND');
      await a.leaveRoom(room, bob);
      await reply(room, [ann, root]);
      const left = await thread(bob, room, root);
      expect(left.messages.map(({ seq }) => seq)).toEqual([root + 1, root + 3]);
      expect(left.summary).toMatchObject({ replies: 2, lastSeq: root + 3, following: undefined });
      const history = await b.page(bob, room);
      expect(history?.messages.find(({ seq }) => seq === root)?.threadSummary).toMatchObject({ replies: 2 });
      expect(await followed(bob)).toEqual([]);
      // Back again: the root is of before.
      await a.joinRoom(room, bob);
      expect([await followed(bob), (await counts(bob, room))[1]]).toEqual([[], 0]);
    });

    test('followedThreads: pages of any size, of all conversations or of one, the last active first', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await makeRoom();
      const other = await a.room(ann, bob);
      await a.append([a.draft(other, bob)]);
      await a.append([a.draft(other, ann)]);
      await reply(other, [ann, 2]);
      await reply(room, [ann, 1], [ann, 2], [ann, 3]);
      const all = await b.store.followedThreads(ann, undefined, '', 100);
      expect(all.items.map(({ conversation, seq }) => [conversation === room, seq])).toEqual([
        ...(other > room ? [[false, 2]] : []),
        [true, 3],
        [true, 2],
        [true, 1],
        ...(other > room ? [] : [[false, 2]]),
      ]);
      expect(all.items.at(-1)).toMatchObject({
        root: { seq: expect.any(Number) },
        last: { extra: { thread: all.items.at(-1)?.seq } },
        summary: { replies: 1 },
      });
      for (const limit of [1, 2, 3, 4]) {
        const seen: unknown[] = [];
        for (let after: string | undefined = ''; after !== undefined; ) {
          const page: Awaited<ReturnType<typeof b.store.followedThreads>> = await b.store.followedThreads(
            ann,
            undefined,
            after,
            limit,
          );
          seen.push(...page.items);
          after = page.next;
        }
        expect(seen).toEqual(all.items);
      }
      expect((await followed(ann, room)).map(([seq]) => seq)).toEqual([3, 2, 1]);
      expect(await b.store.followedThreads(ann, undefined, '1.2', 5)).toEqual({ items: [], next: undefined });
      await a.store.raiseFloor(room, 4);
      expect((await followed(ann, room)).map(([seq]) => seq)).toEqual([3, 2]);
      await a.store.raiseFloor(room, 6);
      while (await a.store.erase(100, 0)) continue;
      expect(await followed(ann, room)).toEqual([]);
      const [left] = await nodes().scratch.query(
        `select (select count(*) from threads where conversation = ${room}) +
                (select count(*) from thread_members where conversation = ${room}) as n`,
      );
      expect(Number(left?.['n'])).toBe(0);
    });

    test('a reply: is edited, pinned, quoted and retracted as any message', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await makeRoom();
      await reply(room, [bob, 1]);
      await a.append([
        a.entry(room, bob, { kind: 'edit', target: 4, text: 'new' }),
        a.entry(room, ann, { kind: 'pin', target: 4 }),
        a.entry(room, ann, { kind: 'message', target: 4, text: 'quotes' }),
      ]);
      const [edited] = (await thread(ann, room, 1)).messages;
      expect(edited).toMatchObject({ text: 'new', extra: { version: 5, thread: 1 } });
      expect((await b.page(ann, room))?.messages[6]?.extra?.quote).toMatchObject({ seq: 4, text: 'new' });
      await a.append([a.entry(room, bob, { kind: 'retract', target: 4 })]);
      const { messages, summary } = await thread(ann, room, 1);
      expect(messages[0]).toMatchObject({ text: '', extra: { thread: 1, retraction: { seq: 8, by: bob } } });
      expect(summary).toMatchObject({ replies: 1 });
      const [entry] = await a.store.entriesAt(room, [4]);
      expect(entry?.extra).toMatchObject({ thread: 1, kind: 'message' });
    });
  });
}
