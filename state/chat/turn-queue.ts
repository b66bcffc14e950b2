/** A queue with a line per key, served in turn, so that nobody waits for all of another's items. */

/** Bounded: an item too many is dropped from the longest line, newest first. */
export class TurnQueue<T> {
  readonly #maxSize: number;
  /** Non-empty lines, the next one first. */
  readonly #lines = new Map<string, T[]>();
  #size = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds an item to the line of a key. Returns the item dropped for it, which may be itself. */
  push(key: string, item: T): T | undefined {
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, [item]);
    else line.push(item);
    this.#size++;
    return this.#size > this.#maxSize ? this.#dropNewest(key) : undefined;
  }

  /** Removes the first item of the next line. */
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

  /** @param added key of the newest item: among lines of equal length its own gives way */
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
