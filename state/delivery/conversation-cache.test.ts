/** The cache's member lists: whole, by what has changed, and in bounded pieces. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import { MEMBERS_A_TURN } from '../store/member-pieces.ts';
import type { Member, MemberList } from '../store/store.ts';
import { ConversationCache, type Entry } from './conversation-cache.ts';

const ROOM = 7n as ConversationId;

const member = (user: number, visibleAfterSeq = 0): Member => ({
  user: BigInt(user) as UserId,
  visibleAfterSeq,
});

async function filled(list: MemberList): Promise<{ cache: ConversationCache; entry: Entry }> {
  const cache = new ConversationCache(10, 1_000_000);
  const entry = cache.entry(ROOM);
  await cache.fill(entry, list);
  return { cache, entry };
}

/** By member, the seq after which they may read. */
function listed({ members, visibleAfter }: Entry): [bigint, number][] {
  return [...new BigUint64Array(members.buffer)].map((user, at) => [user, visibleAfter?.[at] ?? 0]);
}

test('update: gives the same list as loading all of it', async () => {
  const seq = fc.nat({ max: 5 });
  const users = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 40 }), seq), {
    selector: ([user]) => user,
  });
  await fc.assert(
    fc.asyncProperty(users, users, async (before, after) => {
      const sorted = (list: [number, number][]) =>
        list.toSorted(([a], [b]) => a - b).map(([user, visible]) => member(user, visible));
      const { cache, entry } = await filled({ version: 1, members: sorted(before) });
      const stayed = (user: number, visible: number) =>
        before.some(([old, seen]) => old === user && seen === visible);
      const joined = after.filter(([user, visible]) => !stayed(user, visible)).map((one) => member(...one));
      const left = before
        .filter(([user]) => !after.some(([now]) => now === user))
        .map(([user]) => BigInt(user) as UserId);
      expect(cache.update(entry, { version: 2, count: after.length, joined, left })).toBe(true);
      const whole = await filled({ version: 2, members: sorted(after) });
      expect(listed(entry)).toEqual(listed(whole.entry));
      expect(entry.version).toBe(2);
      expect(entry.visibleToAllAfter).toBeGreaterThanOrEqual(whole.entry.visibleToAllAfter);
    }),
  );
});

test('update: changes that a node of an older release did not record: the update is rejected', async () => {
  const { cache, entry } = await filled({ version: 1, members: [member(1), member(2), member(3)] });
  const joined = [member(4)];
  expect(cache.update(entry, { version: 3, count: 3, joined, left: [] })).toBe(false);
  expect([listed(entry).length, entry.version]).toEqual([3, 1]);
});

test('fill: a large list in pieces, with other callbacks in between', async () => {
  let [looked, most, isDone] = [0, 0, false];
  const members = Array.from({ length: 3 * MEMBERS_A_TURN }, (_, at) => ({
    name: '',
    visibleAfterSeq: 0,
    get user() {
      looked++;
      return BigInt(at + 1) as UserId;
    },
  }));
  const turn = () => {
    most = Math.max(most, looked);
    looked = 0;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  const { entry } = await filled({ version: 1, members });
  isDone = true;
  expect(Math.max(most, looked)).toBe(MEMBERS_A_TURN);
  expect(entry.members.length / 2).toBe(members.length);
});
