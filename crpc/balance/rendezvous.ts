/** Rendezvous (highest random weight) hashing: maps a key to one of several nodes. Thaler and Ravishankar, 1998. */

/**
 * Chooses a node for a 64-bit key.
 *
 * A key moves only when its own node leaves, or to a node that joins. The choice depends only on the set of ids and the
 * key, so every process chooses the same. `pick` allocates nothing.
 */
export class Rendezvous {
  /** In a fixed order, so that a tie does not depend on the order of the argument. */
  readonly ids: readonly string[];
  readonly #seeds: Int32Array;
  readonly #index: Int32Array;

  /** @param ids The nodes' ids, all different; `pick` returns an index into this array. */
  constructor(ids: readonly string[]) {
    this.ids = ids;
    const order = ids.map((_, index) => index).sort((a, b) => compare(ids[a] as string, ids[b] as string));
    this.#index = Int32Array.from(order);
    this.#seeds = Int32Array.from(order, (index) => hashId(ids[index] as string));
  }

  /** Returns the index of the key's node, or -1 when there is none. The halves may be signed or unsigned. */
  pick(keyHi: number, keyLo: number): number {
    const key = keyOf(keyHi, keyLo);
    const seeds = this.#seeds;
    let best = -1;
    let bestScore = -1;
    for (let i = 0; i < seeds.length; i++) {
      const score = mix(key ^ (seeds[i] as number)) >>> 0;
      if (score > bestScore) {
        bestScore = score;
        best = i;
      }
    }
    return best < 0 ? -1 : (this.#index[best] as number);
  }

  /** The same as `pick`, among the accepted nodes only. */
  pickWhere(keyHi: number, keyLo: number, accepts: (index: number) => boolean): number {
    const key = keyOf(keyHi, keyLo);
    const seeds = this.#seeds;
    let best = -1;
    let bestScore = -1;
    for (let i = 0; i < seeds.length; i++) {
      const score = mix(key ^ (seeds[i] as number)) >>> 0;
      if (score > bestScore && accepts(this.#index[i] as number)) {
        bestScore = score;
        best = i;
      }
    }
    return best < 0 ? -1 : (this.#index[best] as number);
  }
}

function keyOf(hi: number, lo: number): number {
  return mix(mix(lo ^ 0x9e3779b9) ^ hi);
}

/** Hashes a string key to 64 bits, for `pick`. */
export function hashKey(key: string): { hi: number; lo: number } {
  return { hi: fnv1a(key, 0x811c9dc5), lo: mix(fnv1a(key, 0x2f0b4f6b)) };
}

/** Hashes an endpoint's id to 32 bits. */
export function hashId(id: string): number {
  return mix(fnv1a(id, 0x811c9dc5));
}

/** FNV-1a over UTF-16 code units. http://www.isthe.com/chongo/tech/comp/fnv/ */
function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finalizer of MurmurHash3: each input bit flips each output bit with probability about one half. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
