import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { run } from './run.ts';
import { SCENARIOS } from './scenarios.ts';
import { Simulation } from './simulation.ts';

/** Small enough for a test; the goals are those of docs/lab/placement.md. */
const CLIENTS = 100_000;
const SIZES = [10, 20] as const;
const REPORT_AGES_MS = [1000, 5000] as const;
const fleets = SIZES.flatMap((gateways) => REPORT_AGES_MS.map((reportAgeMs) => ({ gateways, reportAgeMs })));

function simulate(name: string, policy: string, gateways: number, reportAgeMs: number, seed = 1) {
  const scenario = SCENARIOS.find((each) => each.name === name);
  if (!scenario) throw new RangeError(`there is no scenario ${name}`);
  return run({ scenario, gateways, clients: CLIENTS, reportAgeMs, policy, seed });
}

describe('max/mean utilisation, real scorer, simulated gateways and clients', () => {
  const goals = [
    ['steady growth', 1.05],
    ['growth, 3 ipconf nodes', 1.05],
    ['reconnect storm', 1.15],
    ['storm, 3 ipconf nodes', 1.15],
  ] as const;
  test.each(goals.flatMap(([name, goal]) => fleets.map((fleet) => ({ name, goal, ...fleet }))))(
    '$name, $gateways gateways, reports $reportAgeMs ms old: at most $goal, and 5 times closer to 1 than the classic scorer',
    ({ name, goal, gateways, reportAgeMs }) => {
      const ours = simulate(name, 'GoChat', gateways, reportAgeMs);
      const classic = simulate(name, 'classic', gateways, reportAgeMs);
      expect(ours.worst).toBeLessThanOrEqual(goal);
      expect((classic.worst - 1) / (ours.worst - 1)).toBeGreaterThanOrEqual(5);
    },
  );

  test.each([
    ['rolling restart', 2],
    // A third of the clients come back at once, before the registry reports that the zone is gone.
    ['zone lost and back', 12],
    ['slow gateway', 2],
    ['a gateway that lies', 2],
  ])(
    '%s: more even than any of the others, and less than %i attempts fail for 100 clients',
    (name, failed) => {
      const ours = simulate(name, 'GoChat', 20, 1000);
      for (const policy of ['classic', 'round robin', 'random', 'least connections'])
        expect([policy, simulate(name, policy, 20, 1000).worst > ours.worst]).toEqual([policy, true]);
      expect(ours.failed).toBeLessThan(failed);
    },
  );

  test('a zone lost and back: balanced again within the run, unlike with the other policies', () => {
    const balanced = (policy: string) => simulate('zone lost and back', policy, 20, 1000).balancedAfter;
    expect(balanced('GoChat')).toBeLessThan(Infinity);
    expect(['classic', 'random'].map(balanced)).toEqual([Infinity, Infinity]);
  });

  test('another policy: the same clients arrive at the same times', () => {
    const arrivals = (policy: string) => {
      const ask = vi.spyOn(Simulation.prototype, 'ask');
      onTestFinished(() => ask.mockRestore());
      simulate('steady growth', policy, 10, 1000);
      const { calls } = ask.mock;
      ask.mockRestore();
      return calls;
    };
    expect(arrivals('classic')).toEqual(arrivals('GoChat'));
  });

  test('the same seed: the same figures to the last digit; another seed: others', () => {
    const first = simulate('reconnect storm', 'GoChat', 10, 1000);
    expect(simulate('reconnect storm', 'GoChat', 10, 1000)).toEqual(first);
    expect(simulate('reconnect storm', 'GoChat', 10, 1000, 2).series).not.toEqual(first.series);
  });
});
