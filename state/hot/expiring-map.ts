/** A bounded map with expiring entries, without timers. */

export interface ExpiringMapOptions {
  /** Most entries; beyond it the one set longest ago is dropped. @default 1_000_000 */
  readonly maxEntries?: number;
  /** Monotonic clock, ms. */
  readonly now: () => number;
}

interface Entry<V> {
  readonly value: V;
  readonly until: number;
}

/** Entries that each set() checks for expiry; more than one, so that a full map empties again. */
const SWEPT_PER_SET = 2;

/**
 * Values by key, each with a lifetime. An expired one is never returned, and is removed within two passes of set()
 * calls.
 */
export class ExpiringMap<V> {
  readonly #maxEntries: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry<V>>();
  #sweep: Iterator<[string, Entry<V>]>;

  constructor(options: ExpiringMapOptions) {
    this.#maxEntries = options.maxEntries ?? 1_000_000;
    this.#now = options.now;
    this.#sweep = this.#entries.entries();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.until > this.#now()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: V, ttlMs: number): void {
    const now = this.#now();
    // Deleting first puts the key at the end: the first entry is then the one set longest ago.
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: now + ttlMs });
    for (let i = 0; i < SWEPT_PER_SET; i++) this.#sweepOne(now);
    if (this.#entries.size > this.#maxEntries) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#sweep = this.#entries.entries();
  }

  #sweepOne(now: number): void {
    const next = this.#sweep.next();
    if (next.done === true) {
      this.#sweep = this.#entries.entries();
      return;
    }
    const [key, entry] = next.value;
    if (entry.until <= now) this.#entries.delete(key);
  }
}
