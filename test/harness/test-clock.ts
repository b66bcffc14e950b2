/** A clock controlled by a test: deadlines pass because the test says so, not because the machine is slow. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { vi } from 'vitest';

/** Step of the clock; between steps the sockets are served. */
const STEP_MS = 20;
const TURNS = 4;
/** After so many steps this thread sleeps: the kernel and other processes need some true time too. */
const STEPS_AWAKE = 5;

/**
 * The timers and the monotonic clock of this thread from its making on, until it is disposed of. They go on by
 * themselves, a step for each step of true time that this thread was awake for: a stall does not make them jump.
 * Sockets, other processes, and what `node:timers` was imported for keep the true time.
 */
export class TestClock implements Disposable {
  #isDisposed = false;
  #steps = 0;

  /** @param goesOn false: it stands still until it is moved */
  constructor({ goesOn = true } = {}) {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
      shouldAdvanceTime: goesOn,
      advanceTimeDelta: STEP_MS,
    });
  }

  /** Advances the clock. */
  async advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      vi.advanceTimersByTime(Math.min(left, STEP_MS));
      for (let turn = 0; turn < TURNS; turn++) await setImmediate();
      if (++this.#steps % STEPS_AWAKE === 0) await sleep(1);
    }
  }

  /** Advances the clock until an event, which has a deadline in true time. Resolves with its result. */
  async until<T>(happens: Promise<T>): Promise<T> {
    const over = new AbortController();
    const stop = () => over.abort();
    happens.then(stop, stop);
    while (!this.#isDisposed && !over.signal.aborted) await this.advance(STEP_MS);
    return happens;
  }

  /** Jumps, as after a stall of the event loop: timers are late, and pending input is not read yet. */
  async stall(ms: number): Promise<void> {
    // Timers have their turn before the sockets.
    await sleep(0);
    vi.advanceTimersByTime(ms);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    vi.useRealTimers();
  }
}
