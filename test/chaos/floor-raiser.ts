/** Raises the floors of long conversations now and then, as a limit on what is kept will do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConversationId, silentLogger } from '../../common/mod.ts';
import { openStore } from '../../state/mod.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';
import type { StoreProbe } from './store-probe.ts';

export interface FloorRaises {
  /** Interval, ms. */
  readonly everyMs: number;
  /** Conversations with fewer entries keep all. */
  readonly long: number;
  /** Fewest and most entries above a raised floor. */
  readonly kept: readonly [number, number];
  /**
   * Younger entries stay, ms. A repetition of what has sunk is not recognised, and clients repeat what has no answer yet:
   * a limit on what is kept must be longer than they do. @default 0
   */
  readonly youngMs?: number;
}

export const FLOOR_RAISES: FloorRaises = { everyMs: 10_000, long: 300, kept: [100, 250], youngMs: 120_000 };

export interface FloorRaiserOptions {
  /** URL of the store. */
  readonly url: string;
  readonly probe: StoreProbe;
  readonly random: Random;
  readonly history: History;
  readonly raises: FloorRaises;
}

export class FloorRaiser implements AsyncDisposable {
  readonly #options: FloorRaiserOptions;
  readonly #done = new AbortController();
  readonly #work: Promise<void>;

  constructor(options: FloorRaiserOptions) {
    this.#options = options;
    this.#work = this.#run();
  }

  /** Raises no more; resolves when none is under way. */
  async stop(): Promise<void> {
    this.#done.abort();
    await this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#done;
    while (!signal.aborted) {
      await sleep(this.#options.raises.everyMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#raise();
      } catch {
        // PostgreSQL is away at times: that is what the run does to it.
      }
    }
  }

  async #raise(): Promise<void> {
    const { url, probe, random, history, raises } = this.#options;
    const long = await probe.longConversations(raises.long, raises.youngMs ?? 0);
    if (long.length === 0) return;
    const { id, lastSeq, oldSeq } = random.pick(long);
    await using store = await openStore(url, { logger: silentLogger });
    const floor = Math.min(oldSeq, lastSeq - random.between(...raises.kept));
    const seq = await store.raiseFloor(id as ConversationId, floor);
    history.write({ kind: 'floor', conversation: id.toString(), seq });
  }
}
