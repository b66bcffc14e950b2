/** What one client was shown, conversation by conversation. */
import type { EntryOf } from './history.ts';

/** A conversation as one client saw it. */
export class SeenConversation {
  /** Message id by seq: messages, and its own sends that were acknowledged. */
  readonly ids = new Map<number, string>();
  /** Seq of the first message shown; acks of its own sends may come before it, and say nothing of where it began. */
  first = 0;
  /** How far any client of the device had come when the lowest was shown. */
  headBefore = 0;
  /** Highest seq of someone else's message: up to it everything has been shown. */
  lastMessage = 0;

  /** Where what was shown without a hole begins: at its first message, or its own sends right before that. */
  start(): number {
    let seq = this.first;
    while (this.ids.has(seq - 1)) seq--;
    return seq;
  }

  /**
   * Returns the first seq that is missing. A client that has ended may know of acks beyond what it was shown; one that
   * lives has everything up to the log's end.
   */
  hole(end: number | undefined): number | undefined {
    const last = end ?? this.lastMessage;
    // Acks alone, of a conversation of which no message has come.
    const from = this.first === 0 ? Math.min(...this.ids.keys()) : this.start();
    for (let seq = from; seq <= last; seq++) if (!this.ids.has(seq)) return seq;
    return undefined;
  }
}

export class InstanceView {
  readonly name: string;
  readonly user: string;
  readonly device: string;
  /** Clients that share the server's cursors: those of a named device, or all unnamed ones of the user. */
  readonly group: string;
  readonly conversations = new Map<string, SeenConversation>();
  /** Unix time, ms. */
  readonly started: number;
  end: EntryOf<'end'> | undefined;
  #connections = 0;

  constructor({ instance, user, device, at }: EntryOf<'start'>) {
    this.name = instance;
    this.user = user;
    this.device = device;
    this.group = `${user}/${device}`;
    this.started = at;
  }

  /** Nobody ended it, and it has not given up. */
  get alive(): boolean {
    return this.end === undefined;
  }

  get wasUp(): boolean {
    return this.#connections > 0;
  }

  /** Returns whether it was connected before. */
  connected(): boolean {
    return this.#connections++ > 0;
  }

  /** Takes a message in; returns what is wrong with it. */
  message({ conversation, seq, id }: EntryOf<'message'>): string | undefined {
    const seen = this.#seen(conversation);
    const before = seen.ids.get(seq);
    seen.ids.set(seq, id);
    if (before !== undefined) return `${conversation}/${seq} was shown twice`;
    const last = seen.lastMessage;
    seen.lastMessage = Math.max(last, seq);
    return seq < last ? `${conversation}/${seq} was shown after ${last}` : undefined;
  }

  /** Takes the ack of an own send in; returns what is wrong with it. */
  acked({ conversation, seq, id, text }: EntryOf<'acked'>): string | undefined {
    const seen = this.#seen(conversation);
    const before = seen.ids.get(seq);
    seen.ids.set(seq, id);
    return before === undefined
      ? undefined
      : `${conversation}/${seq} was shown before "${text}" was acked as it`;
  }

  /** Notes that `seq` was shown when the device had come to `head`. */
  began(conversation: string, seq: number, head: number): void {
    const seen = this.#seen(conversation);
    if (seen.first > 0) return;
    seen.first = seq;
    seen.headBefore = head;
  }

  #seen(conversation: string): SeenConversation {
    let seen = this.conversations.get(conversation);
    if (seen === undefined) this.conversations.set(conversation, (seen = new SeenConversation()));
    return seen;
  }
}
