/** Checks of the store's cursors: they never go back, and reach what clients report. */
import type { EntryOf } from './history.ts';
import type { InstanceView } from './instance-view.ts';
import type { Memberships } from './memberships.ts';
import { userOf } from './refusals.ts';
import type { Accuse } from './rules.ts';

export class Cursors {
  readonly #accuse: Accuse;
  /** Last value seen, by owner and conversation. */
  readonly #stored = new Map<string, EntryOf<'cursor'>>();
  /** First sighting of a cursor, by owner and conversation; Unix ms. */
  readonly #since = new Map<string, number>();
  /** Read cursors reported by clients. */
  readonly #marks: EntryOf<'marked'>[] = [];

  constructor(accuse: Accuse) {
    this.#accuse = accuse;
  }

  add(entry: EntryOf<'cursor'>): void {
    const key = `${entry.owner} ${entry.conversation}`;
    const before = this.#stored.get(key);
    if (before !== undefined && entry.seq < before.seq)
      this.#accuse('cursors', `${key} went from ${before.seq} back to ${entry.seq}`);
    this.#stored.set(key, entry);
    this.#since.set(key, Math.min(entry.at, this.#since.get(key) ?? entry.at));
  }

  /** Returns whether the store had the progress of a group's clients before a time (Unix ms). */
  isStored(group: string, conversation: string, beforeMs: number): boolean {
    return (this.#since.get(`${group} delivered ${conversation}`) ?? Number.POSITIVE_INFINITY) < beforeMs;
  }

  marked(entry: EntryOf<'marked'>): void {
    this.#marks.push(entry);
  }

  /** Checks that no read cursor exceeds what the user's clients reported. */
  judgeRead(): void {
    const marks = this.#furthest(Number.NEGATIVE_INFINITY);
    for (const { owner, conversation, seq } of this.#stored.values()) {
      const [user, what] = owner.split(' ') as [string, string];
      if (what === 'read' && seq > (marks.get(`${user} ${conversation}`) ?? 0))
        this.#accuse('cursors', `${user} has read ${conversation} up to ${seq} and never said so`);
    }
  }

  /**
   * Checks that reports of live clients since the last fault have reached the store. A report has no answer and may be
   * lost with its connection, so earlier reports prove nothing.
   */
  judgeQuiescent(sinceMs: number, instances: Iterable<InstanceView>, memberships: Memberships): void {
    const read = this.#highest('read');
    for (const [key, seq] of this.#furthest(sinceMs)) {
      const [user, conversation] = key.split(' ') as [string, string];
      const stored = read.get(key) ?? 0;
      if (memberships.after(user, conversation) !== undefined && stored < seq)
        this.#accuse(
          'cursors',
          `${user} said that it has read ${conversation} up to ${seq}, stored is ${stored}`,
        );
    }
    const delivered = this.#highest('delivered');
    for (const view of instances) {
      if (!view.alive) continue;
      for (const [conversation, seen] of view.conversations) {
        const shown = seen.lastSince(sinceMs);
        const stored = delivered.get(`${view.group} ${conversation}`) ?? 0;
        if (memberships.after(view.user, conversation) !== undefined && stored < shown)
          this.#accuse('cursors', `${view.name} has ${conversation} up to ${shown}, stored is ${stored}`);
      }
    }
  }

  /** Returns the greatest reported read seq since a time, by user and conversation. */
  #furthest(sinceMs: number): Map<string, number> {
    const furthest = new Map<string, number>();
    for (const { instance, conversation, seq, at } of this.#marks) {
      const key = `${userOf(instance)} ${conversation}`;
      if (at >= sinceMs) furthest.set(key, Math.max(seq, furthest.get(key) ?? 0));
    }
    return furthest;
  }

  /** Stored cursors of a kind, by owner and conversation. */
  #highest(kind: 'read' | 'delivered'): Map<string, number> {
    const highest = new Map<string, number>();
    for (const { owner, conversation, seq } of this.#stored.values()) {
      const [whose, what] = owner.split(' ') as [string, string];
      const key = `${whose} ${conversation}`;
      if (what === kind) highest.set(key, Math.max(seq, highest.get(key) ?? 0));
    }
    return highest;
  }
}
