/** Where one is in a timeline: at its newest row, or at a place that stays where it is. */
import type { Placed } from './item-view.ts';
import type { Row } from './row.ts';

interface Anchor {
  readonly key: string;
  /** Row of the screen on which the item begins; negative: above the screen. */
  readonly offset: number;
}

export interface Visible {
  readonly rows: readonly Row[];
  /** Whether the newest row is among them. */
  readonly isNewest: boolean;
  /** Keys of the items of which something is visible. */
  readonly keys: readonly string[];
  /** Messages below. */
  readonly below: number;
  /** Rows above. */
  readonly above: number;
}

export class Scroll {
  #anchor: Anchor | undefined;

  get isNewest(): boolean {
    return this.#anchor === undefined;
  }

  toNewest(): void {
    this.#anchor = undefined;
  }

  /** Puts an item on a row of the screen. */
  to(key: string, offset: number): void {
    this.#anchor = { key, offset };
  }

  /** Returns what is visible; goes to the newest row where there is nothing below. @param follows whether new entries come below */
  visible(placed: readonly Placed[], height: number, follows: boolean): Visible {
    const { starts, total } = measure(placed);
    const last = Math.max(0, total - height);
    const top = this.#top(placed, starts, last);
    if (top >= last && follows) this.#anchor = undefined;
    const rows: Row[] = [];
    const keys: string[] = [];
    let below = 0;
    for (const [at, each] of placed.entries()) {
      const start = starts[at] as number;
      const from = Math.max(0, top - start);
      const to = Math.min(each.rows.length, top + height - start);
      if (from < to) {
        rows.push(...each.rows.slice(from, to));
        keys.push(each.key);
      } else if (start >= top + height && each.item?.kind === 'message') below++;
    }
    return { rows, keys, below, above: top, isNewest: top >= last && follows };
  }

  /** Scrolls by rows; negative: up. */
  by(rows: number, placed: readonly Placed[], height: number): void {
    const { starts, total } = measure(placed);
    const last = Math.max(0, total - height);
    const top = Math.min(last, Math.max(0, this.#top(placed, starts, last) + rows));
    const at = starts.findLastIndex((start) => start <= top);
    const item = placed[at];
    if (item !== undefined) this.#anchor = { key: item.key, offset: (starts[at] as number) - top };
  }

  /** Shows an item that is not wholly visible. */
  reveal(key: string, placed: readonly Placed[], height: number): void {
    const { starts, total } = measure(placed);
    const at = placed.findIndex((each) => each.key === key);
    if (at === -1) return;
    const start = starts[at] as number;
    const size = placed[at]?.rows.length ?? 0;
    const top = this.#top(placed, starts, Math.max(0, total - height));
    if (start < top) this.#anchor = { key, offset: 0 };
    else if (start + size > top + height) this.#anchor = { key, offset: Math.max(0, height - size) };
  }

  #top(placed: readonly Placed[], starts: readonly number[], last: number): number {
    if (this.#anchor === undefined) return last;
    const { key, offset } = this.#anchor;
    const at = placed.findIndex((each) => each.key === key);
    if (at === -1) return last;
    return Math.min(last, Math.max(0, (starts[at] as number) - offset));
  }
}

/** Rows before each item, and of all. */
function measure(placed: readonly Placed[]): { starts: readonly number[]; total: number } {
  const starts: number[] = [];
  let total = 0;
  for (const { rows } of placed) {
    starts.push(total);
    total += rows.length;
  }
  return { starts, total };
}
