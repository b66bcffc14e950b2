/** The part of the store's contract about the entries that the server makes of changes of members and roles. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import { MAX_LOGGED_MEMBERS, type Message } from '../store.ts';
import type { Nodes } from './scratch.contract.ts';

export function describeSystem(nodes: () => Nodes): void {
  /** An entry in short: who did what to whom. */
  const brief = ({ seq, sender, extra }: Message) => ({ seq, by: sender, ...extra?.system });

  async function logOf(user: UserId, room: ConversationId): Promise<object[] | undefined> {
    return (await nodes().b.page(user, room))?.messages
      .filter(({ extra }) => extra?.kind === 'system')
      .map(brief);
  }

  describe('entries of the server', () => {
    test('joining, roles, leaving and removing: an entry each, in one order with the messages', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann);
      const stamp = a.stamp(Date.now() + 1000);
      const joined = await a.store.joinRoom(room, accessCheck('joinRoom', bob), stamp);
      if (typeof joined === 'string' || joined.entry === undefined) throw new Error('not joined');
      expect(joined.entry).toMatchObject({
        conversation: room,
        id: stamp.ids[0],
        clientMsgId: '',
        text: '',
        atMs: stamp.atMs,
      });
      const entries = [joined.entry];
      await b.joinRoom(room, cid);
      await a.fill(room, ann, 1);
      for (const change of [
        await a.setRole(room, ann, bob, 'moderator'),
        await b.removeMember(room, bob, cid),
        await a.leaveRoom(room, bob),
      ]) {
        if (typeof change === 'string') throw new Error(change);
        expect(change.seq).toBe(change.entries.at(-1)?.seq);
        entries.push(...change.entries);
      }
      expect(entries.map(brief)).toEqual([
        { seq: 1, by: bob, event: 'joined', user: bob },
        { seq: 4, by: ann, event: 'role', user: bob, role: 'moderator' },
        { seq: 5, by: bob, event: 'removed', user: cid },
        { seq: 6, by: bob, event: 'left', user: bob },
      ]);
      const page = await b.page(ann, room);
      expect(page?.messages.filter(({ seq }) => seq !== 2 && seq !== 3)).toEqual(entries);
      // Times do not go back.
      expect(new Set(page?.messages.map(({ atMs }) => atMs))).toEqual(new Set([stamp.atMs]));
    });

    test('a repeat, or a change that is refused, has none', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann);
      await a.joinRoom(room, bob);
      expect(await b.joinRoom(room, bob)).not.toHaveProperty('entry');
      expect(await b.removeMember(room, bob, ann)).toBe('ROLE_TOO_LOW');
      await a.leaveRoom(room, bob);
      expect(await b.leaveRoom(room, bob)).toMatchObject({ changed: false, entries: [] });
      expect(await logOf(ann, room)).toMatchObject([{ event: 'joined' }, { event: 'left' }]);
    });

    test('the next owner: an entry of that role follows that of the leave', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      expect(await a.leaveRoom(room, ann)).toMatchObject({ newOwner: bob, seq: 2 });
      expect(await logOf(bob, room)).toEqual([
        { seq: 1, by: ann, event: 'left', user: ann },
        { seq: 2, by: ann, event: 'role', user: bob, role: 'owner' },
      ]);
      await a.joinRoom(room, ann);
      expect(await a.setRole(room, bob, bob, 'member')).toMatchObject({ newOwner: ann, seq: 5 });
      expect((await logOf(bob, room))?.slice(3)).toEqual([
        { seq: 4, by: bob, event: 'role', user: bob, role: 'member' },
        { seq: 5, by: bob, event: 'role', user: ann, role: 'owner' },
      ]);
    });

    test('who leaves reads up to before the entry of it', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 2);
      await a.leaveRoom(room, bob);
      expect(await a.page(bob, room)).toMatchObject({ asOf: 2, messages: [{ seq: 1 }, { seq: 2 }] });
      const { gone } = await a.sync({ user: bob, cursors: new Map([[room, 2]]) });
      expect(gone).toEqual([{ conversation: room, reason: 'left', lastSeq: 2 }]);
    });

    test('joins and leaves are logged in rooms of up to MAX_LOGGED_MEMBERS; roles and removals in all', async () => {
      const { a } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann);
      const crowd = await Promise.all(Array.from({ length: MAX_LOGGED_MEMBERS - 2 }, () => a.user()));
      await a.addMembers(room, crowd, 2);
      expect(await a.joinRoom(room, bob)).toMatchObject({ lastSeq: 1, entry: { seq: 1 } });
      expect(await a.joinRoom(room, cid)).toMatchObject({ lastSeq: 1 });
      expect(await a.setRole(room, ann, cid, 'moderator')).toMatchObject({ seq: 2, entries: [{}] });
      expect(await a.leaveRoom(room, bob)).toMatchObject({ changed: true, seq: 2, entries: [] });
      expect(await a.joinRoom(room, bob)).not.toHaveProperty('entry');
      expect(await a.removeMember(room, cid, bob)).toMatchObject({ seq: 3, entries: [{}] });
      expect(await a.leaveRoom(room, cid)).toMatchObject({ seq: 4, entries: [{}] });
      expect(await logOf(ann, room)).toMatchObject(
        ['joined', 'role', 'removed', 'left'].map((event) => ({ event })),
      );
    });

    test('they are no messages: not unread, not the last one, nothing can be done to them, nobody can have sent them', async () => {
      const { a, scratch } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, cid);
      await a.fill(room, ann, 1);
      const before = (await a.conversations(cid))[0];
      await a.joinRoom(room, bob);
      const [after] = await a.conversations(cid);
      expect(after).toMatchObject({
        lastSeq: 2,
        activeAtMs: before?.activeAtMs,
        unread: 1,
        lastMessage: { seq: 1 },
      });
      expect(await a.append([a.entry(room, ann, { target: 2 })])).toEqual([
        { ok: false, code: 'TARGET_INVALID' },
      ]);
      const rows = await scratch.query(
        `select sender, client_msg_id, id from messages where conversation = ${room} and seq = 2`,
      );
      expect(rows).toEqual([{ sender: 0n, client_msg_id: String(rows[0]?.['id']), id: rows[0]?.['id'] }]);
    });
  });
}
