import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startHeapTrim } from './heap-trim.ts';

const MIB = 1024 * 1024;
const LONG_MS = 60_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A thread whose heap and work the test sets; a collection leaves `live`. */
function fakeThread() {
  const thread = { heap: 20 * MIB, live: 20 * MIB, load: 0, collections: 0 };
  startHeapTrim({
    collect: () => {
      thread.collections++;
      thread.heap = thread.live;
    },
    heapBytes: () => thread.heap,
    busy: () => thread.load,
  });
  return thread;
}

test('trim: a heap that has grown is collected once the thread is calm', () => {
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

test('trim: a heap that has hardly grown is left alone', () => {
  const thread = fakeThread();
  thread.heap = 27 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(0);
});

test('trim: what lives on is not collected again and again', () => {
  const thread = fakeThread();
  thread.heap = 100 * MIB;
  thread.live = 100 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(1);
  thread.heap = 120 * MIB;
  vi.advanceTimersByTime(LONG_MS);
  expect(thread.collections).toBe(2);
});
