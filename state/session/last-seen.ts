/** Last seen: notes when users went offline, and writes it in batches. */
import type { Logger, UserId } from '../../common/mod.ts';
import type { PresenceStore, Seen } from '../store/store.ts';

/** Interval of the writes. */
const WRITE_MS = 1000;
/** Most users of one write. */
const MAX_BATCH = 2000;
/** Most users that wait; beyond, the oldest are not written: they keep an earlier time. */
const MAX_WAITING = 200_000;

export interface LastSeenOptions {
  readonly store: Pick<PresenceStore, 'noteSeen'>;
  readonly logger: Logger;
}

/**
 * Every node sees a user's last device end, and each writes it: if it were one node alone, its crash together with a gateway's
 * would lose all those times. The store takes the first, and others only if they are clearly later.
 */
export class LastSeen {
  readonly #options: LastSeenOptions;
  /** Oldest notes first. */
  readonly #waiting = new Map<UserId, number>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failing = false;

  constructor(options: LastSeenOptions) {
    this.#options = options;
  }

  /** A user was there at a Unix time, ms. */
  note(user: UserId, atMs: number): void {
    this.#waiting.delete(user);
    this.#waiting.set(user, atMs);
    if (this.#waiting.size > MAX_WAITING)
      for (const oldest of this.#waiting.keys()) {
        this.#waiting.delete(oldest);
        break;
      }
    this.#timer ??= setTimeout(() => void this.flush(), WRITE_MS).unref();
  }

  /** Returns what is noted of a user and not yet stored. */
  noted(user: UserId): number | undefined {
    return this.#waiting.get(user);
  }

  /** Resolves when all that is noted was written, or writing has failed. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => void this.flush(), WRITE_MS).unref();
    });
    return this.#writing;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  async #write(): Promise<void> {
    const { store, logger } = this.#options;
    try {
      while (this.#waiting.size > 0) {
        const batch: Seen[] = [];
        for (const [user, atMs] of this.#waiting) {
          if (batch.length === MAX_BATCH) break;
          batch.push({ user, atMs });
        }
        await store.noteSeen(batch);
        for (const { user, atMs } of batch) if (this.#waiting.get(user) === atMs) this.#waiting.delete(user);
      }
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) logger.warn({ err: error }, 'cannot write when users were last seen');
      this.#failing = true;
    }
  }
}
