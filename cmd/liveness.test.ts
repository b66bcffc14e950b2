import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchLiveness } from './liveness.ts';

beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => vi.useRealTimers());

test('a server that is not alive for 30 s: reported once; one that recovers before: not', async () => {
  let problem: string | undefined = 'no worker is alive';
  const reasons: string[] = [];
  const end = watchLiveness('gateway', [{}, { liveness: () => problem }], (reason) => reasons.push(reason));
  vi.advanceTimersByTime(29_000);
  problem = undefined;
  vi.advanceTimersByTime(1000);
  problem = 'no worker is alive';
  vi.advanceTimersByTime(29_000);
  expect(reasons).toEqual([]);
  vi.advanceTimersByTime(60_000);
  expect(reasons).toEqual(['no worker is alive']);
  await end();
});
