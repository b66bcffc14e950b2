/** Shares one page of a sync among the conversations that have something new. */
import type { ConversationId } from '../../common/mod.ts';
import { storableId, storableSeq } from './input.ts';
import type { Gone, UserConversation } from './store.ts';

/** A page of messages ends with the text that takes it here: what is read is bounded, whatever the texts' size. */
export const PAGE_TEXT_BYTES = 224 * 1024;

export interface PagePart {
  readonly conversation: UserConversation;
  /** The page has the messages with start < seq ≤ start + count. */
  readonly start: number;
  readonly count: number;
}

/**
 * Fills the page in the order given until it has `limit` messages; `more` when something is left.
 *
 * Callers order by what is new, least first: the backlog of a busy room then delays no other conversation.
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

/** Returns cursors as a JSON object, one string for ten thousand of them; without ids that nothing can have. */
export function cursorsToJson(cursors: ReadonlyMap<ConversationId, number> = new Map()): string {
  const pairs: string[] = [];
  for (const [id, seq] of cursors) if (id === storableId(id)) pairs.push(`"${id}":${storableSeq(seq)}`);
  return `{${pairs.join(',')}}`;
}

/** Returns what became of conversations (ids with commas between them, or null for none) that the user was never in. */
export function foreignOf(ids: string | null): Gone[] {
  if (ids === null) return [];
  return ids
    .split(',')
    .map((id) => ({ conversation: BigInt(id) as ConversationId, reason: 'deleted', lastSeq: 0 }));
}
