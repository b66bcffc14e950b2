import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startHeapTrim } from './heap-trim.ts';

const MIB = 1024 * 1024;
const COLLECT_MS = 20;
/** Long beside the rest after one collection, 10 s. */
const LONG_MS = 60_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A thread whose heap and work the test sets; a collection leaves `live`, and then `regrow` is allocated at once. */
function fakeThread() {
  const thread = { heap: 20 * MIB, live: 20 * MIB, regrow: 0, load: 0, collections: 0, releases: 0 };
  const collect = () => {
    thread.collections++;
    thread.heap = thread.live;
    setTimeout(() => (thread.heap += thread.regrow), 1);
  };
  startHeapTrim(
    { collect, release: () => thread.releases++ },
    {
      heapBytes: () => thread.heap,
      busy: () => thread.load,
      now: () => Date.now() + thread.collections * COLLECT_MS,
    },
  );
  return thread;
}

test('trim: a heap that has grown is collected once the thread is idle', () => {
  const thread = fakeThread();
  thread.heap = 70 * MIB;
  thread.load = 0.9;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(0);
  thread.load = 0.05;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(1);
  expect(thread.heap).toBe(20 * MIB);
});

test('trim: the allocator is asked once for each collection, after it', () => {
  const thread = fakeThread();
  thread.heap = 70 * MIB;
  while (thread.collections === 0) vi.advanceTimersToNextTimer();
  expect(thread.releases).toBe(0);
  vi.advanceTimersByTime(LONG_MS);
  expect([thread.collections, thread.releases]).toEqual([1, 1]);
});

test('trim: buffers count like objects', () => {
  let collections = 0;
  startHeapTrim({ collect: () => collections++, release: undefined }, { busy: () => 0 });
  // Beside the heap, as what sockets read is.
  const buffers = Array.from({ length: 64 }, () => new Uint8Array(MIB));
  vi.advanceTimersByTime(LONG_MS);
  expect([collections > 0, buffers.length]).toEqual([true, 64]);
});

test('trim: a heap that grows is left alone until it stops growing', () => {
  const thread = fakeThread();
  for (let look = 0; look < 30; look++) {
    thread.heap += 2 * MIB;
    vi.advanceTimersByTime(2000);
  }
  expect(thread.collections).toBe(0);
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(1);
});

test('trim: a heap that has hardly grown is left alone', () => {
  const thread = fakeThread();
  thread.heap = 27 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(0);
});

test('trim: what survives is not collected again and again', () => {
  const thread = fakeThread();
  thread.heap = 100 * MIB;
  thread.live = 100 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(1);
  thread.heap = 120 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(2);
});

test('trim: memory returned after the collection counts as returned by it', () => {
  const thread = fakeThread();
  thread.heap = 70 * MIB;
  thread.live = 70 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  thread.heap = 30 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  thread.heap = 70 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(2);
});

test('trim: an idle thread whose heap grows again is collected ever more rarely, until it has been busy', () => {
  const thread = fakeThread();
  thread.regrow = 50 * MIB;
  thread.heap = 70 * MIB;
  vi.advanceTimersByTime(10 * LONG_MS);
  const whileIdle = thread.collections;
  thread.load = 0.9;
  vi.advanceTimersByTime(10 * LONG_MS);
  expect(thread.collections).toBe(whileIdle);
  thread.load = 0.05;
  vi.advanceTimersByTime(LONG_MS);
  const [minutes, first] = [10, thread.collections - whileIdle];
  expect(first).toBeGreaterThan(2);
  expect(whileIdle).toBeLessThan((first * minutes) / 3);
});
