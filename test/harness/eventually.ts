/** Waiting in tests, for a condition or an event, with a deadline whose error says for what. */
import { clearTimeout, setTimeout } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';

/** Far beyond what a busy machine needs; only a failing test waits that long. */
const DEADLINE_MS = 60_000;
const INTERVAL_MS = 10;

/**
 * Calls `ask` every 10 ms until it returns anything but false and does not throw. Resolves with its result.
 *
 * @param what what it waits for, for the error at the deadline; the text of `ask` if omitted
 * @throws Error at the deadline, with the last error of `ask` as its cause
 */
export async function eventually<T>(ask: () => T | Promise<T>): Promise<T>;
export async function eventually<T>(what: string, ask: () => T | Promise<T>, deadlineMs?: number): Promise<T>;
export async function eventually<T>(
  what: string | (() => T | Promise<T>),
  ask = what as () => T | Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  // Not on the monotonic clock, which a TestClock moves.
  const end = Date.now() + deadlineMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await ask();
      if (answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${String(what)}`, { cause });
    await sleep(INTERVAL_MS);
  }
}

/**
 * Resolves with the result of `event`.
 *
 * @param what what it waits for, for the error at the deadline
 * @throws Error at the deadline
 */
export async function within<T>(
  what: string | (() => string),
  event: Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`not within ${deadlineMs} ms: ${typeof what === 'string' ? what : what()}`));
  }, deadlineMs);
  try {
    return await Promise.race([event, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
