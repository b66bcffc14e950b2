/** Takes 64-bit ids apart and puts them together without making further BigInts. */

const wide = new BigUint64Array(1);
const halves = new Uint32Array(wide.buffer);

/** Which half of a 64-bit number comes first in memory: 0, the low one, but for a few machines. */
export const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;

/** Puts an id where `low` and `high` read it; both must be read before the next call of anything here. */
export function split(value: bigint): void {
  wide[0] = value;
}

/** The lower 32 bits of the id that was split last. */
export function low(): number {
  return halves[LOW] as number;
}

/** The upper 32 bits of it. */
export function high(): number {
  return halves[1 - LOW] as number;
}

/** Makes an id of its halves. */
export function join(high: number, low: number): bigint {
  halves[LOW] = low;
  halves[1 - LOW] = high;
  return wide[0] as bigint;
}

/** Returns whether packed ids (packIds) hold an id, by looking at each. */
export function hasId(packed: Uint32Array, id: bigint): boolean {
  wide[0] = id;
  const [first, second] = halves;
  for (let i = 0; i < packed.length; i += 2) if (packed[i] === first && packed[i + 1] === second) return true;
  return false;
}

/** Packs ids into halves, two numbers each in the order of memory. */
export function packIds(ids: readonly bigint[]): Uint32Array {
  const packed = new BigUint64Array(ids.length);
  for (let i = 0; i < ids.length; i++) packed[i] = ids[i] as bigint;
  return new Uint32Array(packed.buffer);
}
