/** From the model's conversations to the sidebar, and the numbers by which keys reach them. */
import type { ConversationRow, Model } from '../model/mod.ts';
import { en } from '../texts/mod.ts';
import { countText } from './chat-screen.ts';
import type { Presence, Sidebar, SidebarRow } from './view.ts';

const NUMBERS = 9;

/** A number belongs to its conversation as long as the program runs, whatever the order. */
export class Numbers {
  readonly #conversations: string[] = [];

  /** Numbers the first conversations that come. */
  learn(rows: readonly ConversationRow[]): void {
    for (const { id } of rows)
      if (this.#conversations.length < NUMBERS && !this.#conversations.includes(id))
        this.#conversations.push(id);
  }

  of(conversation: string): number | undefined {
    const at = this.#conversations.indexOf(conversation);
    return at === -1 ? undefined : at + 1;
  }

  at(number: number): string | undefined {
    return this.#conversations[number - 1];
  }
}

export function isMuted({ mutedUntilMs }: ConversationRow, now: number): boolean {
  return mutedUntilMs > now;
}

export function presenceOf(model: Model, { peer }: ConversationRow): Presence {
  if (model.status.link !== 'online' || peer === undefined) return 'unknown';
  return model.watching.presence(peer)?.status ?? 'offline';
}

/** All conversations in the order of the sidebar. */
export function ordered(
  model: Model,
  now: number,
): readonly (readonly [string, readonly ConversationRow[]])[] {
  const rows = model.conversations.rows();
  const isUnread = (row: ConversationRow) => row.unread > 0 && !isMuted(row, now);
  const rest = rows.filter((row) => !isUnread(row));
  return [
    [en.unread.toUpperCase(), rows.filter(isUnread)],
    [en.people.toUpperCase(), rest.filter(({ kind }) => kind === 'direct')],
    [en.rooms.toUpperCase(), rest.filter(({ kind }) => kind === 'room')],
  ];
}

export function sidebarOf(model: Model, numbers: Numbers, current: string | undefined, now: number): Sidebar {
  const toRow = (row: ConversationRow): SidebarRow => ({
    number: numbers.of(row.id),
    mark: row.kind === 'room' ? '#' : presenceOf(model, row),
    name: row.title,
    hasDraft: row.id !== current && model.drafts.get(row.id) !== '',
    isMuted: isMuted(row, now),
    mentions: 0,
    threads: 0,
    unread: row.unread,
    isCurrent: row.id === current,
  });
  const { self, link } = model.status;
  return {
    me: self?.displayName ?? '',
    presence: link === 'online' ? 'online' : 'offline',
    sections: ordered(model, now).map(([title, rows]) => ({ title, rows: rows.map(toRow) })),
    notes: [],
  };
}

/** What is unread elsewhere, such as `2:3 lobby:12`. */
export function unreadElsewhere(
  model: Model,
  numbers: Numbers,
  current: string | undefined,
  now: number,
): string {
  return model.conversations
    .rows()
    .filter((row) => row.id !== current && row.unread > 0 && !isMuted(row, now))
    .slice(0, 4)
    .map((row) => `${numbers.of(row.id) ?? row.title}:${countText(row.unread)}`)
    .join(' ');
}
