/** Gives back the memory that a crowd leaves behind. */
import { performance } from 'node:perf_hooks';
import { heapBytes as ownHeapBytes, type Memory } from './internals/memory.ts';

/** How often it looks. */
const LOOK_MS = 2000;
/** A thread that was busy for no more than this part of the time since the last look is calm. */
const CALM = 0.2;
/** A heap that has grown by more since the last look has work. */
const STILL_BYTES = 1024 * 1024;
/** Looks at which it was calm and its heap still: a crowd may come back after a moment, and needs it then. */
const CALM_LOOKS = 5;
/** Heap beyond what the last collection left that is worth another one: some 2,000 logins. */
const MIN_GROWTH_BYTES = 8 * 1024 * 1024;
/** How many times longer than it took nothing is collected: at most a five-hundredth of the time goes into it. */
const REST_FACTOR = 500;
/** Where a calm thread needs the memory again and again, that becomes ever more, up to so many times more. */
const MAX_PATIENCE = 1024;

export interface HeapTrimOptions {
  /** Returns what V8 holds for objects, in use or not, and what buffers hold beside it, bytes. @default of the calling thread */
  readonly heapBytes?: () => number;
  /** Returns the part of the time since the last call that the thread was busy. @default of its event loop */
  readonly busy?: () => number;
  /** Monotonic, ms. @default performance.now */
  readonly now?: () => number;
}

/**
 * Watches the calling thread's heap: once it has grown, and grows no more, and the thread is calm, its garbage is
 * collected and what is free is given back to the system, buffers included, of which the allocator keeps more the more
 * threads have taken them by turns.
 *
 * V8 collects when it needs room, and keeps what it got. What ten thousand logins leave behind would stay resident
 * until the next ten thousand come, which may be never. It stops the thread for some 3 ms per 1,000 connections.
 */
export function startHeapTrim(memory: Memory | undefined, options: HeapTrimOptions = {}): void {
  const { heapBytes = ownHeapBytes, busy = ownLoop() } = options;
  const { now = () => performance.now() } = options;
  if (memory === undefined) return;
  const { collect, release } = memory;
  let left = heapBytes();
  let before = left;
  let calm = 0;
  let restUntil = 0;
  let patience = 1;
  let isReleaseDue = false;
  setInterval(() => {
    // A look later, as buffers are freed behind the collection.
    if (isReleaseDue) release?.();
    isReleaseDue = false;
    const heap = heapBytes();
    const isBusy = busy() > CALM;
    calm = isBusy || heap - before > STILL_BYTES ? 0 : calm + 1;
    before = heap;
    // V8 may have given something back by itself.
    left = Math.min(left, heap);
    if (isBusy) patience = 1;
    const begin = now();
    if (calm < CALM_LOOKS || begin < restUntil || heap - left < MIN_GROWTH_BYTES) return;
    collect();
    isReleaseDue = true;
    left = heapBytes();
    const end = now();
    restUntil = end + (end - begin) * REST_FACTOR * patience;
    patience = Math.min(patience * 2, MAX_PATIENCE);
  }, LOOK_MS).unref();
}

function ownLoop(): () => number {
  let seen = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, seen);
    seen = now;
    return utilization;
  };
}
