/** A hash index from 64-bit keys to small numbers in one typed array: 4 bytes per cell, no objects. */

const EMPTY = -1;
const MIN_CELLS = 16;
/** Load above which the cells are doubled. */
const MAX_LOAD = 2 / 3;

/** Access to the keys in the owner's slots: unsigned 32-bit halves. A key must not change while it is in the index. */
export interface SlotKeys {
  low(slot: number): number;
  high(slot: number): number;
}

/**
 * Maps keys to slots ≥ 0, with open addressing and linear probing. It stores no keys: the owner's slots have them.
 *
 * A removal shifts later entries back instead of leaving tombstones, so look-ups stay short.
 */
export class SlotIndex {
  readonly #keys: SlotKeys;
  #slots = new Int32Array(MIN_CELLS).fill(EMPTY);
  #mask = MIN_CELLS - 1;
  #size = 0;

  constructor(keys: SlotKeys) {
    this.#keys = keys;
  }

  get size(): number {
    return this.#size;
  }

  /** Returns the slot of a key, or -1. */
  get(low: number, high: number): number {
    return this.#slots[this.#find(low, high)] as number;
  }

  /** Sets the slot of a key; the owner has written the key into the slot. */
  set(low: number, high: number, slot: number): void {
    let cell = this.#find(low, high);
    if (this.#slots[cell] === EMPTY) {
      if (this.#size + 1 > (this.#mask + 1) * MAX_LOAD) {
        this.#grow();
        cell = this.#find(low, high);
      }
      this.#size++;
    }
    this.#slots[cell] = slot;
  }

  /** Removes a key. Returns whether it was there. */
  delete(low: number, high: number): boolean {
    let hole = this.#find(low, high);
    if (this.#slots[hole] === EMPTY) return false;
    this.#size--;
    let cell = hole;
    for (;;) {
      cell = (cell + 1) & this.#mask;
      const slot = this.#slots[cell] as number;
      if (slot === EMPTY) break;
      const home = this.#home(this.#keys.low(slot), this.#keys.high(slot));
      // An entry may fill the hole unless its home lies cyclically in (hole, cell].
      if (((cell - home) & this.#mask) < ((cell - hole) & this.#mask)) continue;
      this.#slots[hole] = slot;
      hole = cell;
    }
    this.#slots[hole] = EMPTY;
    return true;
  }

  /** Returns the cell of a key, or the empty cell where it belongs. */
  #find(low: number, high: number): number {
    const keys = this.#keys;
    const slots = this.#slots;
    let cell = this.#home(low, high);
    for (;;) {
      const slot = slots[cell] as number;
      if (slot === EMPTY || (keys.low(slot) === low && keys.high(slot) === high)) return cell;
      cell = (cell + 1) & this.#mask;
    }
  }

  /** Mixes both halves: Snowflake ids differ in few bits. Finalizer of MurmurHash3 (public domain). */
  #home(low: number, high: number): number {
    let hash = low ^ Math.imul(high, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & this.#mask;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2).fill(EMPTY);
    this.#mask = this.#slots.length - 1;
    for (const slot of old) {
      if (slot === EMPTY) continue;
      // All keys differ, so the first empty cell is the key's.
      let cell = this.#home(this.#keys.low(slot), this.#keys.high(slot));
      while (this.#slots[cell] !== EMPTY) cell = (cell + 1) & this.#mask;
      this.#slots[cell] = slot;
    }
  }
}
