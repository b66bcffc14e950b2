/** The command that reads the log. */
import type { History, HistoryOptions, LogEntry } from '../sdk/mod.ts';
import { type Command, type CommandSession, invalid, settled } from './command.ts';
import { entryEvent } from './printer.ts';

const DEFAULT_HISTORY = 20;
const MAX_HISTORY = 1_000;
const HISTORY_PAGE = 200;

export const history: Command = {
  usage: '/history [N] | POINT [N]',
  help: `show the last N messages (${DEFAULT_HISTORY}; at most ${MAX_HISTORY}), or N entries before S, after S, around S, unread or date YYYY-MM-DD; S is a number of a message`,
  async run(session, argument) {
    const [point = '', ...rest] = argument.trim().split(/\s+/);
    if (point === '' || /^\d+$/.test(point)) return showLast(session, countOf(point, MAX_HISTORY));
    const limit = (text: string | undefined) => ({ limit: countOf(text, HISTORY_PAGE) });
    switch (point) {
      case 'before':
        return showPage(session, { before: seqOf(rest[0]), ...limit(rest[1]) });
      case 'after':
        return showPage(session, { after: seqOf(rest[0]), ...limit(rest[1]) });
      case 'around':
        return showPage(session, { around: seqOf(rest[0]), ...limit(rest[1]) });
      case 'unread':
        return showPage(session, { firstUnread: true, ...limit(rest[0]) });
      case 'date':
        return showPage(session, { date: dateOf(rest[0]), ...limit(rest[1]) });
      default:
        throw invalid('/history takes a number, or before, after, around, unread or date.');
    }
  },
};

function countOf(text: string | undefined, most: number): number {
  const count = text === undefined || text === '' ? DEFAULT_HISTORY : Number(text);
  if (!Number.isInteger(count) || count < 1 || count > most)
    throw invalid(`/history takes a number from 1 to ${most}.`);
  return count;
}

function seqOf(text = ''): number {
  if (!/^[1-9]\d*$/.test(text))
    throw invalid('/history before, after and around need the number of a message.');
  return Number(text);
}

/** Returns the beginning of a day in the local time zone. */
function dateOf(text = ''): Date {
  const date = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : Number.NaN);
  if (Number.isNaN(date.getTime())) throw invalid('/history date needs a day, as 2026-12-31.');
  return date;
}

async function showPage(session: CommandSession, options: HistoryOptions): Promise<void> {
  const conversation = await settled(session);
  const page = await session.client.history(conversation, options);
  show(session, conversation, page.entries, page);
}

/** Shows the latest messages, and the entries between them. */
async function showLast(session: CommandSession, count: number): Promise<void> {
  const conversation = await settled(session);
  let entries: LogEntry[] = [];
  let page: History;
  let left = count;
  do {
    const limit = Math.min(left, HISTORY_PAGE);
    page = await session.client.history(conversation, { before: entries[0]?.seq ?? 0, limit });
    entries = [...page.entries, ...entries];
    left -= page.entries.filter(({ kind }) => kind === 'message').length;
  } while (left > 0 && page.more && page.entries.length > 0);
  show(session, conversation, entries, { ...page, moreAfter: false });
}

function show(
  { printer }: CommandSession,
  conversation: string,
  entries: readonly LogEntry[],
  { more, moreAfter: more_after, anchor }: Pick<History, 'more' | 'moreAfter' | 'anchor'>,
): void {
  for (const entry of entries) {
    const event = entryEvent(entry, true);
    if (event !== undefined) printer.print(event);
  }
  printer.print({ event: 'history', conversation, more, more_after, anchor_seq: anchor ?? null });
}
