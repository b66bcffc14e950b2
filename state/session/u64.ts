/** 64-bit ids as pairs of 32-bit halves, without allocating BigInts. */

const wide = new BigUint64Array(1);
const halves = new Uint32Array(wide.buffer);

/** Index of the low half of a 64-bit number in memory: 0 on little-endian machines. */
export const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;

/** Returns the lower 32 bits of an id. */
export function lowOf(id: bigint): number {
  wide[0] = id;
  return halves[LOW] as number;
}

/** Returns the upper 32 bits of an id. */
export function highOf(id: bigint): number {
  wide[0] = id;
  return halves[1 - LOW] as number;
}

/** Returns the id with these halves. */
export function join(high: number, low: number): bigint {
  halves[LOW] = low;
  halves[1 - LOW] = high;
  return wide[0] as bigint;
}

/** Returns whether packed ids (packIds) contain an id. Linear. */
export function hasId(packed: Uint32Array, id: bigint): boolean {
  wide[0] = id;
  const [first, second] = halves;
  for (let i = 0; i < packed.length; i += 2) if (packed[i] === first && packed[i + 1] === second) return true;
  return false;
}

/** Returns packed ids (packIds) without an id. Linear. */
export function withoutId(packed: Uint32Array, id: bigint): Uint32Array {
  wide[0] = id;
  const [first, second] = halves;
  const others = new Uint32Array(packed.length);
  let count = 0;
  for (let i = 0; i < packed.length; i += 2) {
    if (packed[i] === first && packed[i + 1] === second) continue;
    others[count++] = packed[i] as number;
    others[count++] = packed[i + 1] as number;
  }
  return others.subarray(0, count);
}

/** Packs ids into pairs of halves in memory order. */
export function packIds(ids: readonly bigint[]): Uint32Array {
  const packed = new BigUint64Array(ids.length);
  for (let i = 0; i < ids.length; i++) packed[i] = ids[i] as bigint;
  return new Uint32Array(packed.buffer);
}
