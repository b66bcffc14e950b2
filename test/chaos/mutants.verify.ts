import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Verdict } from './checker.ts';
import { FAULTS } from './faults.ts';
import { build, type Mutant, MUTANTS } from './mutants.ts';
import type { Step } from './nemesis.ts';
import { report } from './report.ts';
import type { Rule } from './rules.ts';
import { CONVERGENCE_MS, runChaos } from './run.ts';

const SEED = Number(process.env['GOCHAT_TEST_CHAOS_SEED'] ?? 1);
const FIRST_MS = 1000;
const STATES = ['servers to state-0', 'servers to state-1'];
const GATEWAYS = ['clients to gateway-0', 'clients to gateway-1'];

/** A fault at each of its targets, again and again. */
function again(
  name: string,
  targets: readonly string[],
  everyMs: number,
  holdMs: number,
  times: number,
): Step[] {
  const fault = FAULTS.find((one) => one.name === name);
  if (fault === undefined) throw new Error(`there is no fault ${name}`);
  return Array.from({ length: times }, (_, i) => FIRST_MS + i * everyMs).flatMap((atMs) =>
    targets.map((target) => ({ atMs, fault, target, holdMs })),
  );
}

/** The workload that reveals a flaw. */
const PLANS = {
  lateCommits: again('PostgreSQL connections cut', ['postgres'], 1000, 0, 10),
  nothingMuch: again('latency', ['api to etcd'], 6000, 1000, 2),
  // Late answers, so that resets meet sends that are committed and not acknowledged.
  lostAnswers: [
    ...again('latency', STATES, 4000, 3000, 3),
    ...again('reset connections', GATEWAYS, 1000, 0, 12),
  ].toSorted((a, b) => a.atMs - b.atMs),
  lostStreams: again('held, then cut', STATES, 4000, 2000, 5),
} satisfies Record<string, Step[]>;

async function run(
  steps: readonly Step[],
  convergenceMs: number,
  bin?: string,
): Promise<Verdict & { dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'gochat-chaos-mutant-'));
  const options = { seed: SEED, durationMs: 0, dir, steps, convergenceMs, ...(bin !== undefined && { bin }) };
  const verdict = await runChaos({
    ...options,
    states: 2,
    users: 8,
    rooms: 3,
    sendsPerSecond: 20,
    atOnce: 3,
  });
  // The histories are kept of GoChat as it is, where it is found to be wrong.
  if (bin !== undefined || verdict.violations.length === 0) await rm(dir, { recursive: true });
  return { ...verdict, dir };
}

describe('the checker catches', () => {
  test.each<[mutant: Mutant, plan: keyof typeof PLANS, rules: Rule[]]>([
    [MUTANTS.ackBeforeCommit, 'lateCommits', ['durable']],
    [MUTANTS.dropFanout, 'nothingMuch', ['convergence', 'no loss']],
    [MUTANTS.dropSomeFanouts, 'nothingMuch', ['convergence', 'no loss']],
    [MUTANTS.swapSeqs, 'nothingMuch', ['one order']],
    [MUTANTS.skipDedupe, 'lostAnswers', ['exactly once']],
    [MUTANTS.noFence, 'lostStreams', ['convergence', 'no loss', 'one answer', "sender's order", 'in time']],
    [MUTANTS.refuseMembers, 'nothingMuch', ['justified refusals']],
    [MUTANTS.forgetCursors, 'nothingMuch', ['cursors']],
  ])(
    '$name',
    async (mutant, plan, rules) => {
      await using broken = await build(mutant);
      // Messages that are missing after this time do not come by themselves.
      const verdict = await run(PLANS[plan], 8000, broken.bin);
      const found = new Set(verdict.violations.map(({ rule }) => rule));
      expect(
        rules.filter((rule) => found.has(rule)),
        report(SEED, 0, verdict),
      ).not.toEqual([]);
    },
    300_000,
  );

  test('no violation in the same runs of the intact GoChat', async () => {
    let after = 0;
    const steps = Object.values(PLANS).flatMap((plan) => {
      const shifted = plan.map((step) => ({ ...step, atMs: after + step.atMs }));
      after = Math.max(...shifted.map(({ atMs, holdMs }) => atMs + holdMs));
      return shifted;
    });
    const verdict = await run(steps, CONVERGENCE_MS);
    const text = `${report(SEED, after, verdict)}\nhistories and logs in ${verdict.dir}`;
    expect(verdict.violations, text).toEqual([]);
  }, 300_000);
});
