/** Shares one page of a sync among the conversations that have something new. */
import type { UserConversation } from './store.ts';

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
