import { describe, expect, test } from 'vitest';
import { FAULTS } from './faults.ts';
import { plan } from './nemesis.ts';
import { targetsOf } from './system.ts';

const HOUR_MS = 3_600_000;
const TARGETS = targetsOf();

describe('plan', () => {
  test('the same seed: the same plan; another seed: another one', () => {
    expect(plan(5, HOUR_MS, TARGETS)).toEqual(plan(5, HOUR_MS, TARGETS));
    expect(plan(5, HOUR_MS, TARGETS)).not.toEqual(plan(6, HOUR_MS, TARGETS));
  });

  test('an hour: every fault on every possible target', () => {
    const steps = [1, 2, 3].flatMap((seed) => plan(seed, HOUR_MS, TARGETS));
    expect(new Set(steps.map(({ fault }) => fault.name))).toEqual(new Set(FAULTS.map(({ name }) => name)));
    expect(new Set(steps.map(({ target }) => target))).toEqual(new Set(Object.values(TARGETS).flat()));
  });

  test('faults of one target: never overlap, and all are over at the end', () => {
    const until = new Map<string, number>();
    for (const { atMs, target, holdMs } of plan(9, HOUR_MS, TARGETS)) {
      expect(atMs).toBeGreaterThan(until.get(target) ?? 0);
      expect(atMs + holdMs).toBeLessThanOrEqual(HOUR_MS);
      until.set(target, atMs + holdMs);
    }
  });
});
