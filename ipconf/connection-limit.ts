/** Limit on the connections of one address. */

/** Counts connections by address. It has at most one entry per connection. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #held = new Map<string, number>();

  /** @param max most connections of one address; 0: no limit */
  constructor(max: number) {
    this.#max = max;
  }

  /** Counts a connection. Returns false, and does not count it, if the address has too many. */
  enter(address: string): boolean {
    const held = this.#held.get(address) ?? 0;
    if (this.#max > 0 && held >= this.#max) return false;
    this.#held.set(address, held + 1);
    return true;
  }

  /** Uncounts a connection. */
  leave(address: string): void {
    const held = (this.#held.get(address) ?? 0) - 1;
    if (held > 0) this.#held.set(address, held);
    else this.#held.delete(address);
  }
}
