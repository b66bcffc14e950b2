/** Senders that have repeated a message lately, in a bounded set with expiry. */

const REMEMBERED_MS = 600_000;
const MAX_REPEATERS = 10_000;

/** Beyond the bound the earliest repeaters are dropped. */
export class Repeaters<Key> {
  /** Expiry of each, ms of the process's clock; ascending. */
  readonly #until = new Map<Key, number>();
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#until.size;
  }

  add(key: Key): void {
    this.#until.delete(key);
    this.#until.set(key, this.#now() + REMEMBERED_MS);
    if (this.#until.size > MAX_REPEATERS) this.#until.delete(this.#until.keys().next().value as Key);
  }

  has(key: Key): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (this.#now() < until) return true;
    this.#until.delete(key);
    return false;
  }
}
