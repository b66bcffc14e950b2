import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { report } from './report.ts';
import { runChaos } from './run.ts';

/** GOCHAT_TEST_CHAOS_SEED repeats the plan of a run that failed. */
const SEED = Number(process.env['GOCHAT_TEST_CHAOS_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const DURATION_MS = 300_000;

test(
  'five minutes of faults on everything: no promise is broken, and everybody has all messages soon after',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), `gochat-chaos-${SEED}-`));
    const verdict = await runChaos({ seed: SEED, durationMs: DURATION_MS, dir });
    const text = report(SEED, DURATION_MS, verdict);
    // The histories of a run that failed are kept.
    expect(verdict.violations, `${text}\nhistories and logs in ${dir}`).toEqual([]);
    // A run in which little happened proves little.
    expect(verdict.acked).toBeGreaterThan(1500);
    expect(verdict.changes.left).toBeGreaterThan(5);
    expect(verdict.reconnects).toBeGreaterThan(10);
    expect(Object.keys(verdict.faults).length).toBeGreaterThan(8);
    await rm(dir, { recursive: true });
  },
  DURATION_MS + 600_000,
);
