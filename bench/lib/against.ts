/**
 * This tree beside another commit: messages for each second of CPU time, now ÷ before, in pairs of short rounds.
 *
 * Each commit is started by its own bench/lib/fleet.ts, with the settings and the tables that it knows; one load
 * generator, this tree's, loads both in turn. Whoever is not loaded idles: a process that is stopped would lose its
 * lease, and what an idle one uses is not counted.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Fleet, startFleet } from './fleet.ts';
import type { LoadGenerator, Measured } from './load.ts';
import type { Door } from '../peers/peer.ts';
import { type Estimate, estimate, isSettled, measurePairs, type Pair, type StoppingRule } from './paired.ts';
import { align, count, coresOf } from './report.ts';
import { median } from './runner.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/** What can be compared, by the scenario that is loaded. */
const COMPARED: Readonly<Record<string, string>> = {
  direct: 'direct-1000x1',
  'direct-x4': 'direct-1000x4',
  room: 'room-1000x1',
  'room-x16': 'room-1000x16',
};
const USUAL = ['direct', 'room'];
const FULL: StoppingRule = { leastPairs: 15, mostPairs: 60, width: 0.05 };
const QUICK: StoppingRule = { leastPairs: 3, mostPairs: 3, width: 0.05 };
const WARMUP_S = 0.7;
/** Of the first round, which does not count: V8 compiles. */
const FIRST_WARMUP_S = 4;
/** The interval's upper end: below it the commit was faster. */
export const DEFAULT_FLOOR = 0.97;
/** GoChat's own processes that work for a message. */
const OWN = new Set(['gateway', 'state']);

export interface AgainstOptions {
  /** Names of COMPARED; none: the usual ones. */
  readonly names: readonly string[];
  readonly quick: boolean;
  /** Measured time of a round, s. */
  readonly seconds: number;
  readonly floor: number;
}

/** One round on one version. */
interface Round {
  /** Messages for each CPU second of gateway and state. */
  readonly perCpuSecond: number;
  /** The same with the CPU time of the engines and of GoChat's other servers. */
  readonly withEngines: number;
  readonly perSecond: number;
  /** CPU time of the engines, cores. */
  readonly engineCores: number;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Comparison {
  readonly name: string;
  readonly scenario: string;
  /** now ÷ before. */
  readonly ratio: Estimate;
  readonly withEngines: Estimate;
  readonly settled: boolean;
  readonly holds: boolean;
  readonly pairs: readonly Pair<Round>[];
}

/** Returns the names that can be compared. */
export function comparedNames(): string[] {
  return Object.keys(COMPARED);
}

/** Both versions, started and ready to be loaded; disposing stops them. */
export interface Versions extends AsyncDisposable {
  readonly fleets: Pair<Fleet>;
}

/** Starts this tree's GoChat and that of the tree at `root`, each with engines of its own. */
export async function startVersions(root: string, folder: string, signal: AbortSignal): Promise<Versions> {
  await using stack = new AsyncDisposableStack();
  const start = async (name: string, file: string) => {
    console.error(`${name}:`);
    const its = (await import(file)) as { readonly startFleet: typeof startFleet };
    return stack.use(await its.startFleet(['gochat'], join(folder, name), undefined, signal));
  };
  const before = await start('before', pathToFileURL(join(root, 'bench/lib/fleet.ts')).href);
  const now = await start('now', './fleet.ts');
  const owned = stack.move();
  return { fleets: { now, before }, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Compares both; `onComparison` hears of each as it is done. */
export async function compareVersions(
  { fleets }: Versions,
  load: LoadGenerator,
  { names, quick, seconds, floor }: AgainstOptions,
  signal: AbortSignal,
  onComparison: (comparison: Comparison) => void,
): Promise<void> {
  const rule = quick ? QUICK : FULL;
  for (const name of names.length > 0 ? names : USUAL) {
    const scenario = scenarios(false, true).find((each) => each.name === COMPARED[name]) as Scenario;
    const doors: Pair<Door> = {
      now: await open(fleets.now, scenario),
      before: await open(fleets.before, scenario),
    };
    const measure = async (which: keyof Pair<Round>, warmup = WARMUP_S): Promise<Round> => {
      const { window } = scenario;
      const what = { ...doors[which], scenario: scenario.workload.scenario, seconds, warmup };
      const servers = fleets[which].peers.get('gochat')?.servers ?? [];
      const measured = await load.run({ ...what, ...(window !== undefined && { window }) }, servers, signal);
      return roundOf(measured, scenario.rate);
    };
    console.error(`${name}: warming up`);
    await measure('now', FIRST_WARMUP_S);
    await measure('before', FIRST_WARMUP_S);
    const ratioOf = ({ now, before }: Pair<Round>) => now.perCpuSecond / before.perCpuSecond;
    const pairs = await measurePairs(measure, ratioOf, rule, (sofar) => {
      const { ratio, lower, upper } = estimate(sofar.map(ratioOf));
      console.error(
        `${name}: pair ${sofar.length}, ${ratio.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)})`,
      );
    });
    const ratios = pairs.map(ratioOf);
    const ratio = estimate(ratios);
    const settled = quick || isSettled(ratios, rule);
    onComparison({
      name,
      scenario: scenario.name,
      ratio,
      withEngines: estimate(pairs.map(({ now, before }) => now.withEngines / before.withEngines)),
      settled,
      holds:
        settled && ratio.upper >= floor && pairs.every(({ now }) => Object.keys(now.errors).length === 0),
      pairs,
    });
  }
}

/** A comparison as text. */
export function comparisonText({
  name,
  scenario,
  ratio,
  withEngines,
  settled,
  holds,
  pairs,
}: Comparison): string {
  const middle = (which: keyof Pair<Round>, of: (round: Round) => number) =>
    median(pairs.map((pair) => of(pair[which])));
  const row = (what: string, of: (round: Round) => number, text: (value: number) => string, last = '') => [
    what,
    text(middle('now', of)),
    text(middle('before', of)),
    last,
  ];
  const interval = ({ ratio, lower, upper }: Estimate) =>
    `${ratio.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)})`;
  const errors = pairs.flatMap((pair) =>
    (['now', 'before'] as const).flatMap((which) =>
      Object.entries(pair[which].errors).map(([what, times]) => `  WRONG ${which}: ${what} (${times} times)`),
    ),
  );
  const verdict = settled ? '' : ', too wide to say: measure on a calmer machine';
  return [
    `\n${name}: ${scenario}, ${pairs.length} pairs: ${holds ? 'holds' : 'DOES NOT HOLD'}${verdict}`,
    align(
      [
        ['medians', 'now', 'before', 'now ÷ before (95 %)'],
        row('messages/CPU-s, gateway and state', (round) => round.perCpuSecond, count, interval(ratio)),
        row('the same, engines included', (round) => round.withEngines, count, interval(withEngines)),
        row('messages/s', (round) => round.perSecond, count),
        row(
          "engines' CPU, % of a core",
          (round) => 100 * round.engineCores,
          (value) => value.toFixed(0),
        ),
      ],
      1,
    ),
    ...errors,
  ].join('\n');
}

async function open(fleet: Fleet, { workload }: Scenario): Promise<Door> {
  return (await fleet.peers.get('gochat')?.open(workload)) as Door;
}

function roundOf({ load, usage }: Measured, rate: Scenario['rate']): Round {
  const perSecond = load[rate];
  const own = coresOf(usage.filter(({ name }) => OWN.has(name)));
  const all = coresOf(usage);
  return {
    perCpuSecond: perSecond / own,
    withEngines: perSecond / all,
    perSecond,
    engineCores: all - own,
    errors: load.errors,
  };
}
