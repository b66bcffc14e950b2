/**
 * The received messages of each conversation: the cursor (the highest seq up to which everything is here) and messages
 * ahead of it.
 *
 * A message at cursor + 1 is delivered; one at or below the cursor is dropped as a duplicate; one beyond is kept until
 * a late push or a page of the log fills the gap. So each message is delivered once and in order.
 */
import type {
  ConversationMessages,
  Cursor,
  Message,
  Conversation as WireConversation,
} from '../../proto/client.ts';
import { toConversation } from './convert.ts';
import type { Conversation, Role } from './events.ts';

/** Most messages kept ahead of the cursor; others are fetched from the log. */
const MAX_AHEAD = 4096;
/** Most cursors in one Sync. Beyond it, the conversations inactive for longest start at the stored cursor. */
const MAX_CURSORS = 8192;
/**
 * Most conversations in Sync.pushed; others wait for a later Sync. With the cursors it is within the server's limit.
 */
const MAX_PUSHED = 1024;

interface Ahead {
  /** Undefined for an own committed send. */
  readonly message: Message | undefined;
  /** Newest synchronisation when it came. */
  readonly round: number;
}

export class Inbox {
  readonly #deliver: (conversation: bigint, message: Message) => void;
  readonly #onCursor: (conversation: bigint, seq: number) => void;
  /** Least recently moved first. */
  readonly #cursors = new Map<bigint, number>();
  readonly #conversations = new Map<bigint, Conversation>();
  readonly #ahead = new Map<bigint, Map<number, Ahead>>();
  /** Conversations that were pushed to but that the log did not mention: the seq before the first push. */
  readonly #pushed = new Map<bigint, number>();
  #aheadCount = 0;
  #overflowed = false;
  #round = 0;

  constructor(
    deliver: (conversation: bigint, message: Message) => void,
    onCursor: (conversation: bigint, seq: number) => void,
  ) {
    this.#deliver = deliver;
    this.#onCursor = onCursor;
  }

  /** Whether messages are known to be missing here. */
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
    if (known !== undefined) this.#conversations.set(id, { ...known, role, isOwner: role === 'owner' });
  }

  /** Adds a pushed message or, without one, the seq of an own send. */
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

  /** Records a conversation. @param fromSeq start of a conversation that is new to the client */
  adopt(wire: WireConversation, fromSeq: number): Conversation {
    const conversation = toConversation(wire);
    this.#conversations.set(wire.id, conversation);
    this.#pushed.delete(wire.id);
    if (!this.#cursors.has(wire.id)) {
      this.#cursors.set(wire.id, fromSeq);
      this.#drain(wire.id);
    }
    return conversation;
  }

  /** Adds a conversation's part of a page of the log. Returns the number of new messages. */
  page({ conversation: wire, messages }: ConversationMessages): number {
    if (wire === undefined) return 0;
    const first = messages[0];
    // Without messages, nothing up to its end is for this user.
    this.adopt(wire, Number(first === undefined ? wire.lastSeq : first.seq - 1n));
    let count = 0;
    for (const message of messages) {
      const seq = Number(message.seq);
      // The log has no holes: seqs before the page's first message are not visible to this user.
      if (seq <= (this.#cursors.get(wire.id) as number)) continue;
      this.#advance(wire.id, seq, message);
      count++;
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

  /** Cursors of the conversations with the latest news. */
  cursors(): Cursor[] {
    return toCursors([...this.#cursors].slice(-MAX_CURSORS));
  }

  /** Possible starts of conversations that the last synchronisation did not mention; see Sync.pushed. */
  pushed(): Cursor[] {
    return toCursors([...this.#pushed]);
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

  #advance(conversation: bigint, seq: number, message: Message | undefined): void {
    this.#cursors.delete(conversation);
    this.#cursors.set(conversation, seq);
    if (message !== undefined) this.#deliver(conversation, message);
    this.#onCursor(conversation, seq);
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

function toCursors(seqs: readonly (readonly [conversation: bigint, seq: number])[]): Cursor[] {
  return seqs.map(([conversation, seq]) => ({ conversation, seq: BigInt(seq) }));
}
