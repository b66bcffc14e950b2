/** Open files: a reserve is held, and when the process can open no more, the gateway stops accepting until it can. */
import { closeSync, openSync } from 'node:fs';

/** Held for what must go on when nothing more can be opened: streams to state and registry, logs, the admin port. */
const RESERVED = 16;
/** So many must be free beyond the reserve before clients are accepted again. */
const HEADROOM = 16;
const LOOK_INTERVAL_MS = 200;
const ANY_FILE = '/dev/null';

/**
 * Notices that the process is at its limit of open files (EMFILE), or the machine at its own (ENFILE).
 *
 * It has to look: without it libuv accepts every client that comes and closes it at once, and tells nobody.
 */
export class Descriptors {
  readonly #onChange: (exhausted: boolean) => void;
  #held: number[] = [];
  #exhausted = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param onChange called with true when there are none left, with false when there are some again */
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

  /** Looks now; the timer does it. */
  look(): void {
    // One more than is held while all is well; room to begin again with when it is not.
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
      // On a platform without that file there is nothing to watch with.
      if (code !== 'EMFILE' && code !== 'ENFILE') this.#held.push(-1);
      return this.#held.at(-1) === -1;
    }
  }

  #release(keep: number): void {
    for (const fd of this.#held.splice(keep)) if (fd >= 0) closeSync(fd);
  }
}
