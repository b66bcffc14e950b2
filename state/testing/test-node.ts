/** Test support: a state node on an in-memory store, with workers on fake streams. */
import { GochatError, silentLogger, Snowflake } from '../../common/mod.ts';
import { openHotState } from '../hot/mod.ts';
import type { HotState } from '../hot/mod.ts';
import { DEFAULT_LIMITS, type StateLimits } from '../limits.ts';
import { type IdSource, StateNode } from '../node.ts';
import { FakeWorker } from './fake-stream.ts';
import { openTestStore, type TestStore } from './test-store.ts';

export interface TestNode {
  readonly node: StateNode;
  readonly store: TestStore;
  readonly hot: HotState;
  readonly ids: TestIds;
  readonly worker: () => FakeWorker;
}

/** Ids of a node that can lose its number. */
export class TestIds implements IdSource {
  available = true;
  readonly #snowflake: Snowflake;

  constructor(node: number) {
    this.#snowflake = new Snowflake(node);
  }

  next(): bigint {
    if (!this.available) throw new GochatError('STATE_UNAVAILABLE');
    return this.#snowflake.next();
  }

  take(count: number): bigint[] {
    return Array.from({ length: count }, () => this.next());
  }
}

/** Makes a node that leaves nothing after the test. */
export async function testNode(limits: Partial<StateLimits> = {}): Promise<TestNode> {
  const store = await openTestStore();
  const hot = await openHotState('memory://', { logger: silentLogger });
  const ids = new TestIds(1);
  const node = new StateNode({
    store,
    hot,
    ids,
    limits: { ...DEFAULT_LIMITS, ...limits },
    logger: silentLogger,
  });
  return { node, store, hot, ids, worker: () => new FakeWorker((stream) => node.accept(stream)) };
}

/** Runs pending promises and immediates. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
