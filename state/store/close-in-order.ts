/** Orderly closing of a store: no call starts after it, and calls in flight are answered first. */
import { GochatError, once } from '../../common/mod.ts';
import type { DurableStore, StoreEngine } from './store.ts';

type Call = (...args: unknown[]) => Promise<unknown>;

/** Wraps the engine, which answers each call within a deadline, so that closing ends. */
export function closeInOrder(engine: StoreEngine): DurableStore {
  const underWay = new Set<Promise<unknown>>();
  let isClosed = false;
  const close = once(async () => {
    isClosed = true;
    await Promise.allSettled(underWay);
    await engine.close();
  });
  const calls = Object.entries(engine as unknown as Record<string, Call>).map(
    ([name, work]): [string, Call] => [
      name,
      async (...args) => {
        if (isClosed) throw new GochatError('STORE_UNAVAILABLE', { cause: new Error('the store is closed') });
        const call = work(...args);
        underWay.add(call);
        try {
          return await call;
        } finally {
          underWay.delete(call);
        }
      },
    ],
  );
  return { ...(Object.fromEntries(calls) as unknown as StoreEngine), close, [Symbol.asyncDispose]: close };
}
