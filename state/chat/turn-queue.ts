/** A queue in which nobody waits for all of another's: each key has a line of its own, and they are served in turn. */

/** Bounded: what is too much goes from the longest line, newest first. */
export class TurnQueue<T> {
  readonly #maxSize: number;
  /** Lines that are not empty; the one whose turn it is comes first. */
  readonly #lines = new Map<string, T[]>();
  #size = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#size;
  }

  /** Puts an item into the line of a key; returns the one that had to go for it, which may be itself. */
  push(key: string, item: T): T | undefined {
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, [item]);
    else line.push(item);
    this.#size++;
    return this.#size > this.#maxSize ? this.#dropNewest(key) : undefined;
  }

  /** Takes the first item of the line whose turn it is. */
  shift(): T | undefined {
    for (const [key, line] of this.#lines) {
      const item = line.shift();
      this.#lines.delete(key);
      if (line.length > 0) this.#lines.set(key, line);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** @param added key of the item that came last: of lines as long as its own it is the one that gives way */
  #dropNewest(added: string): T | undefined {
    let longest = added;
    let line = this.#lines.get(added) as T[];
    for (const [key, other] of this.#lines) if (other.length > line.length) [longest, line] = [key, other];
    const dropped = line.pop();
    if (line.length === 0) this.#lines.delete(longest);
    this.#size--;
    return dropped;
  }
}
