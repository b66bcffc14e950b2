/** The end of a run, when nothing is done to the system any more: what is said now reaches everybody, and is told the store. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from './driver.ts';
import type { History } from './history.ts';
import type { StoreProbe } from './store-probe.ts';
import type { Expectation } from './workload.ts';

export interface QuiesceOptions {
  /** Has each process of clients do something; resolves with the sum of their results. */
  readonly tell: (command: Command) => Promise<number>;
  readonly probe: StoreProbe;
  readonly history: History;
  /** For all to have what was said, each time, ms. */
  readonly deadlineMs: number;
}

/** In each of them one message is said in each conversation, and no further one helps it on. */
const ROUNDS = 5;
/** A report lost with its connection is not lost every time. */
const MAX_ROUNDS = 8;
const SETTLE_MS = 5000;
const POLL_MS = 200;

/** Resolves with what everybody should have been shown. */
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
  return expected;
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

/** Waits until the store's cursors are where the clients are; returns whether they are. */
async function settle({ tell, probe }: QuiesceOptions, expected: Expectation): Promise<boolean> {
  const end = performance.now() + SETTLE_MS;
  do {
    if ((await tell({ do: 'settle', expected, cursors: await probe.noteCursors() })) === 0) return true;
    await sleep(POLL_MS);
  } while (performance.now() < end);
  return false;
}
