/** `make bench`: starts GoChat and its peers, loads each, prints and stores the figures. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Comparison, comparedNames, compareWith, comparisonText, DEFAULT_FLOOR } from './lib/against.ts';
import { ABUSE_KINDS, type AbuseKind } from './lib/abuse-load.ts';
import { ROOT } from './lib/child.ts';
import { buildCommit, describeHead, findCommit } from './lib/commit-tree.ts';
import { coresOf, startOn } from './lib/cores.ts';
import { installed, startFleet } from './lib/fleet.ts';
import { LoadGenerator } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { isOurs, machineText, type Row, rowsOf, table } from './lib/report.ts';
import { Runner, type Timing } from './lib/runner.ts';
import { PEERS, type PeerName, scenarios, type Scenario } from './lib/scenarios.ts';
import { startServices } from './lib/services.ts';
import { findingsText, STUDIES } from './lib/studies.ts';
import type { Findings, Study } from './lib/study.ts';

/** Scenarios of --quick, unless others are named. */
const QUICK_PEERS: readonly PeerName[] = ['gochat', 'gochat-embedded', 'bare-pipeline', 'bare-loop'];
/** Overhead of one measurement: connecting, settling, draining. */
const OVERHEAD_S = 2;
/** Typical number of measurements until the highest rate is found. */
const CLIMBS = 6;
/** Typical duration of a scenario's firstSends. */
const FIRST_PER_S = 20_000;
const USAGE = `Usage: node bench/main.ts [FLAGS] [SCENARIO…]

Measures GoChat against baselines, brokers and ejabberd on this machine; prints tables and writes JSON. Without a
SCENARIO it runs the usual ones, in about 40 minutes; it says at its start how long the chosen ones will take.

  SCENARIO         only these: a name or its beginning (direct, room-1000x16)
  --all            every scenario, the long ones included
  --list           lists the scenarios
  --quick          a look in under 90 s: one short round, fewer peers
  --peer NAME      only this peer (${PEERS.join(', ')}); may be repeated
  --seconds N      measured time of a round (default 3; quick 1.5)
  --repeats N      rounds, of which the median counts (default 5; quick 1)
  --attack KIND    of abuse only this one (${ABUSE_KINDS.join(', ')}); may be repeated
  --json FILE      where the figures go (default data/bench/TIME.json)
  --profile DIR    GoChat's processes leave CPU profiles there; the figures are then not comparable
  --against COMMIT builds that commit and compares this tree with it, in pairs of short rounds, 3 to 12 minutes each:
                   ${comparedNames().join(', ')} (default direct room)
  --floor N        of now ÷ before, the least that the interval's upper end may be (default ${DEFAULT_FLOOR})
  --help           this text

Without a SCENARIO, and with the SCENARIO crpc, bench/crpc.ts runs too: the layer between the servers beside bare gRPC.
bench/placement/main.ts is a program of its own.
`;

/** The scenario that is a separate program. */
const CRPC = 'crpc';

class UsageError extends Error {}

interface Choice {
  readonly quick: boolean;
  readonly timing: Timing;
  readonly scenarios: readonly Scenario[];
  /** Whether bench/crpc.ts runs; it comes first. */
  readonly crpc: boolean;
  readonly studies: readonly Study[];
  readonly peers: readonly PeerName[];
  readonly attacks: readonly AbuseKind[];
  readonly json: string;
  readonly profile: string | undefined;
  readonly against: Against | undefined;
}

/** Options of --against. */
interface Against {
  readonly commit: string;
  readonly names: readonly string[];
  readonly floor: number;
}

function choose(args: string[]): Choice | 'help' | 'list' {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      all: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      peer: { type: 'string', multiple: true },
      attack: { type: 'string', multiple: true },
      seconds: { type: 'string' },
      repeats: { type: 'string' },
      json: { type: 'string' },
      profile: { type: 'string' },
      against: { type: 'string' },
      floor: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  if (values.list) return 'list';
  const { quick, all } = values;
  const every = scenarios(quick, all || positionals.length > 0);
  const names =
    values.against === undefined
      ? [CRPC, ...[...every, ...STUDIES].map((each) => each.name)]
      : comparedNames();
  const chosen = new Set<string>();
  for (const wanted of positionals) {
    const found = names.includes(wanted) ? [wanted] : names.filter((name) => name.startsWith(wanted));
    if (found.length === 0) throw new UsageError(`the scenarios are ${names.join(', ')}, not ${wanted}`);
    for (const name of found) chosen.add(name);
  }
  const peers = oneOf('--peer', PEERS, values.peer);
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return {
    quick,
    timing: {
      seconds: number('--seconds', values.seconds, 0.1, 600) ?? (quick ? 1.5 : 3),
      repeats: Math.round(number('--repeats', values.repeats, 1, 100) ?? (quick ? 1 : 5)),
      warmup: quick ? 0.5 : 2,
    },
    crpc: chosen.size === 0 ? !quick : chosen.has(CRPC),
    scenarios: every.filter(({ name, usual }) => (chosen.size === 0 ? all || usual : chosen.has(name))),
    studies: STUDIES.filter(({ name }) => (chosen.size === 0 ? all : chosen.has(name))),
    peers: peers.filter((name) => !quick || values.peer !== undefined || QUICK_PEERS.includes(name)),
    attacks: oneOf('--attack', ABUSE_KINDS, values.attack),
    json: resolve(values.json ?? join(ROOT, 'data/bench', `${stamp}.json`)),
    profile: values.profile && resolve(values.profile),
    against:
      values.against === undefined
        ? undefined
        : {
            commit: values.against,
            names: [...chosen],
            floor: number('--floor', values.floor, 0, 10) ?? DEFAULT_FLOOR,
          },
  };
}

/** The values of a flag that may be repeated; all possible ones without it. */
function oneOf<T extends string>(flag: string, all: readonly T[], values: readonly string[] | undefined) {
  return (values ?? all).map((value) => {
    const found = all.find((each) => each === value);
    if (found === undefined) throw new UsageError(`${flag} knows ${all.join(', ')}, not ${value}`);
    return found;
  });
}

function number(flag: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max))
    throw new UsageError(`${flag} takes a number from ${min} to ${max}, not '${text}'`);
  return value;
}

/** Runs the scenarios; resolves with whether all checks passed and all goals were met. */
async function measure(choice: Choice, signal: AbortSignal): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const folder = temporaryFolder(stack);
  const machine = await describeMachine();
  console.log(machineText(machine));
  console.error('compiling the load generator');
  const load = await LoadGenerator.build(folder);
  const wanted = choice.peers.filter((name) => choice.scenarios.some(({ peers }) => peers.includes(name)));
  const there = await installed(wanted);
  for (const name of wanted.filter((each) => !there.includes(each)))
    console.log(`${name}: not installed, left out`);
  const began = new Date();
  const about = { began, command: process.argv.slice(2), ...choice.timing, machine };
  const rows: Row[] = [];
  const studies: Record<string, Findings> = {};
  // After each part, so that the figures are kept if the run is interrupted.
  const save = () => writeJson(choice.json, { ...about, rows, studies });
  const notMet: string[] = [];
  for (const study of choice.studies) {
    await using services = await startServices(join(folder, study.name));
    console.error(study.name);
    const own = join(folder, `${study.name}-own`);
    mkdirSync(own);
    const { quick, profile: profiles, peers, attacks } = choice;
    const context = { load, services, signal, folder: own, quick, profiles, peers, attacks };
    studies[study.name] = await study.run({
      ...context,
      notMet: (what) => notMet.push(`${study.name}: ${what}`),
    });
    console.log(findingsText(study, studies[study.name] as Findings));
    save();
  }
  for (const what of notMet) console.log(`NOT MET: ${what}`);
  if (choice.scenarios.length === 0) return notMet.length === 0;
  const { seconds, warmup, repeats } = choice.timing;
  let runs = 0;
  let estimateS = 0;
  for (const scenario of choice.scenarios) {
    const peers = scenario.peers.filter((peer) => there.includes(peer));
    const rounds = peers.length * (scenario.once ? 1 : repeats);
    const measurements = scenario.climbFrom === undefined ? rounds : rounds * CLIMBS;
    runs += measurements;
    const firstS = (scenario.firstSends ?? 0) / FIRST_PER_S;
    estimateS += measurements * ((scenario.seconds ?? seconds) + warmup + OVERHEAD_S + firstS);
  }
  console.error(`${runs} measurements: about ${Math.ceil(estimateS / 60)} min`);
  const runner = new Runner(load, choice.timing, signal);
  for (const layout of ['all', 'one-core'] as const) {
    const mine = choice.scenarios.filter(({ cores }) => cores === layout);
    const names = there.filter((name) => mine.some(({ peers }) => peers.includes(name)));
    if (mine.length === 0) continue;
    const cores = await coresOf(layout);
    const start = () => startFleet(names, join(folder, layout), choice.profile, signal);
    await using fleet = await startOn(cores.servers, start);
    for (const scenario of mine) {
      const outcomes = await runner.run(scenario, fleet, cores.load);
      if (outcomes.length === 0) continue;
      const found = rowsOf(scenario, outcomes);
      console.log(table(scenario, found));
      rows.push(...found);
      save();
    }
  }
  const minutes = ((Date.now() - began.getTime()) / 60_000).toFixed(1);
  console.log(
    `\nMedians of ${choice.timing.repeats} rounds of ${choice.timing.seconds} s, in ${minutes} min. Figures: ${choice.json}`,
  );
  return (
    notMet.length === 0 && rows.every((row) => !isOurs(row.peer) || Object.keys(row.errors).length === 0)
  );
}

/** Compares this tree with a commit; resolves with whether it is not worse. */
async function measureAgainst(choice: Choice, against: Against, signal: AbortSignal): Promise<boolean> {
  const commit = await findCommit(against.commit);
  if (commit === undefined) throw new UsageError(`--against: git knows no commit '${against.commit}'`);
  await using stack = new AsyncDisposableStack();
  const folder = temporaryFolder(stack);
  const machine = await describeMachine();
  const about = {
    began: new Date(),
    command: process.argv.slice(2),
    machine,
    now: await describeHead(),
    before: commit,
  };
  console.log(machineText(machine));
  console.log(`now: ${about.now}; before: ${commit.id.slice(0, 12)} ${commit.subject}`);
  console.error('compiling the load generator, building the commit');
  const load = await LoadGenerator.build(folder);
  const tree = stack.use(await buildCommit(commit, join(folder, 'tree')));
  signal.throwIfAborted();
  const comparisons: Comparison[] = [];
  const options = { ...against, quick: choice.quick, seconds: choice.timing.seconds };
  await compareWith(tree.root, options, { folder, load, signal }, (comparison) => {
    comparisons.push(comparison);
    console.log(comparisonText(comparison));
    writeJson(choice.json, { ...about, comparisons });
  });
  console.log(`\nFigures: ${choice.json}`);
  return comparisons.every(({ holds }) => holds);
}

/** A folder for what the bench starts, removed when the stack is disposed. */
function temporaryFolder(stack: AsyncDisposableStack): string {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-bench-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  // PostgreSQL, which does not run as root, must be able to reach its own folder in there.
  chmodSync(folder, 0o711);
  return folder;
}

function writeJson(file: string, figures: object): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(figures, undefined, 2)}\n`);
}

/** Runs bench/crpc.ts and shows its output. */
async function measureCrpc(quick: boolean, signal: AbortSignal): Promise<boolean> {
  const file = join(ROOT, 'bench/crpc.ts');
  const child = spawn(process.execPath, [file, ...(quick ? ['--quick'] : [])], { stdio: 'inherit', signal });
  const [code] = (await once(child, 'close')) as [number | null];
  return code === 0;
}

async function main(): Promise<number> {
  let choice: Choice | 'help' | 'list';
  try {
    choice = choose(process.argv.slice(2));
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (choice === 'help') {
    console.log(USAGE);
    return 0;
  }
  if (choice === 'list') {
    for (const { name, title, usual } of scenarios(false, true))
      console.log(`${usual ? ' ' : '*'} ${name.padEnd(24)} ${title}`);
    for (const { name, title } of STUDIES) console.log(`* ${name.padEnd(24)} ${title}`);
    console.log('\n* only with --all or by name');
    return 0;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) console.error('\nbench: stopping what it started');
      stop.abort(new Error('stopped'));
    });
  }
  try {
    if (choice.against !== undefined) {
      const holds = await measureAgainst(choice, choice.against, stop.signal);
      if (!holds) console.error('bench: not everything holds; see above');
      return holds ? 0 : 1;
    }
    let good = !choice.crpc || (await measureCrpc(choice.quick, stop.signal));
    if (choice.scenarios.length + choice.studies.length > 0)
      good = (await measure(choice, stop.signal)) && good;
    if (!good) console.error('bench: something did not add up; see WRONG and NOT MET above');
    return good ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    console.error(`bench: ${error instanceof UsageError ? error.message : String((error as Error).stack)}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

process.exitCode = await main();
