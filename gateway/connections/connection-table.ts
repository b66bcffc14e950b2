/** The worker's connections by number: an array that is indexed by the number's low bits. */
import type { Connection } from './connection.ts';

const MIN_SLOTS = 64;
const MAX_NUMBER = 0xffff_ffff;

/**
 * Gives each connection a number and finds it again.
 *
 * Numbers count up from 1 through 32 bits; one whose slot is taken is skipped, so no slot ever has two and a look-up
 * is one array access. At most half of the slots are taken.
 */
export class ConnectionTable {
  #slots: (Connection | undefined)[] = Array.from({ length: MIN_SLOTS });
  #last: number;
  #size = 0;

  /** @param last Number to count on from, for tests of the wrap. */
  constructor(last = 0) {
    this.#last = last;
  }

  get size(): number {
    return this.#size;
  }

  /** Makes a connection with the next free number and holds it. */
  add(make: (conn: number) => Connection): Connection {
    if ((this.#size + 1) * 2 > this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let conn = this.#last;
    do conn = conn === MAX_NUMBER ? 1 : conn + 1;
    while (this.#slots[conn & mask] !== undefined);
    this.#last = conn;
    const connection = make(conn);
    this.#slots[conn & mask] = connection;
    this.#size++;
    return connection;
  }

  get(conn: number): Connection | undefined {
    const connection = this.#slots[conn & (this.#slots.length - 1)];
    return connection?.conn === conn ? connection : undefined;
  }

  /** Returns those of the connections that are still here. */
  find(conns: readonly number[]): Connection[] {
    return conns.map((conn) => this.get(conn)).filter((found) => found !== undefined);
  }

  /** Forgets a connection; idempotent. */
  delete(connection: Connection): void {
    const slot = connection.conn & (this.#slots.length - 1);
    if (this.#slots[slot] !== connection) return;
    this.#slots[slot] = undefined;
    this.#size--;
  }

  /** Connections that come or go meanwhile may be left out. */
  *[Symbol.iterator](): Generator<Connection> {
    for (const connection of this.#slots) if (connection !== undefined) yield connection;
  }

  #grow(): void {
    const grown: (Connection | undefined)[] = Array.from({ length: this.#slots.length * 2 });
    const mask = grown.length - 1;
    for (const connection of this) grown[connection.conn & mask] = connection;
    this.#slots = grown;
  }
}
