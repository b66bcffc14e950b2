/**
 * The fold: what a client shows of one conversation, made of entries and pages of the log. Pure: no clock, no I/O.
 *
 * Rule: an entry changes a message only if its seq is greater than the message's version. So pages and entries may come
 * late and more than once, in one another's middle, and end in the same view.
 */
import { cutQuote } from '../../proto/client.ts';
import type { ChatMessage, Edit, LogEntry, PinChange, Quote, Retract, SystemEntry } from './entries.ts';

/** Most changes kept while pages are under way; with more, those pages are refused. */
const MAX_KEPT = 4096;
/** Changes that are kept in any case: one's own are known before older entries of others have come. */
const MIN_KEPT = 128;

type Change = Edit | Retract | PinChange;

/** What stands in the timeline. */
export type Shown = ChatMessage | SystemEntry;

/** A part of the log, folded up to `asOf`. */
export interface FoldedPage {
  readonly entries: readonly LogEntry[];
  readonly asOf: number;
}

/** The pinned messages, the newest pin first. */
export interface PinList {
  readonly pins: readonly { readonly message: ChatMessage }[];
  readonly pinsVersion: number;
}

/** A call for a page that is under way. */
export interface Loading {
  /**
   * Adds a page of history, and what has changed since. Returns false if the client has jumped over entries meanwhile,
   * or too much has changed: nothing was added; ask again.
   */
  page(page: FoldedPage): boolean;
  /** As `page`, for the list of pins. */
  pins(list: PinList): boolean;
  /** The call has failed. */
  cancel(): void;
}

/** The view of one conversation. It holds what it was given until `skip` or `keep` drops it. */
export class Fold {
  readonly #shown = new Map<number, Shown>();
  /** What changed lately, and all that changed while pages are under way; ascending by seq. */
  #changes: Change[] = [];
  /** Seqs of the pins at `#pinsVersion`, the newest pin first; undefined: they are not known. */
  #pins: readonly number[] | undefined;
  #pinsVersion = 0;
  readonly #loading = new Set<object>();
  /** Replies that came without a quote: their seqs, and those of what they quote. */
  readonly #unquoted = new Map<number, number>();
  #newest = 0;
  #skipped = 0;

  /** Number of messages and system entries. */
  get size(): number {
    return this.#shown.size;
  }

  /** Messages and system entries, ascending by seq. */
  shown(): readonly Shown[] {
    return [...this.#shown.values()].toSorted((a, b) => a.seq - b.seq);
  }

  message(seq: number): ChatMessage | undefined {
    const shown = this.#shown.get(seq);
    return shown?.kind === 'message' ? shown : undefined;
  }

  /** Seqs of the pinned messages, the newest pin first; undefined until they were listed. */
  pinned(): readonly number[] | undefined {
    if (this.#pins === undefined) return undefined;
    const pins = this.#pinsAfter(this.#pins, this.#changes);
    return pins.filter((seq) => this.message(seq)?.retraction === undefined);
  }

  /** Announces a call for a page, before it is made: what changes from now on is kept for the answer. */
  load(): Loading {
    const call = {};
    const since = this.#newest;
    const skipped = this.#skipped;
    this.#loading.add(call);
    const end = (isFresh: boolean, take: () => void): boolean => {
      const taken = this.#loading.delete(call) && isFresh;
      if (taken) take();
      this.#trim();
      return taken;
    };
    return {
      page: ({ entries, asOf }) =>
        end(asOf >= since && asOf >= this.#skipped, () => {
          for (const entry of entries) this.#show(withoutRest(entry));
        }),
      pins: (list) => end(this.#skipped === skipped, () => this.#list(list)),
      cancel: () => void end(false, () => {}),
    };
  }

  /** Adds an entry as it was pushed, came with a synchronisation, or was sent by this client. */
  add(entry: LogEntry): void {
    // What the client has jumped over may have changed since.
    if (entry.seq <= this.#skipped) return;
    this.#newest = Math.max(this.#newest, entry.seq);
    if (isChange(entry)) this.#change(entry);
    else this.#show(withoutRest(entry));
  }

  /** Entries up to a seq were jumped over: drops what was held from before. */
  skip(toSeq: number): void {
    if (toSeq <= this.#skipped) return;
    this.#skipped = toSeq;
    for (const seq of this.#shown.keys()) if (seq <= toSeq) this.#shown.delete(seq);
    this.#changes = this.#changes.filter(({ seq }) => seq > toSeq);
    this.#pins = undefined;
  }

  /** Drops what is not in firstSeq..lastSeq, and not pinned, to bound what is held. */
  keep(firstSeq: number, lastSeq: number): void {
    const pinned = new Set(this.#pins);
    for (const seq of this.#shown.keys())
      if ((seq < firstSeq || seq > lastSeq) && !pinned.has(seq)) this.#shown.delete(seq);
  }

  /** Shows an entry, with the changes that are kept. Changes in a page are in its messages already. */
  #show(entry: LogEntry): void {
    if (entry.kind === 'system') this.#shown.set(entry.seq, entry);
    if (entry.kind !== 'message') return;
    const merged = newest(entry, this.message(entry.seq));
    const message = this.#changes.reduce(changed, merged);
    this.#shown.set(entry.seq, message);
    if (message.replyTo !== undefined && message.quote === undefined)
      this.#unquoted.set(message.seq, message.replyTo);
    for (const [seq, target] of this.#unquoted) this.#quote(seq, target);
  }

  /** Adds the quote to a reply that came without, as the answer to one's own send does. */
  #quote(seq: number, targetSeq: number): void {
    const reply = this.message(seq);
    const target = this.message(targetSeq);
    const isMissing = reply?.replyTo !== undefined && reply.quote === undefined;
    if (isMissing && target === undefined) return;
    this.#unquoted.delete(seq);
    if (isMissing && target !== undefined) this.#shown.set(seq, { ...reply, quote: quoteOf(target) });
  }

  #change(change: Change): void {
    const after = this.#changes.findLastIndex(({ seq }) => seq <= change.seq);
    if (this.#changes[after]?.seq === change.seq) return;
    this.#changes.splice(after + 1, 0, change);
    for (const shown of this.#shown.values())
      if (shown.kind === 'message') this.#shown.set(shown.seq, changed(shown, change));
    if (this.#changes.length > MAX_KEPT) this.#loading.clear();
    this.#trim();
  }

  #list({ pins, pinsVersion }: PinList): void {
    for (const { message } of pins) this.#show(withoutRest(message));
    if (this.#pins !== undefined && pinsVersion < this.#pinsVersion) return;
    this.#pins = pins.map(({ message }) => message.seq);
    this.#pinsVersion = pinsVersion;
  }

  #trim(): void {
    if (this.#loading.size > 0 || this.#changes.length <= 2 * MIN_KEPT) return;
    const old = this.#changes.splice(0, this.#changes.length - MIN_KEPT);
    this.#pins &&= this.#pinsAfter(this.#pins, old);
  }

  #pinsAfter(pins: readonly number[], changes: readonly Change[]): readonly number[] {
    return changes.filter(({ seq }) => seq > this.#pinsVersion).reduce(pinsAfter, pins);
  }
}

function isChange(entry: LogEntry): entry is Change {
  return entry.kind === 'edit' || entry.kind === 'retract' || entry.kind === 'pin' || entry.kind === 'unpin';
}

/** Returns an entry without what an event or a page has beside it. */
function withoutRest(entry: LogEntry): LogEntry {
  const { conversation, seq, id, sender, from, clientMsgId, atMs } = entry;
  const base = { conversation, seq, id, sender, from, clientMsgId, atMs };
  if (entry.kind === 'message') {
    const { kind, text, version, replyTo, quote, retraction, thread } = entry;
    return {
      ...base,
      kind,
      text,
      version,
      replyTo,
      quote,
      retraction,
      ...(thread !== undefined && { thread }),
    };
  }
  if (entry.kind !== 'system') return entry;
  const { kind, event, user, name, role } = entry;
  return { ...base, kind, event, user, name, role };
}

/** Returns a message as a reply to it shows it. */
export function quoteOf({ seq, sender, from, text, version, retraction }: ChatMessage): Quote {
  const state = retraction === undefined ? 'kept' : 'retracted';
  return { seq, sender, from, ...cutQuote(text), state, version };
}

/** Returns a message with what is newest of either copy. */
function newest(message: ChatMessage, held: ChatMessage | undefined): ChatMessage {
  if (held === undefined) return message;
  const newer = held.version > message.version ? held : message;
  const quotes = [held.quote, message.quote];
  const quote = newer.retraction === undefined ? quotes.toSorted(byState).at(-1) : undefined;
  return { ...newer, quote };
}

/** Orders quotes of one message: the newest last. What is no longer kept stays so. */
function byState(a: Quote | undefined, b: Quote | undefined): number {
  const rank = (quote: Quote | undefined) => (quote?.state === 'expired' ? Infinity : (quote?.version ?? -1));
  return rank(a) - rank(b);
}

/** Returns a message after a change, which may concern it, what it quotes, or neither. */
function changed(message: ChatMessage, change: Change): ChatMessage {
  if (change.kind === 'edit') return edited(message, change);
  return change.kind === 'retract' ? retracted(message, change) : message;
}

function edited(message: ChatMessage, change: Edit): ChatMessage {
  // Its target was retracted since; the retraction comes, too.
  if (change.text === '') return message;
  const version = Math.max(change.seq, change.version);
  const { quote } = message;
  if (change.target === message.seq && change.seq > message.version)
    return { ...message, text: change.text, version };
  if (quote?.state === 'kept' && change.target === quote.seq && change.seq > quote.version)
    return { ...message, quote: { ...quote, ...cutQuote(change.text), version } };
  return message;
}

function retracted(message: ChatMessage, change: Retract): ChatMessage {
  const { seq, sender: by, atMs, reason } = change;
  const { quote } = message;
  if (concerns(change, message) && seq > message.version) {
    const retraction = { seq, by, atMs, reason };
    return { ...message, text: '', version: seq, replyTo: undefined, quote: undefined, retraction };
  }
  if (quote !== undefined && quote.state !== 'expired' && concerns(change, quote) && seq > quote.version) {
    const gone = { state: 'retracted', text: '', cut: false, version: seq } as const;
    return { ...message, quote: { ...quote, ...gone } };
  }
  return message;
}

function concerns(
  change: Retract,
  { seq, sender }: { readonly seq: number; readonly sender: string },
): boolean {
  const { target, range } = change;
  if (range === undefined) return target === seq;
  // A range ends below its own entry.
  return sender === range.sender && seq >= range.fromSeq && seq <= range.toSeq && seq < change.seq;
}

function pinsAfter(pins: readonly number[], change: Change): readonly number[] {
  const { kind, target } = change;
  if (target === undefined || kind === 'edit') return pins;
  if (kind !== 'pin') return pins.filter((seq) => seq !== target);
  return pins.includes(target) ? pins : [target, ...pins];
}
