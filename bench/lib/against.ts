/**
 * This tree beside another commit, in pairs of short rounds: what each makes of a second of CPU time, now ÷ before.
 *
 * Each version is started by its own bench/lib/fleet.ts, with the settings and the tables that it knows, and loaded by its
 * own load generator, with the protocol that it speaks. Whoever is not loaded idles: a process that is stopped would lose its
 * lease, and what an idle one uses is not counted.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { UnaryRound } from '../crpc/unary.ts';
import type { Peer, Target } from '../peers/peer.ts';
import { ROOT } from './child.ts';
import type { Fleet, startFleet } from './fleet.ts';
import { LoadGenerator } from './load.ts';
import { logIn, LOGINS_PER_S } from './login.ts';
import { type Estimate, estimate, isSettled, measurePairs, type Pair, type StoppingRule } from './paired.ts';
import { align, coresOf, count } from './report.ts';
import { type IdleMemory, median, type Outcome, Runner } from './runner.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { sample, type Usage, usageSince } from './usage.ts';

/** If the interval's upper end is below this, the commit was better. */
export const DEFAULT_FLOOR = 0.97;
const FULL: StoppingRule = { leastPairs: 15, mostPairs: 60, width: 0.05 };
/** For studies whose rounds take a minute and whose figure hardly varies. */
const FEW: StoppingRule = { leastPairs: 3, mostPairs: 5, width: 0.05 };
const QUICK: StoppingRule = { leastPairs: 3, mostPairs: 3, width: 0.05 };
const WARMUP_S = 0.7;
/** Length of the first round, which does not count: V8 compiles. */
const FIRST_WARMUP_S = 4;
/** GoChat's own processes on the path of a message. */
const OWN = new Set(['gateway', 'state']);
const UNARY_PROGRAM = fileURLToPath(new URL('../crpc/unary.ts', import.meta.url));

type Which = keyof Pair<unknown>;

export interface AgainstOptions {
  /** One of comparedNames(). */
  readonly names: readonly string[];
  readonly quick: boolean;
  /** Measured time of a round, s. */
  readonly seconds: number;
  readonly floor: number;
}

/** The figure of one round of one version: more is better. */
interface Round {
  readonly figure: number;
  /** A second figure, for information. */
  readonly second: number;
  readonly about: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Comparison {
  readonly name: string;
  readonly title: string;
  /** Names of the two figures. */
  readonly figures: readonly [figure: string, second: string];
  /** now ÷ before. */
  readonly ratio: Estimate;
  readonly secondRatio: Estimate;
  readonly settled: boolean;
  readonly holds: boolean;
  readonly pairs: readonly Pair<Round>[];
}

/** A comparison, ready to run. */
interface Contest extends Pick<Comparison, 'title' | 'figures'>, Partial<AsyncDisposable> {
  readonly rule: StoppingRule;
  /** Whether rounds that do not count come first. */
  readonly warmsUp: boolean;
  measure(which: Which, warmup: number): Promise<Round>;
}

interface Setting {
  /** Folder of the sources of each. */
  readonly roots: Pair<string>;
  readonly folder: string;
  readonly loads: Pair<LoadGenerator>;
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Both versions, started when first asked for. */
  fleets(): Promise<Pair<Fleet>>;
}

const CONTESTS: Readonly<Record<string, (setting: Setting) => Promise<Contest>>> = {
  direct: (setting) => messages(setting, 'direct-1000x1'),
  'direct-x4': (setting) => messages(setting, 'direct-1000x4'),
  room: (setting) => messages(setting, 'room-1000x1'),
  'room-x16': (setting) => messages(setting, 'room-1000x16'),
  login: logins,
  unary,
  idle,
};
const USUAL = ['direct', 'room'];

/** Returns the names of what can be compared. */
export function comparedNames(): string[] {
  return Object.keys(CONTESTS);
}

/** Compares this tree with the one at `root`, which is built; `onComparison` is called with each comparison as it ends. */
export async function compareWith(
  root: string,
  options: AgainstOptions,
  { folder, load, signal }: Pick<Setting, 'folder' | 'signal'> & { readonly load: LoadGenerator },
  onComparison: (comparison: Comparison) => void,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const roots = { now: ROOT, before: root };
  const itsLoad = mkdtempSync(join(folder, 'load-'));
  const loads = { now: load, before: await LoadGenerator.build(itsLoad, root) };
  const start = async (which: Which) => {
    console.error(`starting ${which}`);
    return stack.use(await startVersion(roots[which], join(folder, which), signal));
  };
  let fleets: Pair<Fleet> | undefined;
  const setting = {
    roots,
    folder,
    loads,
    signal,
    seconds: options.seconds,
    fleets: async () => (fleets ??= { before: await start('before'), now: await start('now') }),
  };
  for (const name of options.names.length > 0 ? options.names : USUAL) {
    const contest = await (CONTESTS[name] as (setting: Setting) => Promise<Contest>)(setting);
    try {
      onComparison(await compare(name, contest, options));
    } finally {
      await contest[Symbol.asyncDispose]?.();
    }
  }
}

async function compare(
  name: string,
  contest: Contest,
  { quick, floor }: AgainstOptions,
): Promise<Comparison> {
  if (contest.warmsUp) {
    console.error(`${name}: warming up`);
    await contest.measure('now', FIRST_WARMUP_S);
    await contest.measure('before', FIRST_WARMUP_S);
  }
  const rule = quick ? QUICK : contest.rule;
  const ratioOf = ({ now, before }: Pair<Round>) => now.figure / before.figure;
  const pairs = await measurePairs(
    (which) => contest.measure(which, WARMUP_S),
    ratioOf,
    rule,
    (sofar) => console.error(`${name}: pair ${sofar.length}, ${intervalText(estimate(sofar.map(ratioOf)))}`),
  );
  const ratios = pairs.map(ratioOf);
  const ratio = estimate(ratios);
  const settled = quick || isSettled(ratios, rule);
  return {
    name,
    title: contest.title,
    figures: contest.figures,
    ratio,
    secondRatio: estimate(pairs.map(({ now, before }) => now.second / before.second)),
    settled,
    holds: settled && ratio.upper >= floor && pairs.every(({ now }) => Object.keys(now.errors).length === 0),
    pairs,
  };
}

/** A comparison as text. */
export function comparisonText(comparison: Comparison): string {
  const { name, title, figures, ratio, secondRatio, settled, holds, pairs } = comparison;
  const row = (what: string, of: (round: Round) => number, last = '') => [
    what,
    ...(['now', 'before'] as const).map((which) => count(median(pairs.map((pair) => of(pair[which]))))),
    last,
  ];
  const errors = pairs.flatMap((pair) =>
    (['now', 'before'] as const).flatMap((which) =>
      Object.entries(pair[which].errors).map(([what, times]) => `  WRONG ${which}: ${what} (${times} times)`),
    ),
  );
  const verdict = settled ? '' : ', the interval is too wide to say: measure on a calmer machine';
  return [
    `\n${name}: ${title}, ${pairs.length} pairs: ${holds ? 'holds' : 'DOES NOT HOLD'}${verdict}`,
    align(
      [
        ['medians', 'now', 'before', 'now ÷ before (95 %)'],
        row(figures[0], ({ figure }) => figure, intervalText(ratio)),
        row(figures[1], ({ second }) => second, intervalText(secondRatio)),
        ...Object.keys(pairs[0]?.now.about ?? {}).map((what) =>
          row(what, ({ about }) => about[what] ?? Number.NaN),
        ),
      ],
      1,
    ),
    ...errors,
  ].join('\n');
}

function intervalText({ ratio, lower, upper }: Estimate): string {
  return `${ratio.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)})`;
}

/** Starts a version by its own bench. */
async function startVersion(root: string, folder: string, signal: AbortSignal): Promise<Fleet> {
  const file = pathToFileURL(join(root, 'bench/lib/fleet.ts')).href;
  const its = (await import(file)) as { readonly startFleet: typeof startFleet };
  return await its.startFleet(['gochat'], folder, undefined, signal);
}

/** The closed loop of a scenario. */
async function messages(setting: Setting, name: string): Promise<Contest> {
  const { loads, seconds, signal } = setting;
  const { workload, window, title, rate } = scenarioOf(name);
  const fleets = await setting.fleets();
  const open = async (which: Which) => (await fleets[which].peers.get('gochat')?.open(workload)) as Target;
  const targets = { now: await open('now'), before: await open('before') };
  return {
    title,
    figures: ['messages/CPU-s, gateway and state', 'the same, engines included'],
    rule: FULL,
    warmsUp: true,
    measure: async (which, warmup) => {
      const measured = await loads[which].run(
        {
          ...targets[which],
          scenario: workload.scenario,
          seconds,
          warmup,
          ...(window !== undefined && { window }),
        },
        fleets[which].peers.get('gochat')?.servers ?? [],
        signal,
      );
      const perSecond = measured.load[rate];
      const own = coresOf(measured.usage.filter(({ name }) => OWN.has(name)));
      const all = coresOf(measured.usage);
      return {
        figure: perSecond / own,
        second: perSecond / all,
        about: { 'messages/s': perSecond, "engines' CPU, % of a core": 100 * (all - own) },
        errors: measured.load.errors,
      };
    },
  };
}

/** Logins at a steady pace. */
async function logins(setting: Setting): Promise<Contest> {
  const { seconds, signal } = setting;
  const fleets = await setting.fleets();
  const accounts = Math.ceil(LOGINS_PER_S * seconds);
  const open = async (which: Which) => {
    const peer = fleets[which].peers.get('gochat') as Peer;
    const { ports, connections } = (await peer.open({
      scenario: 'direct',
      connections: accounts,
    })) as Target;
    const tokens = connections.map(({ token }) => token);
    return { servers: peer.servers, port: ports[0] as number, tokens };
  };
  const targets = { now: await open('now'), before: await open('before') };
  return {
    title: `${LOGINS_PER_S} logins a second`,
    figures: ['logins/CPU-s, gateway and state', 'the same, engines included'],
    rule: FULL,
    warmsUp: true,
    measure: async (which, warmup) => {
      const { port, tokens, servers } = targets[which];
      await logIn(port, tokens.slice(0, LOGINS_PER_S * warmup), signal);
      const before = sample(servers);
      await logIn(port, tokens, signal);
      const perSecond = tokens.length / ((performance.now() - before.atMs) / 1000);
      const usage = usageSince(before, servers);
      const perCpuSecond = (of: readonly Usage[]) => perSecond / coresOf(of);
      const micros = (server: string) => 1e6 / perCpuSecond(usage.filter(({ name }) => name === server));
      return {
        figure: perCpuSecond(usage.filter(({ name }) => OWN.has(name))),
        second: perCpuSecond(usage),
        about: { 'gateway, CPU µs a login': micros('gateway'), 'state, CPU µs a login': micros('state') },
        errors: {},
      };
    },
  };
}

/** Unary calls between servers; both versions' client and server are processes of their own. */
async function unary({ roots, seconds, signal }: Setting): Promise<Contest> {
  const start = (which: Which) => fork(UNARY_PROGRAM, [roots[which]], { signal });
  const children = { now: start('now'), before: start('before') };
  return {
    title: 'unary calls of crpc, 64 in flight',
    figures: ['calls/CPU-s, client and server', 'calls/s'],
    rule: FULL,
    warmsUp: true,
    measure: async (which, warmup) => {
      const child = children[which];
      const round = async (ms: number) => {
        child.send(ms);
        const [answer] = (await once(child, 'message', { signal })) as [UnaryRound];
        return answer;
      };
      await round(warmup * 1000);
      const { perCpuSecond, perSecond } = await round(seconds * 1000);
      return { figure: perCpuSecond, second: perSecond, about: {}, errors: {} };
    },
    [Symbol.asyncDispose]: async () => {
      for (const child of Object.values(children)) {
        child.disconnect();
        if (child.exitCode === null) await once(child, 'exit');
      }
    },
  };
}

/** Memory of idle connections, on newly started servers. */
async function idle({ roots, folder, loads, signal, seconds }: Setting): Promise<Contest> {
  const scenario = scenarioOf('idle-5000');
  let rounds = 0;
  return {
    title: scenario.title,
    figures: ['connections/MiB, garbage collected', 'connections/MiB as it stands'],
    rule: FEW,
    warmsUp: false,
    measure: async (which, warmup) => {
      await using fleet = await startVersion(roots[which], join(folder, `idle-${++rounds}`), signal);
      const runner = new Runner(loads[which], { repeats: 1, seconds, warmup }, signal);
      const wanted = { ...scenario, peers: ['gochat'], collects: true } as const;
      const [outcome] = (await runner.run(wanted, fleet, undefined)) as [Outcome];
      const { whole, collected = Number.NaN } = outcome.idle as IdleMemory;
      return {
        figure: 1024 / collected,
        second: 1024 / whole,
        about: {},
        errors: outcome.rounds[0]?.load.errors ?? {},
      };
    },
  };
}

function scenarioOf(name: string): Scenario {
  return scenarios(false, true).find((each) => each.name === name) as Scenario;
}
