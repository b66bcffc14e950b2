/** Branded 64-bit ids and the Snowflake generator that makes them. */

declare const brand: unique symbol;
type Id<Name extends string> = bigint & { readonly [brand]: Name };

export type UserId = Id<'user'>;
export type ConversationId = Id<'conversation'>;
export type MessageId = Id<'message'>;
export type SessionId = Id<'session'>;

/** Greatest id: the engines' integers are signed. */
const MAX_ID = (1n << 63n) - 1n;
const DECIMAL = /^[1-9]\d{0,18}$/;

/** Returns whether a value can be the id of something stored. */
export function isId(value: bigint): boolean {
  return value > 0n && value <= MAX_ID;
}

/** Parses a decimal id; undefined if it is not one. */
export function parseId(text: unknown): bigint | undefined {
  if (typeof text !== 'string' || !DECIMAL.test(text)) return undefined;
  const id = BigInt(text);
  return id <= MAX_ID ? id : undefined;
}

/** Epoch of the ids: 2025-01-01T00:00:00Z, Unix ms. */
export const ID_EPOCH_MS = 1_735_689_600_000;
export const NODE_BITS = 10;
export const SEQUENCE_BITS = 12;
export const MAX_NODE = (1 << NODE_BITS) - 1;
const MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1;
/** Bits below the time. */
const LOW_BITS = NODE_BITS + SEQUENCE_BITS;
/** Scratch in which an id is assembled, without a BigInt for each part. */
const halves = new DataView(new ArrayBuffer(8));

/**
 * Generates Snowflake ids: 41 bits of ms since ID_EPOCH_MS, 10 bits of node, 12 bits of sequence. They are unique as long
 * as no two live processes have the same node number (Registry.leaseId). Source: Twitter Snowflake, 2010.
 *
 * Ids of one node always grow, even if the clock stands still or steps back: the last ms stays in use, and when its
 * sequence is used up the next ms is borrowed.
 */
export class Snowflake {
  readonly #node: number;
  readonly #now: () => number;
  #lastMs = 0;
  #sequence = 0;

  /** @param node 0 to MAX_NODE; a RangeError otherwise. */
  constructor(node: number, now: () => number = Date.now) {
    if (!Number.isInteger(node) || node < 0 || node > MAX_NODE)
      throw new RangeError(`node ${node} is not 0 to ${MAX_NODE}`);
    this.#node = node << SEQUENCE_BITS;
    this.#now = now;
  }

  /** Returns the next id; each is greater than the one before. */
  next(): bigint {
    const now = this.#now() - ID_EPOCH_MS;
    if (now > this.#lastMs) {
      this.#lastMs = now;
      this.#sequence = 0;
    } else if (++this.#sequence > MAX_SEQUENCE) {
      this.#lastMs++;
      this.#sequence = 0;
    }
    halves.setUint32(0, this.#lastMs / 2 ** (32 - LOW_BITS));
    halves.setUint32(4, (this.#lastMs << LOW_BITS) | this.#node | this.#sequence);
    return halves.getBigUint64(0);
  }
}
