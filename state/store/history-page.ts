/** Where a page of history lies, for both engines. */
import { storableSeq } from './input.ts';
import type { HistoryPage, HistoryPoint, Message } from './store.ts';

/** The seqs that a reader may read: after < seq <= until. */
export interface Readable {
  readonly after: number;
  readonly until: number;
}

/** The page is at most `older` entries with seq <= at, and `newer` ones with seq > at. */
export interface PagePlace {
  readonly at: number;
  readonly older: number;
  readonly newer: number;
  readonly anchorSeq: number;
}

/** Returns the place of a page. @param found the entry that 'firstUnread' or 'date' has found; 0: none */
export function placeOf(
  point: HistoryPoint,
  { after, until }: Readable,
  limit: number,
  found = 0,
): PagePlace {
  const within = (seq: number) => Math.max(after, Math.min(seq, until));
  if (point.at === 'before') {
    const before = storableSeq(point.seq) || Number.MAX_SAFE_INTEGER;
    return { at: within(before - 1), older: limit, newer: 0, anchorSeq: 0 };
  }
  if (point.at === 'after')
    return { at: within(storableSeq(point.seq)), older: 0, newer: limit, anchorSeq: 0 };
  const anchor = point.at === 'around' ? storableSeq(point.seq) : found;
  if (point.at !== 'around' && anchor === 0) return { at: until, older: limit, newer: 0, anchorSeq: 0 };
  const older = (limit - 1) >> 1;
  return {
    at: within(anchor - 1),
    older,
    newer: limit - older,
    anchorSeq: anchor > after && anchor <= until ? anchor : 0,
  };
}

/** Makes the answer of the entries around `at`, ascending. */
export function toHistoryPage(
  messages: readonly Message[],
  { at, anchorSeq }: PagePlace,
  { after, until }: Readable,
  floorSeq: number,
): HistoryPage {
  return {
    messages,
    // Seqs have no holes.
    more: (messages[0]?.seq ?? at + 1) > after + 1,
    moreAfter: (messages.at(-1)?.seq ?? at) < until,
    asOf: until,
    anchorSeq,
    floorSeq,
  };
}
