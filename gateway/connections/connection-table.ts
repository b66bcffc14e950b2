/** The worker's connections by number, in an array indexed by the number's low bits, and the ids made from numbers. */
import type { Connection } from './connection.ts';

const MIN_SLOTS = 64;
const MAX_NUMBER = 0xffff_ffff;
/** Bits of an id below the gateway's and the worker's numbers. */
const WORKER_SHIFT = 45n;
const GATEWAY_SHIFT = 53n;
const COUNTER_MASK = (1n << WORKER_SHIFT) - 1n;
/** log2 of the connections per ms up to which a worker does not reuse the ids of its predecessors. */
const IDS_PER_MS_SHIFT = 4n;

/**
 * Numbers connections and finds them by number.
 *
 * Numbers count up from 1 through 32 bits. A number whose slot is taken is skipped, so no slot ever has two connections
 * and a look-up is one array access. At most half of the slots are taken.
 */
export class ConnectionTable {
  #slots: (Connection | undefined)[] = Array.from({ length: MIN_SLOTS });
  #last: number;
  #size = 0;

  /** @param last number to continue from, for tests of the wrap-around */
  constructor(last = 0) {
    this.#last = last;
  }

  get size(): number {
    return this.#size;
  }

  /** Makes a connection with the next free number and adds it. */
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

  /** Returns the connections that are still in the table. */
  find(conns: readonly number[]): Connection[] {
    return conns.map((conn) => this.get(conn)).filter((found) => found !== undefined);
  }

  /** Removes a connection. Idempotent. */
  delete(connection: Connection): void {
    const slot = connection.conn & (this.#slots.length - 1);
    if (this.#slots[slot] !== connection) return;
    this.#slots[slot] = undefined;
    this.#size--;
  }

  /** Iterates over all connections; ones that come or go meanwhile may be missing. */
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

/** Ids of connections, unique among all present and past connections of all gateways. */
export class ConnectionIds {
  readonly #worker: bigint;
  readonly #base: bigint;

  /** @param nowMs Unix time of the worker's start */
  constructor(worker: number, nowMs = Date.now()) {
    this.#worker = BigInt(worker) << WORKER_SHIFT;
    this.#base = BigInt(nowMs) << IDS_PER_MS_SHIFT;
  }

  /** Returns the id of a connection. @param gateway number leased by the gateway @param conn number in the worker */
  of(gateway: number, conn: number): bigint {
    return (BigInt(gateway) << GATEWAY_SHIFT) | this.#worker | ((this.#base + BigInt(conn)) & COUNTER_MASK);
  }
}
