/** How far one's own messages have come: a glyph at the newest of each state alone. */
import type { MessageItem, TimelineItem, Watching } from '../../model/mod.ts';

export interface Shown {
  readonly state: 'sending' | 'sent' | 'delivered' | 'read';
  /** User ids of who has read up to it and not further. */
  readonly readers: string;
}

/** Returns what is shown, by key of the message. */
export function progressOf(
  items: readonly TimelineItem[],
  watching: Watching,
  conversation: string,
): ReadonlyMap<string, Shown> {
  const shown = new Map<string, Shown>();
  const seen = new Set<string>();
  const readers = new Set<string>();
  const own = items.filter((item): item is MessageItem => item.kind === 'message' && item.isOwn);
  for (const { key, message, state: stored } of own.toReversed()) {
    if (stored === 'failed' || message.retraction !== undefined) continue;
    const { isDelivered, readers: all } = watching.progress(conversation, message.seq);
    const state =
      stored === 'sending' ? 'sending' : all.length > 0 ? 'read' : isDelivered ? 'delivered' : 'sent';
    if (state !== 'sending' && seen.has(state)) break;
    seen.add(state);
    shown.set(key, { state, readers: all.filter((user) => !readers.has(user)).join() });
    for (const user of all) readers.add(user);
  }
  return shown;
}
