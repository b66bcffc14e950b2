import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Fault, FAULTS } from './faults.ts';
import { build, type Mutant, MUTANTS } from './mutants.ts';
import { report } from './report.ts';
import { runChaos } from './run.ts';

const DURATION_MS = 15_000;
const STATES = ['servers to state-0', 'servers to state-1'];

/** The fault of this name, again and again at the targets. */
function fault(name: string, only: readonly string[]): Fault {
  const found = FAULTS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no fault ${name}`);
  return { ...found, only };
}

describe('the checker catches', () => {
  test.each<[mutant: Mutant, faults: Fault[], rules: string[]]>([
    [MUTANTS.dropFanout, [fault('latency', ['api to etcd'])], ['convergence', 'no loss']],
    [
      MUTANTS.skipDedupe,
      // Late answers, so that resets meet sends that are committed and not acknowledged.
      [
        fault('reset connections', ['clients to gateway-0', 'clients to gateway-1']),
        fault('latency', STATES),
      ],
      ['exactly once'],
    ],
  ])(
    '$name',
    async (mutant, faults, rules) => {
      const dir = await mkdtemp(join(tmpdir(), 'gochat-chaos-mutant-'));
      await using broken = await build(mutant);
      const verdict = await runChaos({
        seed: 1,
        durationMs: DURATION_MS,
        dir,
        bin: broken.bin,
        faults,
        convergenceMs: 8000,
        users: 8,
        rooms: 3,
        sendsPerSecond: 40,
      });
      const found = new Set(verdict.violations.map(({ rule }) => rule));
      expect(
        rules.filter((rule) => found.has(rule)),
        report(1, DURATION_MS, verdict),
      ).not.toEqual([]);
      await rm(dir, { recursive: true });
    },
    600_000,
  );

  test('nothing in the same runs of GoChat as it is', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'gochat-chaos-sound-'));
    const faults = [
      fault('PostgreSQL connections cut', ['postgres']),
      fault('reset connections', ['clients to gateway-0', 'clients to gateway-1', 'servers to state-0']),
    ];
    const verdict = await runChaos({ seed: 1, durationMs: DURATION_MS, dir, faults });
    expect(verdict.violations, report(1, DURATION_MS, verdict)).toEqual([]);
    await rm(dir, { recursive: true });
  }, 600_000);
});
