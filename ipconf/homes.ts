/** Homes: the two gateways that a user's id hashes to, on every ipconf node alike. Maglev hashing, Google, NSDI 2016. */
import { hashKey } from '../crpc/mod.ts';
import type { Gateway } from './gateway.ts';

/** Slots of the table: prime, and 65 for each of 1,000 gateways, so shares are even to about 2 %. */
const SLOTS = 65_537;

/**
 * Maps users to gateways in proportion to the gateways' shares. When a gateway comes or goes, few other users move. The
 * map depends only on the gateways' ids and shares, so ipconf nodes agree without communication.
 */
export class Homes {
  readonly #made: readonly Gateway[];
  readonly #shares: Float64Array;
  readonly #gateways: readonly Gateway[];
  readonly #table: Uint16Array;

  constructor(gateways: readonly Gateway[]) {
    this.#made = gateways;
    this.#shares = Float64Array.from(gateways, ({ share }) => share);
    this.#gateways = gateways.toSorted((a, b) => (a.address.id < b.address.id ? -1 : 1));
    this.#table = fill(this.#gateways);
  }

  /** Returns whether the map is for exactly these gateways, in this order, with these shares. */
  isFor(gateways: readonly Gateway[]): boolean {
    if (gateways.length !== this.#made.length) return false;
    for (let i = 0; i < gateways.length; i++) {
      const gateway = gateways[i] as Gateway;
      if (gateway !== this.#made[i] || gateway.share !== this.#shares[i]) return false;
    }
    return true;
  }

  /** Returns a user's two homes; twice the same gateway if there is only one. */
  of(uid: string): readonly [Gateway, Gateway] | undefined {
    if (this.#gateways.length === 0) return undefined;
    const { hi, lo } = hashKey(uid);
    const first = this.#table[(hi >>> 0) % SLOTS] as number;
    // The second home is searched from another slot until it differs.
    let slot = (lo >>> 0) % SLOTS;
    for (let tries = 0; tries < 64 && this.#table[slot] === first; tries++) slot = (slot + 1) % SLOTS;
    return [this.#gateways[first] as Gateway, this.#gateways[this.#table[slot] as number] as Gateway];
  }
}

/**
 * Gives each gateway in turn the next free slot of its own permutation; gateways with larger shares have more turns.
 */
function fill(gateways: readonly Gateway[]): Uint16Array {
  const table = new Uint16Array(SLOTS);
  if (gateways.length === 0) return table;
  const taken = new Uint8Array(SLOTS);
  const next = new Uint32Array(gateways.length);
  const skip = new Uint32Array(gateways.length);
  const turns = new Float64Array(gateways.length);
  const most = Math.max(...gateways.map(({ share }) => share));
  for (const [i, gateway] of gateways.entries()) {
    const { hi, lo } = hashKey(gateway.address.id);
    next[i] = (hi >>> 0) % SLOTS;
    skip[i] = 1 + ((lo >>> 0) % (SLOTS - 1));
  }
  for (let filled = 0; ; ) {
    for (let i = 0; i < gateways.length; i++) {
      turns[i] = (turns[i] as number) + (gateways[i] as Gateway).share / most;
      if ((turns[i] as number) < 1) continue;
      turns[i] = (turns[i] as number) - 1;
      let slot = next[i] as number;
      while (taken[slot] === 1) slot = (slot + (skip[i] as number)) % SLOTS;
      taken[slot] = 1;
      table[slot] = i;
      next[i] = (slot + (skip[i] as number)) % SLOTS;
      if (++filled === SLOTS) return table;
    }
  }
}
