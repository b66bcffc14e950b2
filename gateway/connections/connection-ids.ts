/** Ids of connections: unique among all connections of all gateways, and among those that there were. */

/** Bits of an id below the gateway's and the worker's number. */
const WORKER_SHIFT = 45n;
const GATEWAY_SHIFT = 53n;
const COUNTER_MASK = (1n << WORKER_SHIFT) - 1n;
/** Connections per ms of a worker's life for which the ids of its predecessors are not used again. */
const IDS_PER_MS_SHIFT = 4n;

export class ConnectionIds {
  readonly #worker: bigint;
  readonly #base: bigint;

  /** @param nowMs Unix time of the worker's start */
  constructor(worker: number, nowMs = Date.now()) {
    this.#worker = BigInt(worker) << WORKER_SHIFT;
    this.#base = BigInt(nowMs) << IDS_PER_MS_SHIFT;
  }

  /** Returns the id of the worker's connection of that number, under the number leased to the gateway. */
  of(gateway: number, conn: number): bigint {
    return (BigInt(gateway) << GATEWAY_SHIFT) | this.#worker | ((this.#base + BigInt(conn)) & COUNTER_MASK);
  }
}
