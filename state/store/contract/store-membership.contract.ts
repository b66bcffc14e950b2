/** The part of the store's contract about who is in a room, and what they may read. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { withChanges } from '../member-pieces.ts';
import { MAX_MEMBER_CHANGES, type MemberChanges, type MemberList } from '../store.ts';
import type { Nodes, Scratch, World } from './scratch.contract.ts';

const UNSTORABLE = (2n ** 64n - 1n) as ConversationId;
const NOT_A_MEMBER = [{ ok: false, code: 'NOT_A_MEMBER' }];

/** Reads everything that a client without cursors, or with this one, gets. */
async function seqsOf(world: World, user: UserId, room: ConversationId, cursor?: number): Promise<number[]> {
  const cursors = new Map(cursor === undefined ? [] : [[room, cursor]]);
  const { conversations } = await world.sync({ user, device: 'd', cursors, limit: 1000 });
  return conversations
    .filter(({ conversation }) => conversation.id === room)
    .flatMap(({ messages }) => messages.map(({ seq }) => seq));
}

/** Adds members numbered `from` to `to` past the store, as if they had joined one after the other. */
async function addMembers(scratch: Scratch, room: ConversationId, from: number, to: number): Promise<void> {
  const numbers = `with recursive n (i) as (select ${from} union all select i + 1 from n where i < ${to})`;
  await scratch.execute(`
    insert into accounts (id, name, password_hash) ${numbers} select i, 'user' || i, 'x' from n;
    insert into members (conversation, user_id, joined_seq, joined_version) ${numbers} select ${room}, i, 0, 2 + i from n;
    update conversations set member_version = 2 + ${to}, member_count = 1 + ${to} where id = ${room}`);
}

export function describeMembership(nodes: () => Nodes): void {
  describe('membership', () => {
    const goneOf = async (world: World, user: UserId, cursors: [ConversationId, number][]) =>
      (await world.sync({ user, device: 'd', cursors: new Map(cursors), limit: 1000 })).gone;

    test('leaveRoom: the user reads what came before, nothing after, on every node; a repeat has no effect', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 3);
      expect(await b.leaveRoom(room, bob)).toMatchObject({ changed: true, seq: 4, memberVersion: 3 });
      await a.fill(room, ann, 2);
      expect(await a.leaveRoom(room, bob)).toEqual({ changed: false, seq: 3, memberVersion: 3, entries: [] });
      expect(await seqsOf(a, bob, room, 1)).toEqual([2, 3]);
      expect(await seqsOf(b, bob, room, 3)).toEqual([]);
      expect(await seqsOf(a, bob, room)).toEqual([]);
      const history = await b.history(bob, room, 0, 10);
      expect(history?.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
      expect((await a.history(bob, room, 3, 10))?.messages.map(({ seq }) => seq)).toEqual([1, 2]);
      expect(await a.append([a.draft(room, bob)])).toEqual(NOT_A_MEMBER);
      expect((await a.store.membersOf(room))?.members.map(({ user }) => user)).toEqual([ann]);
      expect(await a.conversations(bob, 'd')).toEqual([]);
      expect((await a.store.listRooms(bob, String(room - 1n), 1)).items[0]).toMatchObject({
        members: 1,
        joined: false,
      });
    });

    test('sync: what a former member gets of the conversation tells nothing of what came later', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      const atMs = Date.now() + 10_000;
      await a.append([{ ...a.draft(room, ann), atMs }]);
      await a.leaveRoom(room, bob);
      await a.append([
        { ...a.draft(room, ann), atMs: atMs + 1000 },
        { ...a.entry(room, ann, { kind: 'pin', target: 1 }), atMs: atMs + 2000 },
      ]);
      const { conversations } = await b.sync({ user: bob, cursors: new Map([[room, 0]]) });
      const conversation = { id: room, lastSeq: 1, pinsVersion: 1, activeAtMs: atMs, unread: 0 };
      expect(conversations.map((page) => page.conversation)).toEqual([expect.objectContaining(conversation)]);
    });

    test('sync: reports cursors of conversations that the user is not in, after their last messages', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [left, removed, deleted, stays] = [
        await a.room(ann, bob),
        await a.room(ann, bob),
        await a.room(ann, bob),
        await a.room(ann, bob),
      ];
      for (const room of [left, removed, deleted, stays]) await a.fill(room, ann, 2);
      await a.leaveRoom(left, bob);
      await b.removeMember(removed, ann, bob);
      await b.deleteRoom(deleted, ann);
      const never = a.conversationId();
      const cursors: [ConversationId, number][] = [left, removed, deleted, stays, never].map((id) => [id, 1]);
      expect(await goneOf(b, bob, cursors)).toEqual(
        expect.arrayContaining([
          { conversation: left, reason: 'left', lastSeq: 2 },
          { conversation: removed, reason: 'removed', lastSeq: 2 },
          { conversation: deleted, reason: 'deleted', lastSeq: 0 },
          { conversation: never, reason: 'deleted', lastSeq: 0 },
        ]),
      );
      expect(await goneOf(b, bob, [[stays, 1]])).toEqual([]);
      const first = await a.sync({ user: bob, device: 'd', cursors: new Map(cursors), limit: 2 });
      expect([first.more, first.gone]).toEqual([true, []]);
      expect(await seqsOf(a, bob, removed, 1)).toEqual([2]);
      expect(await seqsOf(a, bob, deleted, 1)).toEqual([]);
    });

    test('joinRoom: the history, or in a room that hides it only later messages', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const hiding = await a.store.createRoom(a.conversationId(), a.name(), ann, true);
      const room = hiding?.id as ConversationId;
      await a.fill(room, ann, 2);
      // The entry of the join is the last one that the user may not read.
      expect(await b.joinRoom(room, bob)).toMatchObject({
        isNew: true,
        visibleAfterSeq: 3,
        entry: { seq: 3 },
      });
      expect(await b.joinRoom(room, bob)).toMatchObject({ isNew: false, visibleAfterSeq: 3 });
      await a.fill(room, ann, 1);
      expect(await a.joinRoom(room, cid)).toMatchObject({ visibleAfterSeq: 5 });
      await a.fill(room, bob, 1);
      expect(await seqsOf(a, ann, room)).toEqual([1, 2, 3, 4, 5, 6]);
      expect(await seqsOf(a, bob, room, 0)).toEqual([4, 5, 6]);
      expect(await seqsOf(b, cid, room, 0)).toEqual([6]);
      expect((await b.history(cid, room, 0, 10))?.messages.map(({ seq }) => seq)).toEqual([6]);
      const list = await b.store.membersOf(room);
      expect(list?.members.map(({ visibleAfterSeq }) => visibleAfterSeq)).toEqual([0, 3, 5]);
    });

    test('joinRoom: a former member rejoins with the cursors of before, and is no longer gone', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 1);
      await a.store.moveCursors([
        { user: bob, device: 'd', conversation: room, deliveredSeq: 1, readSeq: 1 },
      ]);
      await a.leaveRoom(room, bob);
      await a.fill(room, ann, 2);
      const rejoined = { isNew: true, memberVersion: 4, lastSeq: 5, readSeq: 1, unread: 2 };
      expect(await a.joinRoom(room, bob, 'd')).toMatchObject({ ...rejoined, deliveredSeq: 1 });
      expect(await goneOf(a, bob, [[room, 1]])).toEqual([]);
      expect(await seqsOf(a, bob, room, 1)).toEqual([2, 3, 4, 5]);
    });

    test('removeMember: only the owner may, and only present or former members are removed', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid, eve] = [await a.user(), await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, bob, cid);
      expect(await a.removeMember(room, bob, cid)).toBe('ROLE_TOO_LOW');
      expect(await a.removeMember(room, eve, cid)).toBe('NOT_A_MEMBER');
      expect(await a.removeMember(room, ann, eve)).toBe('TARGET_NOT_A_MEMBER');
      expect(await a.removeMember(a.conversationId(), ann, cid)).toBe('ROOM_NOT_FOUND');
      expect(await a.removeMember(UNSTORABLE, ann, cid)).toBe('ROOM_NOT_FOUND');
      expect(await b.removeMember(room, ann, cid)).toMatchObject({ changed: true, memberVersion: 4 });
      expect(await b.removeMember(room, ann, cid)).toMatchObject({ changed: false });
      expect(await a.append([a.draft(room, cid)])).toEqual(NOT_A_MEMBER);
    });

    test('an owner who leaves passes the room on; an empty room belongs to the first to join it', async () => {
      const { a } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, bob, cid);
      const owns = async (user: UserId) => (await a.conversations(user, ''))[0]?.role === 'owner';
      expect(await Promise.all([ann, bob, cid].map(owns))).toEqual([true, false, false]);
      await a.leaveRoom(room, ann);
      expect(await Promise.all([bob, cid].map(owns))).toEqual([true, false]);
      await a.leaveRoom(room, bob);
      await a.leaveRoom(room, cid);
      expect(await a.store.membersOf(room)).toBeUndefined();
      expect(await a.joinRoom(room, bob)).toMatchObject({ role: 'owner' });
    });

    test('an owner who leaves passes the room on in the order of joining, not of clocks or ids', async () => {
      const { a, scratch } = nodes();
      const [ann, bob, cid, dan] = [await a.user(), await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, dan, bob, cid);
      const [column] = await scratch.query('select * from members limit 1');
      const joinedAt = column !== undefined && 'joined_at_ms' in column ? 'joined_at_ms' : 'joined_at';
      await scratch.execute(`update members set ${joinedAt} = (select min(${joinedAt}) from members)`);
      for (const [leaver, owner] of [
        [ann, dan],
        [dan, bob],
        [bob, cid],
      ] as const) {
        await a.leaveRoom(room, leaver);
        expect((await a.conversations(owner, ''))[0]?.role).toBe('owner');
      }
    });

    test('leaveRoom: not from a direct conversation, not for a non-member', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const { id } = await a.store.openDirect(a.conversationId(), ann, bob);
      expect(await a.leaveRoom(id, ann)).toBe('ARGUMENT_INVALID');
      expect(await a.deleteRoom(id, ann)).toBe('ARGUMENT_INVALID');
      expect(await a.leaveRoom(id, await a.user())).toBe('ROOM_NOT_FOUND');
      expect(await a.leaveRoom(await a.room(ann), bob)).toBe('NOT_A_MEMBER');
      expect(await a.leaveRoom(UNSTORABLE, bob)).toBe('ROOM_NOT_FOUND');
    });

    test('deleteRoom: gone for everybody at once, its name is free, and all of it is erased', async () => {
      const { a, b, scratch } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const name = a.name();
      while (await a.store.erase(1000, 0));
      const made = await a.store.createRoom(a.conversationId(), name, ann);
      const room = made?.id as ConversationId;
      await a.joinRoom(room, bob);
      await a.fill(room, bob, 5);
      await a.store.moveCursors([
        { user: bob, device: 'd', conversation: room, deliveredSeq: 3, readSeq: 2 },
      ]);
      expect(await a.deleteRoom(room, bob)).toBe('ROLE_TOO_LOW');
      expect(await a.deleteRoom(room, cid)).toBe('NOT_A_MEMBER');
      expect(await a.deleteRoom(room, ann)).toEqual({ seq: 6, members: [ann, bob] });
      // A repeat, as after an answer that was lost.
      expect(await b.deleteRoom(room, ann)).toEqual({ seq: 6, members: [ann, bob] });
      expect(await b.deleteRoom(room, bob)).toBe('ROOM_NOT_FOUND');
      expect(await b.joinRoom(room, cid)).toBeUndefined();
      expect(await b.joinRoom(name, cid)).toBeUndefined();
      expect(await b.leaveRoom(room, bob)).toBe('ROOM_NOT_FOUND');
      expect(await b.append([b.draft(room, bob)])).toEqual(NOT_A_MEMBER);
      expect(await b.history(bob, room, 0, 10)).toBeUndefined();
      expect(await b.store.membersOf(room)).toBeUndefined();
      expect((await a.store.listRooms(bob, String(room - 1n), 1)).items[0]?.id).not.toBe(room);
      expect(await a.store.createRoom(a.conversationId(), name, cid)).toMatchObject({ name, lastSeq: 0 });
      const count = async () => {
        const tables = ['messages', 'members', 'former_members', 'cursors'];
        const from = tables.map((table) => `(select count(*) from ${table} where conversation = ${room})`);
        return Object.values((await scratch.query(`select ${from.join(' + ')} as n`))[0] ?? {})[0];
      };
      expect(await a.store.erase(2, 0)).toBe(true);
      expect(Number(await count())).toBe(4 + 2 + 1);
      while (await b.store.erase(2, 0));
      expect(Number(await count())).toBe(0);
      expect(await scratch.query(`select id from conversations where id = ${room}`)).toEqual([]);
      expect(await a.deleteRoom(room, ann)).toBe('ROOM_NOT_FOUND');
    });

    test('append: what was committed before its sender left is acknowledged again, and nothing new is', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      const draft = a.draft(room, bob);
      await a.append([draft]);
      await b.leaveRoom(room, bob);
      expect(await b.append([a.draft(room, bob), draft, b.draft(room, ann)])).toMatchObject([
        { ok: false },
        { ok: true, seq: 1, id: draft.id, duplicate: true },
        { ok: true, seq: 3, duplicate: false },
      ]);
    });

    test('memberChanges: after random joins and leaves, any earlier list is brought up to date', async () => {
      const { a, b } = nodes();
      const owner = await a.user();
      const users = await Promise.all(Array.from({ length: 6 }, () => a.user()));
      const steps = fc.array(fc.tuple(fc.nat({ max: users.length - 1 }), fc.boolean()), { maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(steps, async (made) => {
          const room = await a.room(owner);
          const lists = [(await a.store.membersOf(room)) as MemberList];
          for (const [at, comes] of made) {
            const user = users[at] as UserId;
            if (comes) await b.joinRoom(room, user);
            else await a.leaveRoom(room, user);
            lists.push((await a.store.membersOf(room)) as MemberList);
          }
          const now = lists.at(-1);
          for (const { version, members } of lists) {
            const changes = (await b.store.memberChanges(room, version)) as MemberChanges;
            expect(await withChanges(members, changes)).toEqual(now);
            expect(changes.count).toBe(now?.members.length);
          }
        }),
        { numRuns: 10 },
      );
    });

    test('memberChanges: no members, or too many new ones: undefined', async () => {
      const { a, scratch } = nodes();
      const room = await a.room(await a.user());
      expect(await a.store.memberChanges(room, 1)).toMatchObject({ left: [], count: 1 });
      expect(await a.store.memberChanges(a.conversationId(), 0)).toBeUndefined();
      expect(await a.store.memberChanges(UNSTORABLE, 0)).toBeUndefined();
      await addMembers(scratch, room, 1, MAX_MEMBER_CHANGES);
      expect((await a.store.memberChanges(room, 2))?.joined).toHaveLength(MAX_MEMBER_CHANGES);
      await addMembers(scratch, room, MAX_MEMBER_CHANGES + 1, MAX_MEMBER_CHANGES + 1);
      expect(await a.store.memberChanges(room, 2)).toBeUndefined();
      expect(await a.store.memberChanges(room, 3)).toMatchObject({ left: [], count: MAX_MEMBER_CHANGES + 2 });
      expect((await a.store.membersOf(room))?.members).toHaveLength(MAX_MEMBER_CHANGES + 2);
    });

    test("changes and messages at once, on two nodes: one order, and members' messages lie within their membership", async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const made = await a.store.createRoom(a.conversationId(), a.name(), ann, true);
      const room = made?.id as ConversationId;
      const accepted: number[] = [];
      const talk = async (world: World, user: UserId) => {
        for (let i = 0; i < 40; i++) {
          const [answer] = await world.append([world.draft(room, user)]);
          if (answer?.ok === true) accepted.push(answer.seq);
        }
      };
      const spans: { from: number; to: number }[] = [];
      const logged: number[] = [];
      const comeAndGo = async () => {
        for (let i = 0; i < 10; i++) {
          const joined = await b.joinRoom(room, bob);
          const gone = await a.leaveRoom(room, bob);
          if (typeof gone === 'string') throw new Error(gone);
          const { entry, visibleAfterSeq: from = -1 } = joined ?? {};
          spans.push({ from, to: gone.seq - 1 });
          logged.push(entry?.seq ?? 0, gone.seq);
        }
      };
      await Promise.all([talk(a, ann), talk(b, ann), talk(a, bob), comeAndGo()]);
      const all = [...accepted, ...logged];
      expect(all.toSorted((x, y) => x - y)).toEqual(all.map((_, index) => index + 1));
      const log = await a.history(ann, room, 0, 200);
      const bobs =
        log?.messages
          .filter(({ sender, extra }) => sender === bob && extra === undefined)
          .map(({ seq }) => seq) ?? [];
      for (const seq of bobs) expect(spans.some(({ from, to }) => from < seq && seq <= to)).toBe(true);
      const last = spans.at(-1) as { from: number; to: number };
      expect(await seqsOf(b, bob, room, 0)).toEqual(
        Array.from({ length: last.to - last.from }, (_, index) => last.from + 1 + index),
      );
      expect((await a.store.membersOf(room))?.version).toBe(21);
    });
  });
}
