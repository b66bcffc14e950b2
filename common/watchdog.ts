/** The watchdog: ends this process when its event loop has not turned for 30 s, so that its supervisor starts it anew. */
import { Worker } from 'node:worker_threads';
import type { WatchdogData } from './watchdog-thread.ts';

/** How long a process may fail its own liveness. s. */
export const LIVENESS_S = 30;
const BEAT_MS = 1000;
/** The thread keeps a counter; V8's defaults reserve much more. */
const THREAD_LIMITS = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './watchdog-thread.ts' : './watchdog-thread.js',
  import.meta.url,
);

/**
 * Watches the event loop of the calling thread from a thread of its own, which kills the process (SIGKILL: a blocked
 * event loop runs no exit handler).
 *
 * It counts its own ticks and not the time: a process that was frozen as a whole (SIGSTOP, a paused machine) goes on.
 *
 * @param limitS longest stall
 * @returns a function that ends the watch
 */
export function startWatchdog(name: string, limitS = LIVENESS_S): () => Promise<void> {
  const beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const workerData: WatchdogData = { name, beats, limit: limitS, tickMs: BEAT_MS };
  const thread = new Worker(THREAD, {
    workerData,
    name: 'watchdog',
    resourceLimits: THREAD_LIMITS,
    execArgv: [],
  });
  thread.unref();
  const timer = setInterval(() => Atomics.add(beats, 0, 1), BEAT_MS / 2).unref();
  return async () => {
    clearInterval(timer);
    await thread.terminate();
  };
}
