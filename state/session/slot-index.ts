/** A hash index from a 64-bit key to a small number, in typed arrays: 12 bytes a cell and no object per entry. */

const EMPTY = -1;
const MIN_CELLS = 16;
/** Cells are doubled when more than 2/3 of them are taken. */
const MAX_LOAD = 2 / 3;

/**
 * Maps keys, given as two unsigned 32-bit halves, to slots ≥ 0; open addressing with linear probing.
 *
 * A removal shifts later entries back instead of leaving tombstones, so lookups stay short however much comes and goes.
 */
export class SlotIndex {
  #keys = new Uint32Array(MIN_CELLS * 2);
  #slots = new Int32Array(MIN_CELLS).fill(EMPTY);
  #mask = MIN_CELLS - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Returns the slot of a key, or -1. */
  get(low: number, high: number): number {
    return this.#slots[this.#find(low, high)] as number;
  }

  /** Stores or replaces the slot of a key. */
  set(low: number, high: number, slot: number): void {
    let cell = this.#find(low, high);
    if (this.#slots[cell] === EMPTY) {
      if (this.#size + 1 > (this.#mask + 1) * MAX_LOAD) {
        this.#grow();
        cell = this.#find(low, high);
      }
      this.#size++;
      this.#keys[cell * 2] = low;
      this.#keys[cell * 2 + 1] = high;
    }
    this.#slots[cell] = slot;
  }

  /** Forgets a key; returns whether it was there. */
  delete(low: number, high: number): boolean {
    let hole = this.#find(low, high);
    if (this.#slots[hole] === EMPTY) return false;
    this.#size--;
    let cell = hole;
    for (;;) {
      cell = (cell + 1) & this.#mask;
      if (this.#slots[cell] === EMPTY) break;
      const home = this.#home(this.#keys[cell * 2] as number, this.#keys[cell * 2 + 1] as number);
      // An entry may move into the hole unless its home lies cyclically in (hole, cell].
      if (((cell - home) & this.#mask) < ((cell - hole) & this.#mask)) continue;
      this.#move(cell, hole);
      hole = cell;
    }
    this.#slots[hole] = EMPTY;
    return true;
  }

  /** Returns the cell of a key, or the empty one where it would go. */
  #find(low: number, high: number): number {
    const keys = this.#keys;
    const slots = this.#slots;
    let cell = this.#home(low, high);
    while (slots[cell] !== EMPTY) {
      if (keys[cell * 2] === low && keys[cell * 2 + 1] === high) return cell;
      cell = (cell + 1) & this.#mask;
    }
    return cell;
  }

  /** Mixes both halves: Snowflake ids differ in few bits. Finalizer of MurmurHash3 (public domain). */
  #home(low: number, high: number): number {
    let hash = low ^ Math.imul(high, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & this.#mask;
  }

  #move(from: number, to: number): void {
    this.#keys[to * 2] = this.#keys[from * 2] as number;
    this.#keys[to * 2 + 1] = this.#keys[from * 2 + 1] as number;
    this.#slots[to] = this.#slots[from] as number;
  }

  #grow(): void {
    const keys = this.#keys;
    const slots = this.#slots;
    const cells = slots.length * 2;
    this.#keys = new Uint32Array(cells * 2);
    this.#slots = new Int32Array(cells).fill(EMPTY);
    this.#mask = cells - 1;
    for (let cell = 0; cell < slots.length; cell++) {
      if (slots[cell] === EMPTY) continue;
      const low = keys[cell * 2] as number;
      const high = keys[cell * 2 + 1] as number;
      const to = this.#find(low, high);
      this.#keys[to * 2] = low;
      this.#keys[to * 2 + 1] = high;
      this.#slots[to] = slots[cell] as number;
    }
  }
}
