/** Returns the memory that a burst of logins has left on the heap to the system. */
import { performance } from 'node:perf_hooks';
import { heapBytes as ownHeapBytes, type Memory } from './internals/memory.ts';

/** Interval of the checks. */
const CHECK_MS = 2000;
/** Largest event loop utilisation since the last check at which a thread counts as idle. */
const IDLE_UTILIZATION = 0.2;
/** Largest growth of the heap since the last check at which a thread counts as idle. */
const IDLE_GROWTH_BYTES = 1024 * 1024;
/** Idle checks in a row required before a collection: another burst may need the memory at once. */
const IDLE_CHECKS = 5;
/** Growth since the last collection that is worth another one: some 2,000 logins. */
const MIN_GROWTH_BYTES = 8 * 1024 * 1024;
/** Most of the time that may go into collections. */
const MAX_GC_SHARE = 1 / 500;
/** Each collection doubles the pause before the next one, up to this factor; a busy thread resets it. */
const MAX_BACKOFF = 1024;

export interface HeapTrimOptions {
  /** Returns the size of V8's heap, used or not, plus the buffers outside it, bytes. @default of the calling thread */
  readonly heapBytes?: () => number;
  /** Returns the share of the time since the last call that the thread was busy. @default of its event loop */
  readonly busy?: () => number;
  /** Returns monotonic time, ms. @default performance.now */
  readonly now?: () => number;
}

/**
 * Watches the calling thread's heap. Once it has grown and the thread is idle, its garbage is collected and free memory
 * is returned to the system. That includes freed buffers: the allocator keeps some for each thread that has used them.
 *
 * V8 collects when it needs room and keeps what it has. Without this the garbage of ten thousand logins would stay
 * resident until the next ten thousand. A collection stops the thread for some 3 ms per 1,000 connections.
 */
export function startHeapTrim(memory: Memory | undefined, options: HeapTrimOptions = {}): void {
  const { heapBytes = ownHeapBytes, busy = ownLoop() } = options;
  const { now = () => performance.now() } = options;
  if (memory === undefined) return;
  const { collect, release } = memory;
  let left = heapBytes();
  let before = left;
  let idleChecks = 0;
  let pausedUntil = 0;
  let backoff = 1;
  let isReleaseDue = false;
  setInterval(() => {
    // One check later, as buffers are freed after the collection.
    if (isReleaseDue) release?.();
    isReleaseDue = false;
    const heap = heapBytes();
    const isBusy = busy() > IDLE_UTILIZATION;
    idleChecks = isBusy || heap - before > IDLE_GROWTH_BYTES ? 0 : idleChecks + 1;
    before = heap;
    // V8 may have released memory by itself.
    left = Math.min(left, heap);
    if (isBusy) backoff = 1;
    const begin = now();
    if (idleChecks < IDLE_CHECKS || begin < pausedUntil || heap - left < MIN_GROWTH_BYTES) return;
    collect();
    isReleaseDue = true;
    left = heapBytes();
    const end = now();
    pausedUntil = end + ((end - begin) / MAX_GC_SHARE) * backoff;
    backoff = Math.min(backoff * 2, MAX_BACKOFF);
  }, CHECK_MS).unref();
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
