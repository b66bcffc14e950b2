/** A client's view of each conversation. */
import type { EntryOf, OfEntry } from './history.ts';

/** An entry as it was shown, or 'ack': an own send as it was acknowledged. */
export interface Shown extends Omit<OfEntry, 'entry'> {
  readonly entry: OfEntry['entry'] | 'ack';
  /** Unix time, ms. */
  readonly at: number;
}

/** An entry of a page that it read. */
export type Paged = EntryOf<'page'>;

/** A client's view of a conversation, until it was told that its user has left. */
export class SeenConversation {
  readonly conversation: string;
  /** Messages, and own sends that were acknowledged, by seq. */
  readonly shown = new Map<number, Shown>();
  /** The client's own sends that were ever acknowledged: they are not shown to it again. */
  readonly #own: ReadonlySet<number>;
  /** Seq of the first message shown; acks of own sends may come before it and do not count. */
  first = 0;
  /** Progress of the device's clients when the first message was shown. */
  headBefore = 0;
  /** Where it goes on after entries that were skipped. */
  skippedTo = 0;
  /** The same of the user's unnamed devices. */
  unnamedBefore = 0;
  /** Highest seq of someone else's message: up to it everything has been shown. */
  lastMessage = 0;

  constructor(conversation: string, own: ReadonlySet<number>) {
    this.conversation = conversation;
    this.#own = own;
  }

  has(seq: number): boolean {
    return this.shown.has(seq) || this.#own.has(seq);
  }

  /** Highest seq that was shown from a time on; 0: none. */
  lastSince(ms: number): number {
    return Math.max(0, ...[...this.shown].filter(([, { at }]) => at >= ms).map(([seq]) => seq));
  }

  /** Start of the shown messages without a hole: the first one, or own sends right before it. */
  start(): number {
    let seq = this.first;
    while (this.has(seq - 1)) seq--;
    return seq;
  }

  /**
   * Returns the first missing seq. A client that has ended may know of acks beyond what it was shown; a live one has
   * everything up to the log's end.
   *
   * @param end seqs that a live client must have; undefined: it has ended
   * @param floorOf seq after which everything was visible to a client that was shown this one
   * @param isSilent whether an entry shows nothing to a reader who may read what is after the given seq
   */
  hole(
    end: { readonly after: number; readonly last: number } | undefined,
    floorOf: (seq: number, shown: Shown) => number,
    isSilent: (seq: number, floor: number) => boolean,
  ): number | undefined {
    const last = end?.last ?? this.lastMessage;
    // Only acks, of a conversation without any shown message.
    const from = this.first === 0 ? Math.min(...this.shown.keys()) : this.start();
    let floor = end?.after ?? last;
    let hole: number | undefined;
    for (let seq = last; seq >= from; seq--) {
      const shown = this.shown.get(seq);
      // An ack says nothing about earlier messages, which may be from before the join in a room that hides its history.
      if (shown !== undefined && !this.#own.has(seq)) floor = floorOf(seq, shown);
      else if (seq > floor && !this.has(seq) && !isSilent(seq, floor)) hole = seq;
    }
    return hole;
  }
}

export class InstanceView {
  readonly name: string;
  readonly user: string;
  readonly device: string;
  /** Clients that share the server's cursors: those of a named device, or all unnamed ones of the user. */
  readonly group: string;
  readonly conversations = new Map<string, SeenConversation>();
  /** Conversations of its user, until the client was told otherwise. */
  readonly past: SeenConversation[] = [];
  /** Messages that it read from the log. */
  readonly pages: Paged[] = [];
  /** Messages that it holds at the end. */
  readonly held: EntryOf<'held'>[] = [];
  /** Unix time, ms. */
  readonly started: number;
  /** Its last connection. */
  lastUp: EntryOf<'up'> | undefined;
  end: EntryOf<'end'> | undefined;
  readonly #own = new Map<string, Set<number>>();
  #connections = 0;

  constructor({ instance, user, device, at }: EntryOf<'start'>) {
    this.name = instance;
    this.user = user;
    this.device = device;
    this.group = `${user}/${device}`;
    this.started = at;
  }

  /** Whether it has not been ended and has not given up. */
  get alive(): boolean {
    return this.end === undefined;
  }

  get wasUp(): boolean {
    return this.#connections > 0;
  }

  /** Returns whether it was connected before. */
  connected(up: EntryOf<'up'>): boolean {
    this.lastUp = up;
    return this.#connections++ > 0;
  }

  /** Adds a message. Returns what is wrong with it. */
  message(entry: EntryOf<'message'>): string | undefined {
    const { conversation, seq } = entry;
    const seen = this.#seen(conversation);
    const before = seen.shown.get(seq);
    seen.shown.set(seq, entry);
    if (before !== undefined) return `${conversation}/${seq} was shown twice`;
    const last = seen.lastMessage;
    seen.lastMessage = Math.max(last, seq);
    return seq < last ? `${conversation}/${seq} was shown after ${last}` : undefined;
  }

  /** Adds the ack of an own send. Returns what is wrong with it. */
  acked({ conversation, seq, id, text, at }: EntryOf<'acked'>): string | undefined {
    const seen = this.#seen(conversation);
    const before = seen.shown.get(seq);
    const nothing = { version: 0, target: 0, retracted: false };
    seen.shown.set(seq, { ...nothing, entry: 'ack', conversation, seq, id, text, at });
    this.#ownOf(conversation).add(seq);
    return before === undefined
      ? undefined
      : `${conversation}/${seq} was shown before "${text}" was acked as it`;
  }

  /** It was told that entries up to `seq` were skipped: the conversation goes on there. */
  skipped(conversation: string, seq: number): void {
    this.left(conversation);
    const seen = this.#seen(conversation);
    seen.skippedTo = seq;
  }

  /** Its user has left; if the user rejoins, the conversation begins anew. */
  left(conversation: string): void {
    const seen = this.conversations.get(conversation);
    if (seen !== undefined) this.past.push(seen);
    this.conversations.delete(conversation);
  }

  /**
   * Records that `seq` was shown when the device's progress was `head` and that of the user's unnamed ones `unnamed`.
   */
  began(conversation: string, seq: number, head: number, unnamed: number): void {
    const seen = this.#seen(conversation);
    if (seen.first > 0) return;
    seen.first = seq;
    seen.headBefore = Math.max(head, seen.skippedTo);
    seen.unnamedBefore = unnamed;
  }

  #seen(conversation: string): SeenConversation {
    let seen = this.conversations.get(conversation);
    if (seen === undefined) {
      seen = new SeenConversation(conversation, this.#ownOf(conversation));
      this.conversations.set(conversation, seen);
    }
    return seen;
  }

  #ownOf(conversation: string): Set<number> {
    let own = this.#own.get(conversation);
    if (own === undefined) this.#own.set(conversation, (own = new Set()));
    return own;
  }
}
