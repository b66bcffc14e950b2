/** The eraser: removes in the background what is hidden already, such as deleted rooms and retracted ranges. */
import { Backoff, type Logger } from '../../common/mod.ts';
import type { Store } from '../store/store.ts';

/** Rows erased per transaction, so that nobody waits long for it. */
const ERASE_ROWS = 1000;
/** Longest wait for a failing store, ms. */
const MAX_RETRY_MS = 5000;
/** Interval of the search for what has expired, and for what a stopped node has left: that must be gone within 10 s. ms. */
const AGAIN_MS = 5000;

export class Eraser {
  readonly #store: Pick<Store, 'erase'>;
  readonly #logger: Logger;
  readonly #backoff = new Backoff({ baseMs: 100, maxMs: MAX_RETRY_MS });
  #isDue = false;
  #erasing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(store: Pick<Store, 'erase'>, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Erases until nothing is left, beginning now; what an earlier run has left, too. */
  erase(): void {
    this.#isDue = true;
    if (this.#erasing !== undefined || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#erasing = this.#erase().finally(() => {
      this.#erasing = undefined;
    });
  }

  /** Stops erasing; resolves when no erasure is in flight. Other nodes or the next start do the rest. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#erasing;
  }

  async #erase(): Promise<void> {
    let againMs = AGAIN_MS;
    try {
      while (this.#isDue && !this.#stopped) {
        this.#isDue = false;
        while (!this.#stopped && (await this.#store.erase(ERASE_ROWS, Date.now())));
      }
      this.#backoff.reset();
    } catch (error) {
      // What is to be erased is marked in the store, so nothing is lost.
      againMs = this.#backoff.next();
      this.#logger.warn({ err: error, againMs }, 'erasing was interrupted');
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.erase(), againMs).unref();
  }
}
