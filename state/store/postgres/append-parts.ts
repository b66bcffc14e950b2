/** Cutting of a batch of drafts into parts, each of which gochat_append (migrations/postgres) can append as a set. */
import type { ConversationId } from '../../../common/mod.ts';
import type { Draft, DraftEntry } from '../store.ts';

/** What the current part of a conversation has. */
interface Filled {
  /** Number of the part, from 0. */
  readonly part: number;
  /** Time of its entries. */
  readonly atMs: number;
  /** Seqs of messages that its entries change. */
  readonly changed: Set<number>;
  /** Seqs of messages that its replies quote. */
  readonly quoted: Set<number>;
  /** `sender client_msg_id` of its drafts. */
  readonly sent: Set<string>;
  /** The same of the messages that its entries change. */
  readonly named: Set<string>;
  /** Whether an entry changes the pins. */
  pins: boolean;
  /** Whether a range is retracted. */
  range: boolean;
}

/**
 * Returns the part of each draft, from 0, to be appended one after another; undefined: all are one part, as nearly always.
 * Within a part
 *
 * - at most one entry edits, retracts, pins or unpins a message, and nothing else there quotes it or replies in its thread;
 * - no entry concerns a message of the same part;
 * - of a conversation, at most one entry pins or unpins, and none changes another message before it;
 * - the entries of a conversation have one time, as all of a batch nearly always have.
 *
 * The drafts of a conversation keep their order. Each conversation is cut on its own, so there are as many parts as the
 * conversation with the most cuts needs, and a later part has only conversations of the earlier ones.
 */
export function partsOf(drafts: readonly Draft[]): number[] | undefined {
  const special = drafts.filter(({ entry }) => entry !== undefined);
  const hasOneTime = drafts.every(({ atMs }) => atMs === drafts[0]?.atMs);
  if (hasOneTime && special.length < 2 && (special[0]?.entry?.target || special[0]?.entry?.thread) !== 0)
    return undefined;
  const conversations = new Map<ConversationId, Filled>();
  for (const { conversation, atMs } of hasOneTime ? special : drafts)
    if (!conversations.has(conversation)) conversations.set(conversation, newFilled(0, atMs));
  let isCut = false;
  const parts = drafts.map((draft) => {
    let filled = conversations.get(draft.conversation);
    if (filled === undefined) return 0;
    if (draft.atMs > filled.atMs || (draft.entry !== undefined && isInConflict(filled, draft, draft.entry))) {
      isCut = true;
      filled = newFilled(filled.part + 1, Math.max(draft.atMs, filled.atMs));
      conversations.set(draft.conversation, filled);
    }
    add(filled, draft);
    return filled.part;
  });
  return isCut ? parts : undefined;
}

function isInConflict(
  filled: Filled,
  draft: Draft,
  { kind, target: concerned, thread, targetClientMsgId, range }: DraftEntry,
): boolean {
  const { changed, quoted, sent, named, pins } = filled;
  const isPin = kind === 'pin' || kind === 'unpin';
  const target = thread || concerned;
  // A range may concern any message, and one that is named by client_msg_id any that is named by its seq.
  if (filled.range) return true;
  if (range !== undefined) return sent.size > 0;
  if (isPin && (pins || named.size > 0 || changed.size > 0)) return true;
  if (target > 0) return named.size > 0 || changed.has(target) || (kind !== 'message' && quoted.has(target));
  const name = nameOf(draft, targetClientMsgId);
  return named.has(name) || sent.has(name) || changed.size > 0 || quoted.size > 0;
}

function add(filled: Filled, draft: Draft): void {
  const { entry } = draft;
  filled.sent.add(nameOf(draft, draft.clientMsgId));
  if (entry === undefined) return;
  if (entry.range !== undefined) filled.range = true;
  else if (entry.kind === 'message') filled.quoted.add(entry.thread || entry.target);
  else if (entry.target > 0) filled.changed.add(entry.target);
  else filled.named.add(nameOf(draft, entry.targetClientMsgId));
  if (entry.kind === 'pin' || entry.kind === 'unpin') filled.pins = true;
}

function nameOf({ sender }: Draft, clientMsgId: string): string {
  return `${sender} ${clientMsgId}`;
}

function newFilled(part: number, atMs: number): Filled {
  return {
    part,
    atMs,
    changed: new Set(),
    quoted: new Set(),
    sent: new Set(),
    named: new Set(),
    pins: false,
    range: false,
  };
}
