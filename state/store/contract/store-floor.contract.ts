/** The part of the store's contract about floors: what is at or below one is no longer kept. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import type { Nodes } from './scratch.contract.ts';

export function describeFloor(nodes: () => Nodes): void {
  /** Makes a room with six messages and, on top, a reply to the second, an edit and a pin of it, and a pin of the fifth. */
  async function makeRoom(): Promise<{ room: ConversationId; ann: UserId; bob: UserId }> {
    const { a } = nodes();
    const [ann, bob] = [await a.user(), await a.user()];
    const room = await a.room(ann, bob);
    await a.fill(room, ann, 6);
    await a.append([
      a.entry(room, ann, { target: 2 }),
      a.entry(room, ann, { kind: 'edit', target: 2 }),
      a.entry(room, ann, { kind: 'pin', target: 2 }),
      a.entry(room, ann, { kind: 'pin', target: 5 }),
    ]);
    return { room, ann, bob };
  }

  async function count(table: string, room: ConversationId): Promise<number> {
    const [row] = await nodes().scratch.query(
      `select count(*) as n from ${table} where conversation = ${room}`,
    );
    return Number(row?.['n']);
  }

  describe('floors', () => {
    test('raiseFloor: only ever rises, and not beyond the last entry', async () => {
      const { a, b } = nodes();
      const { room, bob } = await makeRoom();
      const floors: number[] = [];
      for (const seq of [0, 3, 2, -1, Number.NaN, 4.5, 99]) floors.push(await a.store.raiseFloor(room, seq));
      expect(floors).toEqual([0, 3, 3, 3, 3, 4, 10]);
      expect(await b.store.conversationOf(room, bob, '')).toMatchObject({
        floorSeq: 10,
        lastSeq: 10,
        unread: 0,
      });
      expect(await b.store.raiseFloor(b.conversationId(), 5)).toBe(0);
    });

    test('readers: begin above it at once, and what stays about what sank tells nothing of it', async () => {
      const { a, b } = nodes();
      const { room, bob } = await makeRoom();
      await a.store.raiseFloor(room, 3);
      const page = await b.page(bob, room);
      expect(page).toMatchObject({ more: false, floorSeq: 3 });
      expect(page?.messages.map(({ seq }) => seq)).toEqual([4, 5, 6, 7, 8, 9, 10]);
      const [, , , reply, edit, pin, other] = page?.messages ?? [];
      const expired = { seq: 2, state: 'expired', sender: 0n, text: '', version: 0 };
      expect(reply?.extra).toMatchObject({ target: 2, quote: expired, bare: false });
      expect([edit, pin]).toMatchObject([
        { text: '', extra: { kind: 'edit', target: 0, bare: true } },
        { extra: { kind: 'pin', target: 0, bare: true } },
      ]);
      expect(other?.extra).toMatchObject({ kind: 'pin', target: 5, bare: false });
      const { conversations } = await b.sync({ user: bob, cursors: new Map([[room, 1]]) });
      expect(conversations).toMatchObject([{ afterSeq: 3, conversation: { floorSeq: 3 } }]);
      expect(conversations[0]?.messages).toEqual(page?.messages);
      await a.leaveRoom(room, bob);
      expect((await b.page(bob, room))?.messages[0]?.seq).toBe(4);
    });

    test('pins that sink are gone, and nothing can be done to what sank', async () => {
      const { a } = nodes();
      const { room, ann } = await makeRoom();
      await a.store.raiseFloor(room, 3);
      const list = await a.store.pinsOf(room, accessCheck('listPins', ann));
      expect(list).toMatchObject({ pins: [{ message: { seq: 5 }, by: ann }], pinsVersion: 10 });
      for (const kind of ['message', 'edit', 'retract', 'pin', 'unpin'] as const)
        expect(await a.append([a.entry(room, ann, { kind, target: 2 })])).toEqual([
          { ok: false, code: 'TARGET_EXPIRED' },
        ]);
    });

    test('a refused message does not move a conversation in the list of which nothing is kept', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await makeRoom();
      const atMs = Date.now() + 1_000_000;
      await a.append([a.draft(room, ann, { atMs })]);
      await a.store.raiseFloor(room, 99);
      while (await a.store.erase(100, 0));
      const stranger = a.draft(room, await a.user(), { atMs: atMs + 5 });
      expect(await a.append([stranger])).toEqual([{ ok: false, code: 'NOT_A_MEMBER' }]);
      expect(await b.store.conversationOf(room, bob, '')).toMatchObject({ activeAtMs: atMs, lastSeq: 11 });
    });

    test('erase: removes what is below in batches; the rest reads as before', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await makeRoom();
      await a.store.moveCursors([{ user: bob, device: '', conversation: room, deliveredSeq: 0, readSeq: 1 }]);
      await a.store.raiseFloor(room, 8);
      const before = [await b.page(bob, room), await b.store.conversationOf(room, bob, '')];
      while (await a.store.erase(3, 0))
        expect([await b.page(bob, room), await b.store.conversationOf(room, bob, '')]).toEqual(before);
      expect([await b.page(bob, room), await b.store.conversationOf(room, bob, '')]).toEqual(before);
      const counts = ['messages', 'extras', 'revisions', 'erasures'].map((table) => count(table, room));
      expect(await Promise.all(counts)).toEqual([2, 2, 0, 0]);
      expect(await a.append([a.draft(room, ann)])).toMatchObject([{ seq: 11 }]);
      await a.store.raiseFloor(room, 11);
      while (await a.store.erase(3, 0));
      expect(await count('messages', room)).toBe(0);
      expect(await a.append([a.draft(room, ann)])).toMatchObject([{ seq: 12 }]);
      // What does not count as unread is still known, though no entry of it is left.
      await a.store.raiseFloor(room, 12);
      expect(await a.append([a.draft(room, ann)])).toMatchObject([{ seq: 13 }]);
      expect(await b.store.conversationOf(room, bob, '')).toMatchObject({ unread: 1 });
    });
  });
}
