/** Contract: what the devices of a user share, and what others are shown of their cursors. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import { MAX_DRAFTS } from '../store.ts';
import type { Nodes, World } from './scratch.contract.ts';

const NOW_MS = 1_760_000_000_000;

export function describeSelf(nodes: () => Nodes): void {
  const mute = ({ store }: World, room: ConversationId, user: UserId, untilMs: number) =>
    store.setMute(room, accessCheck('setMute', user), untilMs);
  const draft = ({ store }: World, room: ConversationId, user: UserId, text: string, atMs = NOW_MS) =>
    store.saveDraft(room, accessCheck('setDraft', user), text, atMs);

  describe('settings', () => {
    test('setSettings: adds to what is set, under a version that grows, for all nodes', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      expect(await b.store.settingsOf([user])).toEqual(new Map());
      const first = await a.store.setSettings(user, { invisible: true }, undefined, NOW_MS);
      const second = await b.store.setSettings(user, { last_seen: 'rooms' }, first?.version, NOW_MS + 5);
      const all = { version: 3, values: { invisible: true, last_seen: 'rooms' } };
      expect([first?.version, second]).toEqual([2, all]);
      expect(await a.store.settingsOf([user, a.userId()])).toEqual(new Map([[user, all]]));
      expect((await a.store.settingsSince(NOW_MS + 5)).get(user)).toEqual(all);
      expect((await a.store.settingsSince(NOW_MS + 6)).has(user)).toBe(false);
    });

    test('setSettings: of another version changes nothing; of 8 at once with one version, one succeeds', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      expect(await a.store.setSettings(user, { receipts: false }, 7, NOW_MS)).toBeUndefined();
      const made = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          (i % 2 ? a : b).store.setSettings(user, { receipts: false }, 1, NOW_MS),
        ),
      );
      expect(made.filter((one) => one !== undefined)).toEqual([{ version: 2, values: { receipts: false } }]);
    });
  });

  describe('mutes and drafts', () => {
    test('set, replaced, removed: the conversation and the page of the user show them', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      expect(await mute(a, room, ann, 5)).toEqual({ untilMs: 5 });
      expect(await mute(b, room, ann, 9)).toEqual({ untilMs: 9 });
      expect(await draft(a, room, ann, 'well')).toEqual({ conversation: room, text: 'well', atMs: NOW_MS });
      await draft(b, room, ann, 'well, “then”', NOW_MS + 1);
      const page = await b.store.selfOf(ann, '', 10);
      expect(page).toEqual({
        reads: [{ conversation: room, readSeq: 0, readEpoch: 0 }],
        mutes: [{ conversation: room, untilMs: 9 }],
        drafts: [{ conversation: room, text: 'well, “then”', atMs: NOW_MS + 1 }],
        settings: { version: 1, values: {} },
        next: undefined,
      });
      expect((await b.store.conversationOf(room, ann, ''))?.mutedUntilMs).toBe(9);
      expect((await b.store.conversationOf(room, bob, ''))?.mutedUntilMs).toBe(0);
      expect((await b.conversations(ann))[0]?.mutedUntilMs).toBe(9);
      await mute(a, room, ann, 0);
      await draft(a, room, ann, '');
      expect(await b.store.selfOf(ann, '', 10)).toMatchObject({ mutes: [], drafts: [] });
    });

    test('of a conversation that the user is not in: NOT_A_MEMBER; those of one that was left are gone', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(bob, ann);
      await mute(a, room, ann, 9);
      await draft(a, room, ann, 'x');
      await a.leaveRoom(room, ann);
      expect(await mute(a, room, ann, 10)).toBe('NOT_A_MEMBER');
      expect(await draft(a, room, ann, 'y')).toBe('NOT_A_MEMBER');
      expect(await draft(a, a.conversationId(), ann, 'y')).toBe('NOT_A_MEMBER');
      expect(await a.store.selfOf(ann, '', 10)).toMatchObject({ reads: [], mutes: [], drafts: [] });
    });

    test('drafts: a hundred, then DRAFTS_FULL; what is there is replaced, what was left makes room', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const rooms: ConversationId[] = [];
      for (let i = 0; i <= MAX_DRAFTS; i++) rooms.push(await a.room(bob, ann));
      const [first, ...others] = rooms as [ConversationId, ...ConversationId[]];
      for (const room of others) await draft(a, room, ann, 'x');
      expect(await draft(a, first, ann, 'x')).toBe('DRAFTS_FULL');
      const other = others[0] as ConversationId;
      expect(await draft(a, other, ann, 'longer')).toMatchObject({ text: 'longer' });
      await a.leaveRoom(other, ann);
      expect(await draft(a, first, ann, 'x')).toMatchObject({ text: 'x' });
    });

    test('selfOf: read cursors in pages, the rest on the first', async () => {
      const { a } = nodes();
      const ann = await a.user();
      const rooms = [await a.room(ann), await a.room(ann), await a.room(ann)];
      await a.fill(rooms[1] as ConversationId, ann, 2);
      await a.store.moveCursors([
        { user: ann, device: 'd', conversation: rooms[1] as ConversationId, deliveredSeq: 0, readSeq: 2 },
      ]);
      const one = await a.store.selfOf(ann, '', 2);
      expect(one.reads).toEqual([
        { conversation: rooms[0], readSeq: 0, readEpoch: 0 },
        { conversation: rooms[1], readSeq: 2, readEpoch: 0 },
      ]);
      const two = await a.store.selfOf(ann, one.next ?? '', 2);
      expect(two).toEqual({
        reads: [{ conversation: rooms[2], readSeq: 0, readEpoch: 0 }],
        mutes: [],
        drafts: [],
        settings: undefined,
        next: undefined,
      });
    });
  });

  describe('receipts', () => {
    test('receiptsOf: the read cursor and the farthest device; non-members have none', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 5);
      const at = (device: string, deliveredSeq: number, readSeq: number) =>
        a.store.moveCursors([{ user: bob, device, conversation: room, deliveredSeq, readSeq }]);
      await at('phone', 3, 2);
      await at('laptop', 4, 0);
      const members = [ann, bob, await a.user()].map((user) => ({ conversation: room, user }));
      const found = await b.store.receiptsOf(members);
      expect(found.toSorted((x, y) => (x.user < y.user ? -1 : 1))).toEqual([
        {
          conversation: room,
          user: ann,
          readSeq: 0,
          readEpoch: 0,
          shown: { readSeq: 0, readEpoch: 0, deliveredSeq: 0 },
        },
        {
          conversation: room,
          user: bob,
          readSeq: 2,
          readEpoch: 0,
          shown: { readSeq: 2, readEpoch: 0, deliveredSeq: 4 },
        },
      ]);
      expect(await b.store.receiptsOf([])).toEqual([]);
    });

    test('receiptsOf: of who is invisible those of before, of who hides them none', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.fill(room, ann, 5);
      const move = (seq: number) =>
        a.store.moveCursors([
          { user: bob, device: 'd', conversation: room, deliveredSeq: seq, readSeq: seq },
        ]);
      const shown = async () => (await a.store.receiptsOf([{ conversation: room, user: bob }]))[0];
      await move(2);
      await a.store.setSettings(bob, { invisible: true }, undefined, NOW_MS);
      await move(4);
      expect(await shown()).toMatchObject({
        readSeq: 4,
        shown: { readSeq: 2, readEpoch: 0, deliveredSeq: 2 },
      });
      await a.store.setSettings(bob, { invisible: true }, undefined, NOW_MS);
      expect(await shown()).toMatchObject({ shown: { readSeq: 2, readEpoch: 0, deliveredSeq: 2 } });
      await a.store.setSettings(bob, { invisible: false }, undefined, NOW_MS);
      expect(await shown()).toMatchObject({ shown: { readSeq: 4, readEpoch: 0, deliveredSeq: 4 } });
      await a.store.setSettings(bob, { receipts: false }, undefined, NOW_MS);
      expect(await shown()).toMatchObject({ readSeq: 4, shown: undefined });
    });
  });
}
