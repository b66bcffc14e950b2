/** `make bench`: starts GoChat and what it is measured against, loads each, prints and stores what it sees. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ROOT } from './lib/child.ts';
import { installed, startFleet } from './lib/fleet.ts';
import { LoadGenerator } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { isOurs, machineText, type Row, rowsOf, table } from './lib/report.ts';
import { Runner, type Timing } from './lib/runner.ts';
import { PEERS, type PeerName, scenarios, type Scenario } from './lib/scenarios.ts';

/** Benches of one part each, programs of their own. */
const PARTS: Readonly<Record<string, string>> = { crpc: 'crpc.ts', ipconf: 'ipconf.ts' };
/** Left out of a quick look unless they are asked for. */
const SLOW_LOOK: readonly PeerName[] = ['bare-epoll', 'nats', 'mosquitto'];
const USAGE = `Usage: node bench/main.ts [FLAGS]

Measures GoChat against baselines and brokers on this machine; prints a table and writes JSON.

  --quick          a look in under 90 s: one short round, fewer peers
  --only NAME      only this: direct, room, idle, one scenario's full name, crpc or ipconf; may be repeated
  --peer NAME      only this peer (${PEERS.join(', ')}); may be repeated
  --seconds N      measured time of a round (default 3; quick 1.5)
  --repeats N      rounds, of which the median counts (default 3; quick 1)
  --json FILE      where the figures go (default data/bench/TIME.json)
  --profile DIR    GoChat's processes leave CPU profiles there; the figures are then not comparable
  --help           this text
`;

class UsageError extends Error {}

interface Choice {
  readonly quick: boolean;
  readonly timing: Timing;
  readonly scenarios: readonly Scenario[];
  readonly peers: readonly PeerName[];
  readonly parts: readonly string[];
  readonly json: string;
  readonly profile: string | undefined;
}

function choose(args: string[]): Choice | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      peer: { type: 'string', multiple: true },
      seconds: { type: 'string' },
      repeats: { type: 'string' },
      json: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const { quick, only } = values;
  const all = scenarios(quick);
  const matches = (name: string, scenario: Scenario) =>
    scenario.name === name || scenario.workload.scenario === name;
  for (const name of only ?? []) {
    if (!Object.hasOwn(PARTS, name) && !all.some((scenario) => matches(name, scenario)))
      throw new UsageError(
        `--only knows ${[...all.map((each) => each.name), ...Object.keys(PARTS)].join(', ')}, not ${name}`,
      );
  }
  const known = (name: string): name is PeerName => PEERS.some((each) => each === name);
  const peers = (values.peer ?? PEERS).map((name) => {
    if (!known(name)) throw new UsageError(`--peer knows ${PEERS.join(', ')}, not ${name}`);
    return name;
  });
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return {
    quick,
    timing: {
      seconds: number('--seconds', values.seconds, 0.1, 600) ?? (quick ? 1.5 : 3),
      repeats: Math.round(number('--repeats', values.repeats, 1, 100) ?? (quick ? 1 : 3)),
      warmup: quick ? 0.5 : 1,
    },
    scenarios: all.filter((scenario) => only === undefined || only.some((name) => matches(name, scenario))),
    peers: peers.filter((name) => !quick || values.peer !== undefined || !SLOW_LOOK.includes(name)),
    parts: Object.keys(PARTS).filter((name) => only?.includes(name)),
    json: resolve(values.json ?? join(ROOT, 'data/bench', `${stamp}.json`)),
    profile: values.profile && resolve(values.profile),
  };
}

function number(flag: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max))
    throw new UsageError(`${flag} takes a number from ${min} to ${max}, not '${text}'`);
  return value;
}

/** Runs the scenarios; resolves with whether everything added up. */
async function measure(choice: Choice, signal: AbortSignal): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'gochat-bench-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  // PostgreSQL, which does not run as root, must get to its own folder in there.
  chmodSync(folder, 0o711);
  const machine = await describeMachine();
  console.log(machineText(machine));
  console.error('compiling the load generator');
  const load = await LoadGenerator.build(folder);
  const wanted = choice.peers.filter((name) => choice.scenarios.some(({ peers }) => peers.includes(name)));
  const there = await installed(wanted);
  for (const name of wanted.filter((each) => !there.includes(each)))
    console.log(`${name}: not installed, left out`);
  const fleet = stack.use(await startFleet(there, folder, choice.profile, signal));
  const runner = new Runner(load, fleet.peers, choice.timing, signal);
  const began = new Date();
  const rows: Row[] = [];
  for (const scenario of choice.scenarios) {
    const outcomes = await runner.run(scenario);
    if (outcomes.length === 0) continue;
    const found = rowsOf(scenario, outcomes);
    console.log(table(scenario, found));
    rows.push(...found);
  }
  mkdirSync(dirname(choice.json), { recursive: true });
  writeFileSync(
    choice.json,
    `${JSON.stringify({ began, command: process.argv.slice(2), ...choice.timing, machine, rows }, undefined, 2)}\n`,
  );
  console.log(
    `\nMedians of ${choice.timing.repeats} rounds of ${choice.timing.seconds} s. Figures: ${choice.json}`,
  );
  return rows.every((row) => !isOurs(row.peer) || Object.keys(row.errors).length === 0);
}

/** Runs the bench of one part with its output here. */
async function runPart(name: string, quick: boolean): Promise<boolean> {
  const file = fileURLToPath(new URL(PARTS[name] as string, import.meta.url));
  if (!existsSync(file)) throw new UsageError(`there is no bench of ${name} yet (${file})`);
  const child = spawn(process.execPath, [file, ...(quick ? ['--quick'] : [])], { stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number | null];
  return code === 0;
}

async function main(): Promise<number> {
  let choice: Choice | 'help';
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
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) console.error('\nbench: stopping what it started');
      stop.abort(new Error('stopped'));
    });
  }
  try {
    let good = true;
    for (const part of choice.parts) good = (await runPart(part, choice.quick)) && good;
    if (choice.scenarios.length > 0) good = (await measure(choice, stop.signal)) && good;
    if (!good) console.error('bench: something did not add up; see WRONG above');
    return good ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    console.error(`bench: ${error instanceof UsageError ? error.message : String((error as Error).stack)}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

process.exitCode = await main();
