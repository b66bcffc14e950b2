import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StallWatch } from './stall-watch.ts';
import { testNode } from './testing/test-node.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Stops the monotonic clock; the returned function moves it. */
function clock(): (ms: number) => void {
  let nowMs = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  return (ms) => {
    nowMs += ms;
  };
}

test('a stall: noticed by whoever reads input, and by the timer', () => {
  const pass = clock();
  const onStall = vi.fn<(stalledMs: number) => void>();
  const watch = new StallWatch(onStall);
  watch.start();
  pass(2001);
  watch.check();
  expect(onStall.mock.calls).toEqual([[2001]]);
  watch.check();
  pass(5000);
  vi.advanceTimersToNextTimer();
  expect(onStall.mock.calls).toEqual([[2001], [5000]]);
  watch.stop();
  pass(5000);
  watch.check();
  expect(onStall).toHaveBeenCalledTimes(2);
});

test('a busy turn, and an idle process: no stall', () => {
  const pass = clock();
  const onStall = vi.fn<(stalledMs: number) => void>();
  const watch = new StallWatch(onStall);
  watch.start();
  for (let turn = 0; turn < 100; turn++) {
    pass(2000);
    vi.advanceTimersToNextTimer();
  }
  expect(onStall).not.toHaveBeenCalled();
});

test('a node that stood still: ends its streams instead of committing what came meanwhile', async () => {
  const pass = clock();
  const { node, store, worker } = await testNode();
  node.start();
  await store.addRoom(7n, 'room', [1n]);
  const [a, b] = [worker(), worker()];
  a.attach(1, 1n);
  pass(13_000);
  a.send(1, 1, 7n, 'late');
  expect([a, b].map(({ stream }) => stream.isClosed)).toEqual([true, true]);
  await node.drain();
  expect(a.lines()).toEqual(['attached 1']);
  expect(store.log(7n)).toEqual([]);
  node.stop();
});
