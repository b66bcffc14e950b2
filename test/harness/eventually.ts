/** Waits for what a test expects to become so; the one helper for it beside `expect.poll`. */
import { setTimeout } from 'node:timers/promises';

/** Far beyond what a busy machine needs; only a test that fails waits for it. */
const DEADLINE_MS = 60_000;
const INTERVAL_MS = 10;

/**
 * Asks every 10 ms until `ask` returns anything but false and does not throw; resolves with what it returned.
 *
 * @param what what is waited for, for the error at the deadline; the text of `ask` where it is left out
 * @throws Error at the deadline, with the last error of `ask` as its cause
 */
export async function eventually<T>(ask: () => T | Promise<T>): Promise<T>;
export async function eventually<T>(what: string, ask: () => T | Promise<T>, deadlineMs?: number): Promise<T>;
export async function eventually<T>(
  what: string | (() => T | Promise<T>),
  ask = what as () => T | Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await ask();
      if (answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${String(what)}`, { cause });
    await setTimeout(INTERVAL_MS);
  }
}
