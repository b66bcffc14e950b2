/** The stall watch: notices that this process stood still, as after SIGSTOP or a pause of its virtual machine. */

/** Longer than a tick of a busy event loop. */
const STALL_MS = 2_000;
const TICK_MS = 250;

/**
 * Calls back when the event loop has not turned for 2 s.
 *
 * Input received meanwhile is late: its sender may have given up on this process and sent the same to another one. Input
 * can be read before timers run, so its readers call `check` first; the timer finds a stall in the middle of a tick.
 */
export class StallWatch {
  readonly #onStall: (stalledMs: number) => void;
  #seenMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(onStall: (stalledMs: number) => void) {
    this.#onStall = onStall;
  }

  start(): void {
    this.#seenMs = performance.now();
    this.#timer ??= setInterval(() => this.check(), TICK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Calls back if there was a stall; nothing before `start` and after `stop`. */
  check(): void {
    if (this.#timer === undefined) return;
    const nowMs = performance.now();
    const stalledMs = nowMs - this.#seenMs;
    this.#seenMs = nowMs;
    if (stalledMs > STALL_MS) this.#onStall(stalledMs);
  }
}
