/**
 * Placement on real processes: four gateways, 12,000 clients; one gateway is drained, one killed:
 *   make bench-placement-real, or node bench/placement/real.ts [--clients 12000]
 * Beside it the simulation of the same, with the same sizes, zones and times. Takes some three minutes.
 */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { exitOnSignals } from '../lib/child.ts';
import { Measure } from './measures.ts';
import { GATEWAYS, RealFleet, SEED, UTILISATION, victims } from './real-fleet.ts';
import { run } from './run.ts';
import type { Scenario } from './scenarios.ts';
import { STEPS_PER_SECOND } from './simulation.ts';

/** Seconds of the run. */
const GROWTH_S = 60;
const DRAIN_AT_S = 65;
const DRAIN_S = 10;
const KILL_AT_S = 85;
/** Time until the registry ends a killed gateway's lease. */
const LEASE_S = 10;
const END_S = 115;
const PHASES = [
  { name: 'all come', from: 0, to: DRAIN_AT_S },
  { name: 'one drained', from: DRAIN_AT_S, to: KILL_AT_S },
  { name: 'one killed', from: KILL_AT_S, to: END_S },
] as const;

const SCENARIO: Scenario = {
  name: 'drain and kill',
  about:
    'Clients come; one gateway drains; another one dies, and the registry learns it when its lease ends.',
  utilisation: UTILISATION,
  startsWith: 0,
  seconds: END_S,
  from: 0,
  until: 0,
  sessionS: Infinity,
  nodes: 1,
  act: (simulation, step, clients) => {
    const second = step / STEPS_PER_SECOND;
    if (second < GROWTH_S)
      for (const [zone, share] of simulation.zoneShares.entries())
        simulation.ask(simulation.arrivals.poisson((clients / GROWTH_S / STEPS_PER_SECOND) * share), zone, 0);
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

const { values: flags } = parseArgs({ options: { clients: { type: 'string', default: '12000' } } });
const clients = Number(flags.clients);
exitOnSignals();
console.error('starting the engines, state, ipconf and four gateways');
await using fleet = await RealFleet.start(clients, DRAIN_S * 1000);
console.error(`making ${clients} accounts`);
await fleet.come(GROWTH_S);
const real = await watch();
const tried = await fleet.leave();
report();

/** Measures the gateways once a second, drains one and kills another. */
async function watch() {
  const measure = new Measure(0, 0);
  const shares: string[] = [];
  const began = performance.now();
  const { drained, killed } = victims(fleet.gateways);
  for (let second = 0; second < END_S; second++) {
    if (second === DRAIN_AT_S) await fleet.drain(drained);
    if (second === KILL_AT_S) fleet.kill(killed);
    await setTimeout(Math.max(0, began + (second + 1) * 1000 - performance.now()));
    await fleet.look();
    measure.sample(second, fleet.gateways);
    if (PHASES.some(({ to }) => to === second + 1)) {
      shares.push(fleet.gateways.map(({ connections, capacity }) => `${connections}/${capacity}`).join('  '));
      console.error(`second ${second + 1}: ${shares.at(-1)}`);
    }
  }
  return { series: measure.result(0, 0).series, shares };
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
