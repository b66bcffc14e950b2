/**
 * The timeline of one conversation: a window on its log, folded, with one's own unacknowledged entries.
 *
 * The window is one part of the log without a hole. It follows the end of the log while it reaches it; else it holds what was
 * paged to, and new entries are fetched when one goes there. It holds at most MAX_HELD entries.
 */
import {
  type ChatMessage,
  ClientError,
  type ClientEvent,
  Fold,
  type History,
  type HistoryOptions,
  type LogEntry,
  type Shown,
  type SystemEntry,
  type Target,
  quoteOf,
} from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { type Change, type Echo, Echoes, type Refusal } from './echoes.ts';
import { Source } from './source.ts';

/** Entries of a page. */
const PAGE = 50;
/** Most entries held. */
const MAX_HELD = 200;
/** Entries held beyond that before some are dropped. */
const SLACK = 50;

/** A message as it is to be shown. */
export interface MessageItem {
  readonly kind: 'message';
  /** The same before and after the message has a place in the log. */
  readonly key: string;
  /** Seq 0: it has no place in the log yet. */
  readonly message: ChatMessage;
  readonly isOwn: boolean;
  /** Of one's own: 'failed' will not be sent again. */
  readonly state: 'sending' | 'stored' | 'failed';
  /** One's own change that is not acknowledged; the message is shown as it will be. */
  readonly change: Change | undefined;
  /** Why it, or the last change of it, was refused. */
  readonly refusal: Refusal | undefined;
}

export interface SystemItem {
  readonly kind: 'system';
  readonly key: string;
  readonly entry: SystemEntry;
}

export type TimelineItem = MessageItem | SystemItem;

export interface TimelineParts {
  readonly client: ChatClient;
  readonly conversation: string;
  /** User id of who sees it. */
  readonly me: () => string;
}

export class Timeline extends Source {
  readonly conversation: string;
  readonly #parts: TimelineParts;
  readonly #echoes = new Echoes();
  #fold = new Fold();
  /** First and last seq of the window; Infinity: it follows the end of the log. */
  #from = 0;
  #to = 0;
  #hasOlder = false;
  /** Counts jumps, so that what was asked for before one is not taken after it. */
  #jumps = 0;
  #arrivals = 0;
  #state: 'empty' | 'loading' | 'ready' = 'empty';
  #error: ClientError | undefined;
  #isPaging = false;
  #isAtEnd = true;
  #viewed = 0;
  /** What the window was last asked to show. */
  #point: HistoryOptions = {};
  #anchor: number | undefined;
  #items: readonly TimelineItem[] | undefined;
  /** What was shown last, by key: what has not changed stays the same object. */
  #shown = new Map<string, TimelineItem>();

  constructor(parts: TimelineParts) {
    super();
    this.#parts = parts;
    this.conversation = parts.conversation;
  }

  /** 'empty': nothing was asked for. */
  get state(): 'empty' | 'loading' | 'ready' {
    return this.#state;
  }

  /** Why the last page could not be fetched. */
  get error(): ClientError | undefined {
    return this.#error;
  }

  /** Whether there are entries before the window. */
  get hasOlder(): boolean {
    return this.#hasOlder;
  }

  /** Whether there are entries after the window. */
  get hasNewer(): boolean {
    return this.#state === 'ready' && this.#to !== Infinity;
  }

  /** Number of jumps that have arrived. */
  get arrivals(): number {
    return this.#arrivals;
  }

  /** Seq of what the last jump has found. */
  get anchor(): number | undefined {
    return this.#anchor;
  }

  /** Number of own entries that are to be sent. */
  get waiting(): number {
    return this.#echoes.waiting;
  }

  /** What is to be shown, the oldest first. */
  items(): readonly TimelineItem[] {
    this.#items ??= this.#show();
    return this.#items;
  }

  /** A message of the window, as it is to be shown. */
  message(seq: number): ChatMessage | undefined {
    const message = this.#fold.message(seq);
    return message && this.#echoes.apply(message, this.#parts.me()).message;
  }

  /** The user's newest message that can be changed. */
  lastOwn(): MessageItem | undefined {
    return this.items().findLast(
      (item): item is MessageItem =>
        item.kind === 'message' &&
        item.isOwn &&
        item.state !== 'failed' &&
        item.message.retraction === undefined,
    );
  }

  /** Pinned messages, the newest pin first; undefined until `loadPins`. */
  pinned(): readonly ChatMessage[] | undefined {
    const pins = this.#fold.pinned();
    return pins && this.#echoes.pins(pins).flatMap((seq) => this.message(seq) ?? []);
  }

  /** Goes to a place in the log; without one to its end. Never rejects: `error` tells. */
  async jump(point: HistoryOptions = {}): Promise<void> {
    const jump = ++this.#jumps;
    this.#point = point;
    this.#state = 'loading';
    this.#isPaging = false;
    this.changed();
    await this.#load({ limit: PAGE, ...point }, jump, (page) => {
      this.#arrivals++;
      this.#anchor = page.anchor;
      this.#from = firstOf(page);
      this.#to = lastOf(page);
      this.#hasOlder = page.more;
      this.#fold.keep(this.#from, this.#to);
    });
    if (jump === this.#jumps && this.#to > 0) this.#state = 'ready';
    this.#changed();
  }

  /** Adds a page before the window. */
  older(): Promise<void> {
    if (!this.#hasOlder) return Promise.resolve();
    return this.#page({ before: this.#from }, (page) => {
      this.#from = firstOf(page);
      this.#hasOlder = page.more;
      this.#bound('newer');
    });
  }

  /** Adds a page after the window. */
  newer(): Promise<void> {
    if (!this.hasNewer) return Promise.resolve();
    return this.#page({ after: this.#to }, (page) => {
      this.#to = lastOf(page);
      this.#bound('older');
    });
  }

  /** Asks again for what could not be fetched. */
  async retry(): Promise<void> {
    if (this.#state !== 'ready') return this.jump(this.#point);
    this.#error = undefined;
    this.#changed();
  }

  /** Tells what is being read, so that it stays. @param isAtEnd whether the newest entry is in sight */
  view(seq: number, isAtEnd: boolean): void {
    this.#viewed = seq;
    this.#isAtEnd = isAtEnd;
  }

  /** Fetches the pinned messages. Rejects with a ClientError. */
  async loadPins(): Promise<void> {
    const loading = this.#fold.load();
    try {
      loading.pins(await this.#parts.client.pins(this.conversation));
    } catch (error) {
      loading.cancel();
      throw error;
    }
    this.#changed();
  }

  /** Sends a message. @param replyTo seq of the message that it quotes */
  send(text: string, replyTo?: number): void {
    const { client, conversation } = this.#parts;
    forget(client.send(conversation, text, replyTo === undefined ? {} : { replyTo }));
    if (this.hasNewer) void this.jump();
  }

  /** Gives one of the user's messages another text. */
  edit(target: Target, text: string): void {
    forget(this.#parts.client.edit(this.conversation, target, text));
  }

  retract(target: Target, reason = ''): void {
    forget(this.#parts.client.retract(this.conversation, target, { reason }));
  }

  pin(seq: number, isPinned: boolean): void {
    const { client } = this.#parts;
    forget(isPinned ? client.pin(this.conversation, seq) : client.unpin(this.conversation, seq));
  }

  /** Sends a refused message again. */
  resend(clientMsgId: string): void {
    const echo = this.#echoes.remove(clientMsgId);
    if (echo !== undefined) this.send(echo.text, echo.quote?.seq);
  }

  /** Gives up a refused message, and returns its text. */
  discard(clientMsgId: string): string {
    const echo = this.#echoes.remove(clientMsgId);
    this.#changed();
    return echo?.text ?? '';
  }

  /** The user has seen why a change of a message was refused. */
  forgive(seq: number): void {
    this.#echoes.forgive(seq);
    this.#changed();
  }

  /** An event of the client, about this conversation or about none. */
  take(event: ClientEvent): void {
    switch (event.type) {
      case 'skipped':
        this.#skip(event.toSeq);
        break;
      case 'synced':
        if (this.#error !== undefined) void this.retry();
        break;
      case 'queued': {
        const quoted = event.replyTo === undefined ? undefined : this.message(event.replyTo);
        this.#echoes.add({ ...event, quote: quoted && quoteOf(quoted) });
        break;
      }
      case 'failed':
        this.#echoes.failed(event);
        break;
      case 'sent':
        this.#echoes.remove(event.clientMsgId);
        this.#add(event);
        break;
      case 'message':
      case 'edited':
      case 'retracted':
      case 'pinned':
      case 'unpinned':
      case 'system':
        this.#add(event);
        break;
      default:
        return;
    }
    this.#changed();
  }

  #add(entry: LogEntry): void {
    const isChange = entry.kind !== 'message' && entry.kind !== 'system';
    // While a page is under way it may turn out to reach the end.
    if (isChange || this.#to === Infinity || this.#state === 'loading' || this.#isPaging)
      this.#fold.add(entry);
    if (this.#to === Infinity) this.#bound(this.#isAtEnd ? 'older' : 'newer');
  }

  #skip(toSeq: number): void {
    this.#fold.skip(toSeq);
    if (this.#state === 'empty' || this.#from > toSeq) return;
    const isReading = !this.#isAtEnd && this.#viewed > 0;
    void this.jump(isReading ? { around: this.#viewed } : {});
  }

  /** Drops what is farthest from where one reads, if too much is held. */
  #bound(side: 'older' | 'newer'): void {
    if (this.#fold.size <= MAX_HELD + SLACK) return;
    const held = this.#held();
    const kept = side === 'older' ? held.slice(-MAX_HELD) : held.slice(0, MAX_HELD);
    if (side === 'older') {
      this.#from = kept[0]?.seq ?? 0;
      this.#hasOlder = true;
    } else this.#to = kept.at(-1)?.seq ?? 0;
    this.#fold.keep(this.#from, this.#to);
  }

  async #page(point: HistoryOptions, take: (page: History) => void): Promise<void> {
    if (this.#isPaging || this.#state !== 'ready') return;
    const jump = this.#jumps;
    this.#isPaging = true;
    this.changed();
    await this.#load({ limit: PAGE, ...point }, jump, take);
    if (jump === this.#jumps) this.#isPaging = false;
    this.#changed();
  }

  /** Fetches a page, and takes it unless one has jumped since. */
  async #load(options: HistoryOptions, jump: number, take: (page: History) => void): Promise<void> {
    for (let isTaken = false; !isTaken && jump === this.#jumps; ) {
      const loading = this.#fold.load();
      try {
        const page = await this.#parts.client.history(this.conversation, options);
        if (jump !== this.#jumps) loading.cancel();
        else isTaken = loading.page(page);
        if (isTaken) take(page);
        this.#error = undefined;
      } catch (error) {
        loading.cancel();
        this.#error = ClientError.from(error);
        isTaken = true;
      }
    }
  }

  #held(): readonly Shown[] {
    return this.#fold.shown().filter(({ seq }) => seq >= this.#from && seq <= this.#to);
  }

  #show(): readonly TimelineItem[] {
    const items: TimelineItem[] = this.#held().map((shown) => this.#showEntry(shown));
    if (!this.hasNewer) items.push(...this.#echoes.messages().map((echo) => this.#showEcho(echo)));
    this.#shown = new Map(items.map((item) => [item.key, item]));
    return items;
  }

  #showEntry(shown: Shown): TimelineItem {
    const me = this.#parts.me();
    const key = shown.kind === 'system' ? String(shown.seq) : keyOf(shown);
    const last = this.#shown.get(key);
    if (shown.kind === 'system')
      return last?.kind === 'system' && last.entry === shown ? last : { kind: 'system', key, entry: shown };
    const { message, change } = this.#echoes.apply(shown, me);
    const refusal = this.#echoes.refusalOf(shown.seq);
    const isSame = last?.kind === 'message' && last.message === message && last.refusal === refusal;
    if (isSame && last.change === change) return last;
    return { kind: 'message', key, message, isOwn: shown.sender === me, state: 'stored', change, refusal };
  }

  #showEcho({ clientMsgId, atMs, text, quote, refusal }: Echo): MessageItem {
    const me = this.#parts.me();
    const from = this.#parts.client.displayName(me) ?? '';
    const place = { conversation: this.conversation, seq: 0, id: '', sender: me, from, clientMsgId, atMs };
    const plain: ChatMessage = { ...place, kind: 'message', text, version: 0, replyTo: quote?.seq, quote };
    const { message, change } = this.#echoes.apply(plain, me);
    const state = refusal === undefined ? 'sending' : 'failed';
    return { kind: 'message', key: keyOf(plain), message, isOwn: true, state, change, refusal };
  }

  #changed(): void {
    this.#items = undefined;
    this.changed();
  }
}

/** The events `queued`, `sent` and `failed` tell what becomes of a send. */
function forget(sent: Promise<unknown>): void {
  sent.catch(() => undefined);
}

function keyOf({ sender, clientMsgId }: ChatMessage): string {
  return `${sender}/${clientMsgId}`;
}

function firstOf({ more, entries }: History): number {
  return more ? (entries[0]?.seq ?? 0) : 0;
}

function lastOf({ moreAfter, entries }: History): number {
  return moreAfter ? (entries.at(-1)?.seq ?? 0) : Infinity;
}
