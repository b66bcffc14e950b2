/** Deadlines of many items on one timer: a hashed timing wheel (Varghese and Lauck, 1987) with intrusive lists. */

/** The wheel's fields in each item; initially `undefined`, 0 and `undefined`. */
export interface WheelItem<T> {
  wheelNext: T | undefined;
  wheelPrevious: T | undefined;
  /** Tick at which the item is due; 0: not in the wheel; -1: being expired. */
  wheelDue: number;
}

const FIRING = -1;

export interface TimingWheelOptions<T> {
  readonly tickMs: number;
  /** A power of two. Deadlines beyond `slots × tickMs` work and cost one check per round. */
  readonly slots: number;
  /**
   * Called when an item's deadline has passed. Returns the time until the next call, ms; 0 for none. So activity costs
   * nothing here: an item that was active re-arms when its old deadline passes.
   */
  readonly expire: (item: T) => number;
}

/**
 * Schedules items in O(1) without a timer, a closure or an allocation per item.
 *
 * A deadline is never early and at most two ticks late.
 */
export class TimingWheel<T extends WheelItem<T>> {
  readonly #tickMs: number;
  readonly #mask: number;
  readonly #heads: (T | undefined)[];
  readonly #expire: (item: T) => number;
  readonly #due: T[] = [];
  #tick = 1;
  /** Tick up to which items have been checked. */
  #checked = 1;
  #size = 0;
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TimingWheelOptions<T>) {
    if (options.slots < 2 || (options.slots & (options.slots - 1)) !== 0)
      throw new RangeError(`${options.slots} slots are not a power of two`);
    this.#tickMs = options.tickMs;
    this.#mask = options.slots - 1;
    this.#heads = Array.from({ length: options.slots });
    this.#expire = options.expire;
  }

  /** Coarse clock: starts at 1, grows by one per tick. */
  get tick(): number {
    return this.#tick;
  }

  get size(): number {
    return this.#size;
  }

  /** Returns the least time since a tick, ms. */
  since(tick: number): number {
    return Math.max(0, this.#tick - tick - 1) * this.#tickMs;
  }

  /** Sets the item's deadline, replacing any earlier one. */
  schedule(item: T, delayMs: number): void {
    if (item.wheelDue > 0) this.#unlink(item);
    // Plus one, because part of the current tick has passed.
    const due = this.#tick + Math.ceil(delayMs / this.#tickMs) + 1;
    const slot = due & this.#mask;
    const head = this.#heads[slot];
    item.wheelDue = due;
    item.wheelPrevious = undefined;
    item.wheelNext = head;
    if (head !== undefined) head.wheelPrevious = item;
    this.#heads[slot] = item;
    this.#size++;
  }

  /** Brings the item's deadline forward; no effect if it is sooner already. */
  hasten(item: T, delayMs: number): void {
    const due = this.#tick + Math.ceil(delayMs / this.#tickMs) + 1;
    if (item.wheelDue <= 0 || item.wheelDue > due) this.schedule(item, delayMs);
  }

  /** Removes the item. Idempotent. */
  cancel(item: T): void {
    if (item.wheelDue > 0) this.#unlink(item);
    item.wheelDue = 0;
  }

  /** Advances the clock and expires what is due. */
  advance(ticks: number): void {
    for (let left = ticks; left > 0; left--) {
      this.#tick++;
      this.#expireDue();
    }
  }

  /** Starts the one timer. */
  start(): void {
    if (this.#timer) return;
    this.#startedMs = performance.now() - this.#tick * this.#tickMs;
    this.#timer = setInterval(() => {
      this.#tick = Math.max(this.#tick, Math.floor((performance.now() - this.#startedMs) / this.#tickMs));
      // After pending reads: if the event loop has stalled, what came meanwhile counts.
      setImmediate(this.#onImmediate);
    }, this.#tickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  readonly #onImmediate = (): void => {
    if (this.#timer !== undefined) this.#expireDue();
  };

  #expireDue(): void {
    // After a long stall each slot is checked once.
    let tick = Math.max(this.#checked, this.#tick - this.#mask - 1);
    while (tick < this.#tick) this.#expireSlot(++tick & this.#mask);
    this.#checked = this.#tick;
  }

  #expireSlot(slot: number): void {
    const due = this.#due;
    for (let item = this.#heads[slot]; item !== undefined; ) {
      const next: T | undefined = item.wheelNext;
      if (item.wheelDue <= this.#tick) {
        this.#unlink(item);
        item.wheelDue = FIRING;
        due.push(item);
      }
      item = next;
    }
    for (const item of due) {
      // Another item's expiry may have cancelled or moved this one.
      if (item.wheelDue !== FIRING) continue;
      item.wheelDue = 0;
      const delayMs = this.#expire(item);
      if (delayMs > 0 && item.wheelDue === 0) this.schedule(item, delayMs);
    }
    due.length = 0;
  }

  #unlink(item: T): void {
    const { wheelNext: next, wheelPrevious: previous } = item;
    if (previous === undefined) this.#heads[item.wheelDue & this.#mask] = next;
    else previous.wheelNext = next;
    if (next !== undefined) next.wheelPrevious = previous;
    item.wheelNext = undefined;
    item.wheelPrevious = undefined;
    this.#size--;
  }
}
