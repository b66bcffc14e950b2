/** Distribution of a page of a sync among the conversations with news. */
import type { ConversationId } from '../../common/mod.ts';
import { storableId, storableSeq } from './input.ts';
import type { Gone, UserConversation } from './store.ts';

/** Size of the texts at which a page ends: it bounds what is read, whatever the texts' sizes. */
export const PAGE_TEXT_BYTES = 224 * 1024;

export interface PagePart {
  readonly conversation: UserConversation;
  /** The page contains the messages with start < seq ≤ start + count. */
  readonly start: number;
  readonly count: number;
}

/**
 * Fills the page in the given order up to `limit` messages; `more` if something is left.
 *
 * Callers order by amount of news, least first, so that the backlog of a busy room delays no other conversation.
 */
export function splitPage(
  pending: readonly { readonly conversation: UserConversation; readonly start: number }[],
  limit: number,
): { parts: PagePart[]; more: boolean } {
  const parts: PagePart[] = [];
  let left = limit;
  for (const { conversation, start } of pending) {
    const news = conversation.lastSeq - start;
    if (left > 0) parts.push({ conversation, start, count: Math.min(news, left) });
    left -= news;
    if (left < 0) return { parts, more: true };
  }
  return { parts, more: false };
}

/** Returns cursors as a JSON object, a single string for ten thousand of them, without impossible ids. */
export function cursorsToJson(cursors: ReadonlyMap<ConversationId, number> = new Map()): string {
  const pairs: string[] = [];
  for (const [id, seq] of cursors) if (id === storableId(id)) pairs.push(`"${id}":${storableSeq(seq)}`);
  return `{${pairs.join(',')}}`;
}

/** Returns conversations that the user was never in (comma-separated ids, or null for none) as Gone. */
export function foreignOf(ids: string | null): Gone[] {
  if (ids === null) return [];
  return ids
    .split(',')
    .map((id) => ({ conversation: BigInt(id) as ConversationId, reason: 'deleted', lastSeq: 0 }));
}
