/** Raises the floors of long conversations now and then, as a limit on what is kept will do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConversationId, silentLogger } from '../../common/mod.ts';
import { openStore } from '../../state/mod.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';
import type { StoreProbe } from './store-probe.ts';

const EVERY_MS = 10_000;
/** Conversations with fewer entries keep all. */
const LONG = 300;
/** What stays above a raised floor. */
const KEPT = [100, 250] as const;

export class FloorRaiser implements AsyncDisposable {
  readonly #url: string;
  readonly #probe: StoreProbe;
  readonly #random: Random;
  readonly #history: History;
  readonly #done = new AbortController();
  readonly #work: Promise<void>;

  constructor(url: string, probe: StoreProbe, random: Random, history: History) {
    this.#url = url;
    this.#probe = probe;
    this.#random = random;
    this.#history = history;
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
      await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#raise();
      } catch {
        // PostgreSQL is away at times: that is what the run does to it.
      }
    }
  }

  async #raise(): Promise<void> {
    const long = await this.#probe.longConversations(LONG);
    if (long.length === 0) return;
    const { id, lastSeq } = this.#random.pick(long);
    await using store = await openStore(this.#url, { logger: silentLogger });
    const seq = await store.raiseFloor(id as ConversationId, lastSeq - this.#random.between(...KEPT));
    this.#history.write({ kind: 'floor', conversation: id.toString(), seq });
  }
}
