/** Contract: who may see whom, and when users were last seen. */
import { describe, expect, test } from 'vitest';
import type { ConversationId } from '../../../common/mod.ts';
import type { Nodes } from './scratch.contract.ts';

const NOW_MS = 1_760_000_000_000;

export function describePresence(nodes: () => Nodes): void {
  describe('presence', () => {
    test('acquaintancesOf: who is in a room or a direct conversation with the viewer, now', async () => {
      const { a, b } = nodes();
      const [ann, bob, carl, dora] = [await a.user(), await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.store.openDirect(a.conversationId(), ann, carl);
      await a.store.openDirect(a.conversationId(), ann, bob);
      const all = [ann, bob, carl, dora, a.userId()];
      expect(await b.store.acquaintancesOf(ann, all)).toEqual(
        new Map([
          [ann, { sharesRoom: true }],
          [bob, { sharesRoom: true }],
          [carl, { sharesRoom: false }],
        ]),
      );
      expect(await b.store.acquaintancesOf(dora, [dora, ann])).toEqual(
        new Map([[dora, { sharesRoom: false }]]),
      );
      await a.leaveRoom(room, bob);
      expect((await b.store.acquaintancesOf(ann, [bob])).get(bob)).toEqual({ sharesRoom: false });
      expect(await b.store.acquaintancesOf(ann, [])).toEqual(new Map());
    });

    test('memberCountsOf: of those that the user is in', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [both, other] = [await a.room(ann, bob), await a.room(bob)];
      const asked = [both, other, a.conversationId(), (2n ** 64n - 1n) as ConversationId];
      expect(await a.store.memberCountsOf(ann, asked)).toEqual(new Map([[both, 2]]));
    });

    test('noteSeen: later times count, those of about the same time do not; of unknown users nothing', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      await a.store.noteSeen([
        { user: ann, atMs: NOW_MS },
        { user: a.userId(), atMs: NOW_MS },
      ]);
      await b.store.noteSeen([{ user: ann, atMs: NOW_MS + 4000 }]);
      await b.store.noteSeen([{ user: ann, atMs: NOW_MS - 60_000 }]);
      expect(await b.store.seenOf([ann, bob])).toEqual(new Map([[ann, NOW_MS]]));
      await a.store.noteSeen([{ user: ann, atMs: NOW_MS + 6000 }]);
      expect(await b.store.seenOf([ann])).toEqual(new Map([[ann, NOW_MS + 6000]]));
      await a.store.noteSeen([]);
    });

    test('noteSeen: nothing of who is invisible', async () => {
      const { a } = nodes();
      const ann = await a.user();
      await a.store.noteSeen([{ user: ann, atMs: NOW_MS }]);
      await a.store.setSettings(ann, { invisible: true }, undefined, NOW_MS);
      await a.store.noteSeen([{ user: ann, atMs: NOW_MS + 60_000 }]);
      expect(await a.store.seenOf([ann])).toEqual(new Map([[ann, NOW_MS]]));
    });
  });
}
