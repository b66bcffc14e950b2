/**
 * Placement on real processes: four gateways, 12,000 clients; one gateway is drained, one killed:
 *   node bench/placement/real.ts [--clients 12000]
 * Beside it the simulation of the same, with the same sizes, zones and times. Takes some three minutes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startServices } from '../../test/harness/services.ts';
import { Child, exitOnSignals, ROOT, run as runCommand } from '../lib/child.ts';
import { startServer } from '../lib/gochat.ts';
import { Seeds } from '../lib/seed.ts';
import type { PlannedClient, Tried } from '../peers/placement-clients.ts';
import { Measure } from './measures.ts';
import { Random } from './random.ts';
import { run } from './run.ts';
import type { Scenario } from './scenarios.ts';
import { STEPS_PER_SECOND } from './simulation.ts';
import { makeFleet, type SimGateway, ZONES } from './world.ts';

const GATEWAYS = 4;
/** What remains after the drain and the kill is then nine tenths full. */
const UTILISATION = 0.55;
const SEED = 1;
/** A process may open 20,000 files, here as in most places. */
const CLIENTS_PER_PROCESS = 6_000;

/** Seconds of the run. */
const GROWTH_S = 60;
const DRAIN_AT_S = 65;
const DRAIN_S = 10;
const KILL_AT_S = 85;
/** Until the registry ends a killed gateway's lease. */
const LEASE_S = 10;
const END_S = 115;
const PHASES = [
  { name: 'all come', from: 0, to: DRAIN_AT_S },
  { name: 'one drained', from: DRAIN_AT_S, to: KILL_AT_S },
  { name: 'one killed', from: KILL_AT_S, to: END_S },
] as const;

/** Drained: one of the smallest; killed: the one in the middle, alone in its zone or not as the seed has it. */
function victims<Gateway extends { readonly capacity: number }>(fleet: readonly Gateway[]) {
  const bySize = fleet.toSorted((a, b) => a.capacity - b.capacity);
  return { drained: bySize[0] as Gateway, killed: bySize[2] as Gateway };
}

const SCENARIO: Scenario = {
  name: 'drain and kill',
  about:
    'Clients come; one gateway drains; another one dies, and the registry learns it when its lease ends.',
  utilisation: UTILISATION,
  startsWith: 0,
  seconds: END_S,
  from: 0,
  sessionS: Infinity,
  nodes: 1,
  act: (simulation, step, clients) => {
    const second = step / STEPS_PER_SECOND;
    if (second < GROWTH_S)
      for (const [zone, share] of simulation.zoneShares.entries())
        simulation.ask(simulation.random.poisson((clients / GROWTH_S / STEPS_PER_SECOND) * share), zone, 0);
    const { drained, killed } = victims(simulation.gateways);
    if (second === DRAIN_AT_S) {
      drained.isDraining = true;
      simulation.announce(drained);
    }
    const left = DRAIN_AT_S + DRAIN_S - second;
    if (drained.isAlive && second >= DRAIN_AT_S && Number.isInteger(second))
      simulation.disconnect(drained, 1 / Math.max(1, left), 1000);
    if (left === 0) {
      drained.isAlive = false;
      simulation.announce(drained);
    }
    if (second === KILL_AT_S) {
      killed.isAlive = false;
      simulation.disconnect(killed, 1, 1000);
    }
    if (second === KILL_AT_S + LEASE_S) simulation.announce(killed);
  },
};

/** A gateway that runs, and as the measures see it. */
interface RealGateway {
  readonly child: Child;
  readonly admin: string;
  readonly seen: SimGateway;
}

const { values: flags } = parseArgs({ options: { clients: { type: 'string', default: '12000' } } });
const clients = Number(flags.clients);
exitOnSignals();
await using stack = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'gochat-placement-'));
stack.defer(() => rmSync(folder, { recursive: true, force: true }));

console.error('starting the engines, state, ipconf and four gateways');
const services = stack.use(await startServices());
const env = {
  GOCHAT_REGISTRY: services.urls.etcd,
  GOCHAT_HOT: services.urls.redis,
  GOCHAT_STORE: services.urls.postgres,
  GOCHAT_LOG_LEVEL: 'info',
};
const start = async (mode: string, more: readonly string[] = []) => {
  const { child, up } = await startServer(mode, more, { env });
  stack.use(child);
  return { child, up };
};
await start('state');
const ipconf = await start('ipconf', ['--rate-per-second', '0']);
const gateways: RealGateway[] = [];
for (const seen of makeFleet(GATEWAYS, clients, UTILISATION, new Random(SEED))) {
  const { child, up } = await start('gateway', [
    '--ws-port',
    '0',
    '--workers',
    '1',
    '--zone',
    ZONES[seen.zone] as string,
    '--max-connections',
    String(seen.capacity),
    '--drain-ms',
    String(DRAIN_S * 1000),
  ]);
  gateways.push({ child, seen, admin: `http://${up['admin']}` });
}
console.error(`making ${clients} accounts`);
const crowd = await startClients(await plan());
const real = await watch();
const tried = await leave(crowd);
report();

/** Says who comes from which zone: as many as the zone was built for. */
async function plan(): Promise<PlannedClient[]> {
  const random = new Random(SEED);
  const total = gateways.reduce((sum, { seen }) => sum + seen.capacity, 0);
  const users = await new Seeds(services.urls.postgres).users(clients);
  return users.map(({ id, token }) => {
    let at = random.next() * total;
    const home = gateways.find(({ seen }) => (at -= seen.capacity) < 0) ?? gateways[0];
    return { user: String(id), token, zone: ZONES[home?.seen.zone ?? 0] as string };
  });
}

/** The clients are dealt to the processes by turns, so that all come evenly. */
async function startClients(planned: readonly PlannedClient[]): Promise<Child[]> {
  const processes = Math.ceil(clients / CLIENTS_PER_PROCESS);
  return Array.from({ length: processes }, (_, i) => {
    const file = join(folder, `plan-${i}`);
    writeFileSync(file, JSON.stringify(planned.filter((__, at) => at % processes === i)), { mode: 0o600 });
    const program = join(ROOT, 'bench/peers/placement-clients.ts');
    const args = [program, `http://${ipconf.up['http']}`, file, String(GROWTH_S)];
    return stack.use(new Child('clients', process.execPath, args));
  });
}

/** Looks at the gateways once a second, drains the one and kills the other. */
async function watch() {
  const measure = new Measure(0);
  const shares: string[] = [];
  const began = performance.now();
  const { drained, killed } = victims(gateways.map(({ seen }) => seen));
  const of = (wanted: SimGateway) => gateways.find(({ seen }) => seen === wanted) as RealGateway;
  for (let second = 0; second < END_S; second++) {
    if (second === DRAIN_AT_S) {
      drained.isDraining = true;
      await runCommand(join(ROOT, 'bin/gochat'), ['ctl', 'drain', '--admin', of(drained).admin]);
    }
    if (second === KILL_AT_S) {
      killed.isAlive = false;
      of(killed).child.kill();
    }
    await setTimeout(Math.max(0, began + (second + 1) * 1000 - performance.now()));
    await Promise.all(gateways.map(count));
    measure.sample(
      second,
      gateways.map(({ seen }) => seen),
    );
    if (PHASES.some(({ to }) => to === second + 1)) {
      shares.push(gateways.map(({ seen }) => `${seen.connections}/${seen.capacity}`).join('  '));
      console.error(`second ${second + 1}: ${shares.at(-1)}`);
    }
  }
  return { series: measure.result(0, 0).series, shares };
}

/** Brings up to date how many connections a gateway says that it has. */
async function count({ child, admin, seen }: RealGateway): Promise<void> {
  if (!seen.isAlive || child.exited) {
    seen.isAlive = false;
    seen.connections = 0;
    return;
  }
  try {
    const text = await (await fetch(`${admin}/metrics`)).text();
    const values = [...text.matchAll(/^gochat_gateway_connections\{.*\} (\d+)/gm)];
    seen.connections = values.reduce((sum, [, value]) => sum + Number(value), 0);
  } catch (error) {
    // Who drains ends at some moment.
    if (!seen.isDraining) throw error;
    seen.isAlive = false;
    seen.connections = 0;
  }
}

/** Ends the clients; returns what they have tried, all together. */
async function leave(processes: readonly Child[]): Promise<Tried> {
  const all: Tried = { asked: 0, attempts: 0, welcomed: 0, lost: 0 };
  for (const child of processes) {
    await child[Symbol.asyncDispose]();
    const line = child.output.split('\n').findLast((each) => each.startsWith('{"asked"'));
    const own = JSON.parse(line ?? '{}') as Tried;
    for (const key of ['asked', 'attempts', 'welcomed', 'lost'] as const) all[key] += own[key];
  }
  return all;
}

function report(): void {
  const simulated = (policy: string) =>
    run({ scenario: SCENARIO, gateways: GATEWAYS, clients, reportAgeMs: 1000, policy, seed: SEED }).series;
  const rows = [real.series, simulated('GoChat'), simulated('classic')];
  console.log(
    `| phase | connections of capacity, at its end | real: worst, at its end | simulated | classic, simulated |`,
  );
  console.log('|---|---|---:|---:|---:|');
  for (const [i, { name, from, to }] of PHASES.entries()) {
    const cells = rows.map((series) => {
      const part = series.slice(from, to).filter((value) => !Number.isNaN(value));
      return `${Math.max(...part).toFixed(3)}, ${part.at(-1)?.toFixed(3)}`;
    });
    console.log(`| ${name} | ${real.shares[i]} | ${cells.join(' | ')} |`);
  }
  const failed = tried.attempts - tried.welcomed;
  console.log(
    `\n${tried.asked} questions to ipconf, ${tried.attempts} connections begun, ${failed} of them in vain,`,
  );
  console.log(`${tried.lost} clients given up.`);
}
