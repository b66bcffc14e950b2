/** The floors of conversations over time. */
import type { EntryOf } from './history.ts';

export class Floors {
  /** By conversation, ascending by time. */
  readonly #raised = new Map<string, EntryOf<'floor'>[]>();

  add(entry: EntryOf<'floor'>): void {
    const raised = this.#raised.get(entry.conversation);
    if (raised === undefined) this.#raised.set(entry.conversation, [entry]);
    else raised.push(entry);
  }

  /** Returns the last floor; 0: none. */
  last(conversation: string): number {
    return this.before(conversation, Number.POSITIVE_INFINITY);
  }

  /** Returns the floor that was certainly set before a time (Unix ms); 0: none. */
  before(conversation: string, ms: number): number {
    return Math.max(
      0,
      ...(this.#raised.get(conversation) ?? []).filter(({ at }) => at < ms).map(({ seq }) => seq),
    );
  }
}
