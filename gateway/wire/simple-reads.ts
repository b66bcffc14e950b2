/** How far others have read the rooms that a client of the simple forms follows: watches these, and tells what is news. */
import { client } from '../../proto/mod.ts';

const DEFAULT_RETRY_MS = 1_000;

export interface SimpleReadsContext {
  /** Sends a WATCH; returns its ref. */
  readonly send: (watch: client.Watch) => number;
  readonly tell: (room: bigint, user: bigint, seq: bigint) => void;
}

/** One WATCH is under way at a time. */
export class SimpleReads {
  readonly #context: SimpleReadsContext;
  /** At most MAX_WATCHED_CONVERSATIONS, by user how far each has read. */
  #rooms: ReadonlyMap<bigint, Map<bigint, bigint>> = new Map();
  /** Ref of the WATCH under way; 0: none is. */
  #ref = 0;
  /** Whether another one is due after that. */
  #isDue = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(context: SimpleReadsContext) {
    this.#context = context;
  }

  /** Replaces the rooms. */
  follow(rooms: readonly bigint[]): void {
    this.#rooms = new Map(rooms.map((room) => [room, this.#rooms.get(room) ?? new Map<bigint, bigint>()]));
    this.#watch();
  }

  /** After RESYNC: the gateway's answer may be lost. */
  repeat(): void {
    this.#ref = 0;
    this.#watch();
  }

  onWatched(ref: number, { conversations }: client.Watched): void {
    // What was read before is no news.
    for (const { conversation, receipts } of conversations)
      for (const { user, readSeq } of receipts) this.#advance(conversation, user, readSeq);
    if (ref === this.#ref) this.#done();
  }

  onRead(room: bigint, { receipts }: client.Read): void {
    for (const { user, readSeq } of receipts)
      if (this.#advance(room, user, readSeq)) this.#context.tell(room, user, readSeq);
  }

  /** Returns whether a refusal is that of a WATCH. */
  refused(ref: number, { retryable, retryAfterMs }: client.Nack): boolean {
    if (ref === 0 || ref !== this.#ref) return false;
    // Refused for good: the user is out of a room meanwhile, which the client is told, and then it watches the others.
    if (retryable) this.#retry ??= setTimeout(() => this.repeat(), retryAfterMs || DEFAULT_RETRY_MS);
    else this.#done();
    return true;
  }

  close(): void {
    clearTimeout(this.#retry);
  }

  #advance(room: bigint, user: bigint, seq: bigint): boolean {
    const readers = this.#rooms.get(room);
    if (readers === undefined || seq <= (readers.get(user) ?? 0n)) return false;
    readers.set(user, seq);
    return true;
  }

  #watch(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#isDue = this.#ref !== 0;
    if (this.#isDue) return;
    this.#ref = this.#context.send(client.Watch.fromPartial({ conversations: [...this.#rooms.keys()] }));
  }

  #done(): void {
    this.#ref = 0;
    if (this.#isDue) this.#watch();
  }
}
