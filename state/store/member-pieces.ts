/** Processing of long member lists in pieces, one per turn of the event loop, so that a large room blocks nothing. */
import { setImmediate } from 'node:timers/promises';
import type { Member, MemberChanges, MemberList } from './store.ts';

/** Members processed per turn. */
export const MEMBERS_A_TURN = 5000;

/** Calls `look` with each item in order, MEMBERS_A_TURN per turn; the first ones within the call. */
export async function inPieces<T>(items: readonly T[], look: (item: T, at: number) => void): Promise<void> {
  for (let at = 0; at < items.length; at++) {
    if (at > 0 && at % MEMBERS_A_TURN === 0) await setImmediate();
    look(items[at] as T, at);
  }
}

/** Applies changes to members that ascend by user id. */
export async function withChanges(
  members: readonly Member[],
  { version, joined, left }: MemberChanges,
): Promise<MemberList> {
  const changed = new Set(left);
  for (const { user } of joined) changed.add(user);
  const come = joined.toSorted((a, b) => (a.user < b.user ? -1 : 1));
  const merged: Member[] = [];
  let next = 0;
  await inPieces(members, (member) => {
    for (; next < come.length && (come[next] as Member).user < member.user; next++)
      merged.push(come[next] as Member);
    if (!changed.has(member.user)) merged.push(member);
  });
  merged.push(...come.slice(next));
  return { version, members: merged };
}
