/** From the model's timeline to what the terminal shows of it. */
import type { Model, TimelineItem } from '../model/mod.ts';
import { plainText } from '../markdown/mod.ts';
import type { ChatMessage } from '../sdk/mod.ts';
import { terminalEn as texts } from '../texts/mod.ts';
import { type ItemOptions, itemRows } from './timeline-rows.ts';
import type { Row } from './row.ts';
import type { ItemView, LineView, Receipt } from './view.ts';

/** Name and time stand once per author and this long, ms. */
const GROUP_MS = 300_000;
const MENTION = /<@(\d{1,20})>/g;

const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
});

/** HH:MM, local. */
export function timeOf(atMs: number): string {
  return TIME.format(atMs);
}

/** The line above the first unread message, as it was when one came. */
export interface UnreadLine {
  readonly afterSeq: number;
  readonly text: string;
}

/** An item on the screen. */
export interface Placed {
  /** Undefined: a line between messages. */
  readonly item: TimelineItem | undefined;
  readonly key: string;
  readonly rows: readonly Row[];
}

export interface PlaceOptions {
  readonly model: Model;
  readonly conversation: string;
  readonly width: number;
  readonly selected: string | undefined;
  readonly unread: UnreadLine | undefined;
}

interface Cached {
  readonly as: string;
  readonly rows: readonly Row[];
}

/** Keeps the rows of items that have not changed. */
export class ItemRows {
  readonly #rows = new WeakMap<TimelineItem, Cached>();

  /** Returns all items of a timeline with their rows, the oldest first. */
  place(items: readonly TimelineItem[], options: PlaceOptions): Placed[] {
    const placed: Placed[] = [];
    const line = (key: string, text: string, isUnread = false) => {
      const view: LineView = { kind: 'line', key, text, isUnread };
      placed.push({
        item: undefined,
        key,
        rows: itemRows(view, { width: options.width, isSelected: false }),
      });
    };
    let before: TimelineItem | undefined;
    let day = '';
    let isUnreadShown = options.unread === undefined;
    const lastRead = lastReadOf(items, options);
    for (const item of items) {
      const today = DAY.format(atOf(item));
      if (today !== day) {
        line(`day ${today}`, today);
        before = undefined;
      }
      day = today;
      const isUnread = !isUnreadShown && seqOf(item) > (options.unread?.afterSeq ?? Infinity);
      if (isUnread) {
        line('unread', options.unread?.text ?? '', true);
        isUnreadShown = true;
        before = undefined;
      }
      placed.push({ item, key: item.key, rows: this.#rowsOf(item, before, options, item === lastRead) });
      before = item;
    }
    return placed;
  }

  #rowsOf(
    item: TimelineItem,
    before: TimelineItem | undefined,
    { model, conversation, width, selected }: PlaceOptions,
    isLastRead: boolean,
  ): readonly Row[] {
    const isSelected = item.key === selected;
    const isGrouped =
      before !== undefined &&
      before.kind === 'message' &&
      item.kind === 'message' &&
      before.message.retraction === undefined &&
      before.message.sender === item.message.sender &&
      atOf(item) - atOf(before) < GROUP_MS;
    const hasTime = !isGrouped || timeOf(atOf(item)) !== timeOf(atOf(before));
    const receipt = item.kind === 'message' ? receiptOf(model, conversation, item) : '';
    const note = isLastRead && item.kind === 'message' ? readNote(model, conversation, item.message.seq) : '';
    const as = `${width} ${isSelected} ${isGrouped} ${hasTime} ${receipt} ${note}`;
    const cached = this.#rows.get(item);
    if (cached?.as === as) return cached.rows;
    const view = viewOf(item, { model, isGrouped, hasTime, receipt, note });
    const options: ItemOptions = { width, isSelected };
    const rows = itemRows(view, options);
    this.#rows.set(item, { as, rows });
    return rows;
  }
}

/** Unix time, ms. */
function atOf(item: TimelineItem): number {
  return item.kind === 'message' ? item.message.atMs : item.entry.atMs;
}

/** Infinity: it has no place in the log yet. */
export function seqOf(item: TimelineItem): number {
  const { seq } = item.kind === 'message' ? item.message : item.entry;
  return seq === 0 ? Infinity : seq;
}

interface Shown {
  readonly model: Model;
  readonly isGrouped: boolean;
  readonly hasTime: boolean;
  readonly receipt: Receipt;
  readonly note: string;
}

function viewOf(item: TimelineItem, { model, isGrouped, hasTime, receipt, note }: Shown): ItemView {
  const time = hasTime ? timeOf(atOf(item)) : '';
  if (item.kind === 'system') {
    const { key, entry } = item;
    return { kind: 'event', key, time, author: '·', authorId: '', text: eventText(entry) };
  }
  const { key, message, refusal } = item;
  const author = isGrouped ? '' : message.from;
  if (message.retraction !== undefined) {
    const { by, reason } = message.retraction;
    const who = by === message.sender ? texts.itsAuthor : (model.client.displayName(by) ?? by);
    return { kind: 'event', key, time, author, authorId: message.sender, text: texts.retracted(who, reason) };
  }
  return {
    kind: 'message',
    key,
    time,
    author,
    authorId: message.sender,
    isBot: false,
    mentionsMe: mentions(message, model.me),
    quote: quoteOf(message, model),
    text: message.text.replace(MENTION, (_, user: string) => `@${model.client.displayName(user) ?? user}`),
    isEdited: message.version > 0,
    files: [],
    reactions: [],
    note,
    thread: '',
    receipt,
    refusal: refusal && {
      reason: refusal.message,
      remedy: item.state === 'failed' ? texts.remedy : texts.escCancels,
    },
  };
}

function eventText({ event, name, from, role }: Extract<TimelineItem, { kind: 'system' }>['entry']): string {
  switch (event) {
    case 'joined':
    case 'left':
      return texts[event](name);
    case 'removed':
      return texts.removed(name, from);
    case 'role':
      return texts.role(name, from, role ?? 'member');
    default:
      return texts.other;
  }
}

function mentions({ text, sender }: ChatMessage, me: string): boolean {
  return sender !== me && me !== '' && text.includes(`<@${me}>`);
}

/** The text of a message on one line, as people read it. */
export function lineOf(text: string, model: Model): string {
  return plainText(text, (user) => model.client.displayName(user) ?? user);
}

function quoteOf({ quote }: ChatMessage, model: Model): { author: string; text: string } | undefined {
  if (quote === undefined) return undefined;
  if (quote.state === 'expired') return { author: '·', text: texts.quoteGone };
  if (quote.state === 'retracted') return { author: quote.from, text: texts.quoteRetracted };
  return { author: quote.from, text: `${lineOf(quote.text, model)}${quote.cut ? '…' : ''}` };
}

function receiptOf(
  model: Model,
  conversation: string,
  item: Extract<TimelineItem, { kind: 'message' }>,
): Receipt {
  if (!item.isOwn || item.message.retraction !== undefined) return '';
  if (item.state === 'failed') return 'refused';
  if (item.state === 'sending' || item.change !== undefined) return 'queued';
  const { isDelivered, readers } = model.watching.progress(conversation, item.message.seq);
  const members = model.watching.members(conversation) ?? Infinity;
  if (readers.length > 0 && readers.length >= members - 1) return 'read';
  return isDelivered ? 'delivered' : 'sent';
}

/** The newest own message of a group, under which stands who has read it. */
function lastReadOf(
  items: readonly TimelineItem[],
  { model, conversation }: PlaceOptions,
): TimelineItem | undefined {
  if ((model.watching.members(conversation) ?? 0) <= 2) return undefined;
  const last = items.findLast(
    (item) =>
      item.kind === 'message' &&
      item.isOwn &&
      item.state === 'stored' &&
      item.message.retraction === undefined,
  );
  return last;
}

function readNote(model: Model, conversation: string, seq: number): string {
  const all = (model.watching.members(conversation) ?? 1) - 1;
  const { readers } = model.watching.progress(conversation, seq);
  return readers.length === 0 || readers.length >= all ? '' : texts.readBy(readers.length, all);
}
