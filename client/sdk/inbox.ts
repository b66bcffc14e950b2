/**
 * The received entries of each conversation, of all kinds: the cursor (the highest seq up to which everything is here) and
 * entries ahead of it.
 *
 * An entry at cursor + 1 is delivered; one at or below the cursor is dropped as a duplicate; one beyond is kept until
 * a late push or a page of the log fills the gap. So each entry is delivered once and in order.
 */
import { EntryKind } from '../../proto/client.ts';
import type {
  ConversationEntries,
  Cursor,
  Message,
  Conversation as WireConversation,
} from '../../proto/client.ts';
import type { Role } from './entries.ts';
import type { Conversation } from './events.ts';

/** Most entries kept ahead of the cursor; others are fetched from the log. */
const MAX_AHEAD = 4096;
/** Most conversations in Sync.pushed; others wait for a later Sync. */
const MAX_PUSHED = 1024;

interface Ahead {
  /** Undefined for an own committed send. */
  readonly message: Message | undefined;
  /** Newest synchronisation when it came. */
  readonly round: number;
}

/** A part of a synchronisation: the cursors of the conversations with after < id <= until. */
export interface SyncRange {
  readonly cursors: Cursor[];
  /** Possible starts of conversations that the last synchronisation did not mention; see Sync.pushed. */
  readonly pushed: Cursor[];
  readonly after: bigint;
  /** 0: no end. */
  readonly until: bigint;
}

export interface InboxHooks {
  toConversation(wire: WireConversation): Conversation;
  deliver(conversation: bigint, message: Message): void;
  onCursor(conversation: bigint, seq: number): void;
  /** Entries are jumped over; called before those after them are delivered. */
  onSkipped(conversation: bigint, fromSeq: number, toSeq: number): void;
}

export class Inbox {
  readonly #hooks: InboxHooks;
  readonly #cursors = new Map<bigint, number>();
  readonly #conversations = new Map<bigint, Conversation>();
  readonly #ahead = new Map<bigint, Map<number, Ahead>>();
  /** Conversations that were pushed to but that the log did not mention: the seq before the first push. */
  readonly #pushed = new Map<bigint, number>();
  #aheadCount = 0;
  #overflowed = false;
  #round = 0;

  constructor(hooks: InboxHooks) {
    this.#hooks = hooks;
  }

  /** Whether entries are known to be missing here. */
  get incomplete(): boolean {
    return this.#aheadCount > 0 || this.#overflowed;
  }

  knows(conversation: bigint): boolean {
    return this.#cursors.has(conversation);
  }

  conversation(id: bigint): Conversation | undefined {
    return this.#conversations.get(id);
  }

  /** Remembers the user's role in a conversation. */
  setRole(id: bigint, role: Role): void {
    const known = this.#conversations.get(id);
    if (known !== undefined) this.#conversations.set(id, { ...known, role });
  }

  /** Adds a pushed entry or, without one, the seq of an own send. */
  push(conversation: bigint, seq: number, message: Message | undefined): void {
    const cursor = this.#cursors.get(conversation);
    if (cursor !== undefined && seq <= cursor) return;
    if (cursor !== undefined && seq === cursor + 1) {
      this.#advance(conversation, seq, message);
      this.#drain(conversation);
      return;
    }
    this.#keep(conversation, seq, message);
  }

  /**
   * Records a conversation. One that is new to the client begins after `start`; entries between the device's cursor and
   * that are jumped over.
   */
  adopt(wire: WireConversation, start: number): Conversation {
    const conversation = this.#record(wire);
    if (!this.#cursors.has(wire.id)) {
      this.#begin(wire.id, Number(wire.deliveredSeq), start);
      this.#drain(wire.id);
    }
    return conversation;
  }

  /** Adds a conversation's part of a page of the log. Returns the number of new messages. */
  page({ conversation: wire, messages, afterSeq }: ConversationEntries): number {
    if (wire === undefined) return 0;
    this.#record(wire);
    const held = this.#cursors.get(wire.id);
    // Without entries, nothing up to its end is for this user.
    const start = Number(messages.length === 0 ? wire.lastSeq : afterSeq);
    if (held === undefined)
      this.#begin(wire.id, messages.length === 0 ? start : Number(wire.deliveredSeq), start);
    else if (messages.length > 0 && start > held) this.#begin(wire.id, held, start);
    let count = 0;
    for (const message of messages) {
      const seq = Number(message.seq);
      if (seq <= (this.#cursors.get(wire.id) as number)) continue;
      const kept = this.#ahead.get(wire.id)?.get(seq);
      const isOwn = kept !== undefined && kept.message === undefined;
      this.#advance(wire.id, seq, isOwn ? undefined : message);
      if (message.kind === EntryKind.ENTRY_KIND_MESSAGE) count++;
    }
    this.#drain(wire.id);
    return count;
  }

  /** Removes a conversation that the user has left, and returns it. */
  forget(id: bigint): Conversation | undefined {
    const conversation = this.#conversations.get(id);
    this.#conversations.delete(id);
    this.#cursors.delete(id);
    this.#pushed.delete(id);
    const ahead = this.#ahead.get(id);
    for (const seq of ahead?.keys() ?? []) this.#forget(id, ahead as Map<number, Ahead>, seq);
    return conversation;
  }

  /** Returns the part of a synchronisation that begins after an id, with at most `limit` conversations. */
  range(after: bigint, limit: number): SyncRange {
    const known = [...this.#cursors, ...this.#pushed].filter(([id]) => id > after).toSorted(byId);
    const part = known.slice(0, limit);
    const [cursors, pushed] = [true, false].map((isKnown) =>
      part
        .filter(([id]) => this.#cursors.has(id) === isKnown)
        .map(([conversation, seq]) => ({ conversation, seq: BigInt(seq) })),
    ) as [Cursor[], Cursor[]];
    const until = known.length > limit ? (part.at(-1)?.[0] ?? 0n) : 0n;
    return { cursors, pushed, after, until };
  }

  /** Starts a synchronisation. Returns the argument for `endSync`. */
  beginSync(): number {
    this.#overflowed = false;
    this.#round++;
    return this.#round;
  }

  /**
   * The log has been read to its end, with requests that began after everything that came ahead before `round`.
   *
   * For a conversation that is still unknown, either the stored cursor has passed these messages (another unnamed
   * device of the user has them) or the user has left it: the next synchronisation asks for it with `pushed`. A
   * remaining gap will never be filled: those messages are not visible to this user.
   */
  endSync(round: number): void {
    for (const [conversation, ahead] of this.#ahead) {
      const stale = [...ahead].filter(([, kept]) => kept.round < round).map(([seq]) => seq);
      if (stale.length === 0) continue;
      const isAsked = this.#pushed.delete(conversation);
      if (this.#cursors.has(conversation) || isAsked)
        for (const seq of stale) this.#forget(conversation, ahead, seq);
      else if (this.#pushed.size < MAX_PUSHED) this.#pushed.set(conversation, Math.min(...stale) - 1);
    }
  }

  #record(wire: WireConversation): Conversation {
    const conversation = this.#hooks.toConversation(wire);
    this.#conversations.set(wire.id, conversation);
    this.#pushed.delete(wire.id);
    return conversation;
  }

  /** Sets a cursor that no entries lead up to. @param held the last seq that this device has */
  #begin(conversation: bigint, held: number, start: number): void {
    this.#cursors.set(conversation, start);
    if (start <= held) return;
    this.#hooks.onSkipped(conversation, held + 1, start);
    this.#hooks.onCursor(conversation, start);
  }

  #advance(conversation: bigint, seq: number, message: Message | undefined): void {
    this.#cursors.set(conversation, seq);
    if (message !== undefined) this.#hooks.deliver(conversation, message);
    this.#hooks.onCursor(conversation, seq);
  }

  #keep(conversation: bigint, seq: number, message: Message | undefined): void {
    if (this.#aheadCount >= MAX_AHEAD) {
      this.#overflowed = true;
      return;
    }
    const ahead = this.#ahead.get(conversation) ?? new Map<number, Ahead>();
    this.#ahead.set(conversation, ahead);
    if (ahead.has(seq)) return;
    ahead.set(seq, { message, round: this.#round });
    this.#aheadCount++;
  }

  #forget(conversation: bigint, ahead: Map<number, Ahead>, seq: number): void {
    ahead.delete(seq);
    this.#aheadCount--;
    if (ahead.size === 0) this.#ahead.delete(conversation);
  }

  /** Delivers kept messages up to the next gap. */
  #drain(conversation: bigint): void {
    const ahead = this.#ahead.get(conversation);
    if (ahead === undefined) return;
    const cursor = this.#cursors.get(conversation) as number;
    for (const seq of ahead.keys()) if (seq <= cursor) this.#forget(conversation, ahead, seq);
    for (let seq = cursor + 1; ahead.has(seq); seq++) {
      const kept = ahead.get(seq) as Ahead;
      this.#forget(conversation, ahead, seq);
      this.#advance(conversation, seq, kept.message);
    }
  }
}

function byId([a]: readonly [bigint, number], [b]: readonly [bigint, number]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
