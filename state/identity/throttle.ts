/** Throttles guesses and other calls across all nodes, by token buckets in the hot state. */
import { GochatError } from '../../common/mod.ts';
import type { HotState } from '../hot/hot-state.ts';
import type { Rate } from '../limits.ts';

/** A bucket in the hot state. */
export interface Bucket {
  readonly key: string;
  readonly rate: Rate;
}

export class Throttle {
  readonly #hot: Pick<HotState, 'allow' | 'giveBack'>;

  constructor(hot: Pick<HotState, 'allow' | 'giveBack'>) {
    this.#hot = hot;
  }

  /** Makes a guess and refunds the charge unless it was wrong, that is, resolves with undefined. @throws GochatError RATE_LIMITED */
  async guess<T>(buckets: readonly Bucket[], guess: () => Promise<T | undefined>): Promise<T | undefined> {
    const taken: Bucket[] = [];
    let isWrong = false;
    try {
      for (const bucket of buckets) {
        await this.allow(bucket);
        taken.push(bucket);
      }
      const result = await guess();
      isWrong = result === undefined;
      return result;
    } finally {
      if (!isWrong)
        for (const { key, rate } of taken) await this.#hot.giveBack(key, rate.perSecond, rate.burst);
    }
  }

  /** Charges a bucket. @throws GochatError RATE_LIMITED */
  async allow({ key, rate }: Bucket): Promise<void> {
    const { allowed, retryAfterMs } = await this.#hot.allow(key, rate.perSecond, rate.burst);
    if (!allowed) throw new GochatError('RATE_LIMITED', { retryAfterMs });
  }
}
