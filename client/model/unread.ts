/**
 * What is unread in one conversation: the count of a page, and what has come since. Pure: no clock, no I/O.
 *
 * The page counts up to its last seq; of later entries the messages of others are kept one by one, so that a read cursor and a
 * retraction among them change the count exactly. Where only the server can tell, it says that it is stale.
 */
import type { Conversation, LogEntry } from '../sdk/mod.ts';

/** Stands for as many or more; also the most messages that are kept one by one. */
export const MANY = 1000;

interface Counted {
  readonly seq: number;
  readonly sender: string;
}

/** A read cursor: of two the one with the greater epoch counts, then the one with the greater seq. */
export interface ReadCursor {
  readonly readSeq: number;
  readonly readEpoch: number;
}

export class Unread {
  #lastSeq: number;
  #counted: number;
  #later: Counted[] = [];
  #cursor: ReadCursor;
  #isStale = false;

  constructor(page: Conversation) {
    this.#lastSeq = page.lastSeq;
    this.#counted = page.unread;
    this.#cursor = page;
  }

  get cursor(): ReadCursor {
    return this.#cursor;
  }

  /** Number of unread messages; MANY stands for as many or more. */
  get count(): number {
    const { readSeq } = this.#cursor;
    return Math.min(MANY, this.#counted + this.#later.filter(({ seq }) => seq > readSeq).length);
  }

  /** Returns whether only the server can tell the count, and that it was asked for. */
  takeStale(): boolean {
    const isStale = this.#isStale;
    this.#isStale = false;
    return isStale;
  }

  /** The server has counted anew. One of its answers may overtake another. */
  recount(page: Conversation): void {
    if (page.lastSeq < this.#lastSeq || this.#cursor.readEpoch > page.readEpoch) return;
    this.#lastSeq = page.lastSeq;
    this.#counted = page.unread;
    this.#later = this.#later.filter(({ seq }) => seq > page.lastSeq);
    if (isAfter(page, this.#cursor)) this.#cursor = page;
    else if (this.#cursor.readSeq >= page.lastSeq) this.#counted = 0;
  }

  add(entry: LogEntry, isOwn: boolean): void {
    if (entry.kind === 'message' && entry.thread === undefined && !isOwn) this.#message(entry);
    if (entry.kind === 'retract') {
      const { target, range } = entry;
      this.#later = this.#later.filter(({ seq, sender }) =>
        range === undefined
          ? seq !== target
          : sender !== range.sender || seq < range.fromSeq || seq > range.toSeq,
      );
      const first = range?.fromSeq ?? target ?? 0;
      if (this.#counted > 0 && first <= this.#lastSeq) this.#isStale = true;
    }
  }

  /** Entries were jumped over. */
  skip(): void {
    this.#isStale = true;
  }

  read(cursor: ReadCursor): void {
    if (!isAfter(cursor, this.#cursor)) return;
    const isBack = cursor.readEpoch > this.#cursor.readEpoch;
    this.#cursor = { readSeq: cursor.readSeq, readEpoch: cursor.readEpoch };
    if (isBack) this.#isStale = true;
    else if (cursor.readSeq >= this.#lastSeq) this.#counted = 0;
    else if (this.#counted > 0) this.#isStale = true;
    this.#later = this.#later.filter(({ seq }) => seq > cursor.readSeq);
  }

  #message({ seq, sender }: Counted): void {
    if (seq <= (this.#later.at(-1)?.seq ?? this.#lastSeq)) return;
    this.#later.push({ seq, sender });
    if (this.#later.length < 2 * MANY) return;
    this.#later.splice(0, MANY);
    this.#isStale = true;
  }
}

function isAfter(a: ReadCursor, b: ReadCursor): boolean {
  if (a.readEpoch !== b.readEpoch) return a.readEpoch > b.readEpoch;
  return a.readSeq > b.readSeq;
}
