/** A reserve of file descriptors: the gateway stops accepting while the process cannot open more files. */
import { closeSync, openSync } from 'node:fs';

/** Descriptors kept for streams to state and registry, logs and the admin port. */
const RESERVED = 16;
/** Descriptors that must be free beyond the reserve before clients are accepted again. */
const HEADROOM = 16;
const LOOK_INTERVAL_MS = 200;
const ANY_FILE = '/dev/null';

/**
 * Detects that the process (EMFILE) or the machine (ENFILE) is at its limit of open files.
 *
 * It polls: at the limit libuv accepts each client and closes it at once, without reporting it.
 */
export class Descriptors {
  readonly #onChange: (exhausted: boolean) => void;
  #held: number[] = [];
  #exhausted = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param onChange called with true when there are none left, with false when there are again */
  constructor(onChange: (exhausted: boolean) => void) {
    this.#onChange = onChange;
  }

  get exhausted(): boolean {
    return this.#exhausted;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.look();
    this.#timer = setInterval(() => this.look(), LOOK_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#release(0);
  }

  /** Checks now; called by the timer. */
  look(): void {
    // Normally one more than the reserve; after exhaustion enough to start accepting again.
    const wanted = this.#exhausted ? RESERVED + HEADROOM : RESERVED + 1;
    while (this.#held.length < wanted && this.#open());
    const enough = this.#held.length === wanted;
    this.#release(enough ? RESERVED : 0);
    if (enough !== this.#exhausted) return;
    this.#exhausted = !enough;
    this.#onChange(this.#exhausted);
  }

  #open(): boolean {
    try {
      this.#held.push(openSync(ANY_FILE, 'r'));
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Other platforms may not have this file, so there is nothing to probe with.
      if (code !== 'EMFILE' && code !== 'ENFILE') this.#held.push(-1);
      return this.#held.at(-1) === -1;
    }
  }

  #release(keep: number): void {
    for (const fd of this.#held.splice(keep)) if (fd >= 0) closeSync(fd);
  }
}
