/** The end of a run, without faults: messages now reach everyone, and reports reach the store. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from './driver.ts';
import type { History } from './history.ts';
import type { StoreProbe } from './store-probe.ts';
import type { Expectation } from './workload.ts';

export interface QuiesceOptions {
  /** Sends a command to each process of clients. Resolves with the sum of the results. */
  readonly tell: (command: Command) => Promise<number>;
  readonly probe: StoreProbe;
  readonly history: History;
  /** Time for all to receive the messages of a round, ms. */
  readonly deadlineMs: number;
}

/** Rounds with one message per conversation, which no later message helps on. */
const ROUNDS = 5;
/** A report lost with its connection is not lost every time. */
const MAX_ROUNDS = 8;
const SETTLE_MS = 5000;
const POLL_MS = 200;

/** Resolves with the expected view of everyone. */
export async function quiesce(options: QuiesceOptions): Promise<Expectation> {
  const { tell, probe, history, deadlineMs } = options;
  const since = Date.now();
  let expected = await probe.expectation();
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    await tell({ do: 'say', conversations: speakers(expected, round), deadlineMs });
    expected = await probe.expectation();
    // Missing messages have been recorded.
    if ((await tell({ do: 'converge', expected, deadlineMs })) > 0) return expected;
    if (round >= ROUNDS && (await settle(options, expected))) break;
  }
  history.write({ kind: 'quiescent', since });
  await watched(options, expected);
  return expected;
}

/** Waits until what clients watch is shown as it is; what is not then is recorded. */
async function watched({ tell, probe }: QuiesceOptions, expected: Expectation): Promise<void> {
  const end = performance.now() + SETTLE_MS;
  for (let isLast = false; ; isLast = performance.now() > end) {
    const wrong = await tell({ do: 'watched', expected, cursors: await probe.noteCursors(), isLast });
    if (wrong === 0 || isLast) return;
    await sleep(POLL_MS);
  }
}

/** Gives each conversation to one of its members. */
function speakers({ conversations }: Expectation, round: number): Record<string, string[]> {
  const members = new Map<string, string[]>();
  for (const [user, ids] of Object.entries(conversations))
    for (const id of Object.keys(ids)) members.set(id, [...(members.get(id) ?? []), user]);
  const given: Record<string, string[]> = {};
  for (const [id, users] of members) (given[users[round % users.length] as string] ??= []).push(id);
  return given;
}

/** Waits until the store's cursors match the clients'. Returns whether they do. */
async function settle({ tell, probe }: QuiesceOptions, expected: Expectation): Promise<boolean> {
  const end = performance.now() + SETTLE_MS;
  do {
    if ((await tell({ do: 'settle', expected, cursors: await probe.noteCursors() })) === 0) return true;
    await sleep(POLL_MS);
  } while (performance.now() < end);
  return false;
}
