/**
 * Sanitising of values for the engines: a value that PostgreSQL or SQLite cannot hold must not fail a statement, and
 * with it a batch.
 */
import type { CursorMove, Draft, DraftEntry } from './store.ts';

/** Greatest integer of the engines. */
const MAX_ID = 2n ** 63n - 1n;
const UNSTORABLE = /\0/g;

/** Returns an id that fits the engines' signed 64 bits; greater ones become the greatest, which nothing has. */
export function storableId<Id extends bigint>(id: Id): Id {
  return id <= MAX_ID ? id : (MAX_ID as Id);
}

/** Returns the text with U+FFFD for U+0000, which PostgreSQL's text cannot hold, and for lone surrogates. */
export function storableText(text: string): string {
  const clean = text.isWellFormed() ? text : text.toWellFormed();
  return clean.includes('\0') ? clean.replace(UNSTORABLE, '\uFFFD') : clean;
}

/** Returns a seq or a count as a safe non-negative integer. */
export function storableSeq(seq: number): number {
  return seq >= 1 ? Math.min(Math.floor(seq), Number.MAX_SAFE_INTEGER) : 0;
}

/** Returns a limit with which a page makes progress. */
export function pageLimit(limit: number): number {
  return Math.max(1, storableSeq(limit));
}

/** Returns the draft itself in the usual case. */
export function storableDraft(draft: Draft): Draft {
  const conversation = storableId(draft.conversation);
  const clientMsgId = storableText(draft.clientMsgId);
  const text = storableText(draft.text);
  const entry = draft.entry && storableEntry(draft.entry);
  if (
    conversation === draft.conversation &&
    clientMsgId === draft.clientMsgId &&
    text === draft.text &&
    entry === undefined
  )
    return draft;
  return { ...draft, conversation, clientMsgId, text, entry };
}

function storableEntry({ kind, target, thread, targetClientMsgId, range, reason }: DraftEntry): DraftEntry {
  return {
    kind,
    target: storableSeq(target),
    thread: storableSeq(thread),
    targetClientMsgId: storableText(targetClientMsgId),
    range: range && {
      sender: storableId(range.sender),
      fromSeq: storableSeq(range.fromSeq),
      toSeq: storableSeq(range.toSeq),
    },
    reason: storableText(reason),
  };
}

/** Returns the moves without empty ones. */
export function storableMoves(moves: readonly CursorMove[]): Required<CursorMove>[] {
  return moves
    .map(({ user, device, conversation, deliveredSeq, readSeq, readEpoch = 0, thread = 0 }) => ({
      user,
      device: storableText(device),
      conversation: storableId(conversation),
      deliveredSeq: storableSeq(deliveredSeq),
      readSeq: storableSeq(readSeq),
      readEpoch: storableSeq(readEpoch),
      thread: storableSeq(thread),
    }))
    .filter(({ deliveredSeq, readSeq, readEpoch }) => deliveredSeq > 0 || readSeq > 0 || readEpoch > 0);
}
