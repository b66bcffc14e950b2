/** Limits connections: so many of one network address at a time. */

/** Holds no more entries than there are connections. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #held = new Map<string, number>();

  /** @param max connections of one address; 0: no limit */
  constructor(max: number) {
    this.#max = max;
  }

  /** Counts a connection; false: it is one too many, and is not counted. */
  enter(address: string): boolean {
    const held = this.#held.get(address) ?? 0;
    if (this.#max > 0 && held >= this.#max) return false;
    this.#held.set(address, held + 1);
    return true;
  }

  /** Takes off a connection that was counted. */
  leave(address: string): void {
    const held = (this.#held.get(address) ?? 0) - 1;
    if (held > 0) this.#held.set(address, held);
    else this.#held.delete(address);
  }
}
