/** One run: a scenario, a fleet, a policy. */
import { Measure, type Measures } from './measures.ts';
import { POLICIES } from './policies.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenarios.ts';
import { Simulation, STEPS_PER_SECOND } from './simulation.ts';
import { makeFleet } from './world.ts';

export interface RunOptions {
  readonly scenario: Scenario;
  readonly gateways: number;
  readonly clients: number;
  readonly reportAgeMs: number;
  readonly policy: string;
  readonly seed: number;
}

export function run(options: RunOptions): Measures {
  const { scenario, clients, seed } = options;
  const gateways = makeFleet(options.gateways, clients, scenario.utilisation, new Random(seed));
  for (const gateway of gateways) {
    gateway.connections = Math.round(gateway.capacity * scenario.utilisation * scenario.startsWith);
    gateway.accepted = gateway.connections;
  }
  const make = POLICIES[options.policy];
  if (!make) throw new RangeError(`there is no policy ${options.policy}`);
  const policies = Array.from({ length: scenario.nodes }, (_, node) =>
    make(new Random(seed + 100 + node), scenario.nodes),
  );
  const simulation = new Simulation({
    gateways,
    policies,
    seed,
    reportAgeMs: options.reportAgeMs,
    sessionS: scenario.sessionS,
  });
  const measure = new Measure(scenario.from, scenario.until);
  for (let step = 0; step < scenario.seconds * STEPS_PER_SECOND; step++) {
    scenario.act(simulation, step, clients);
    simulation.step();
    if ((step + 1) % STEPS_PER_SECOND === 0) measure.sample(Math.floor(simulation.seconds) - 1, gateways);
  }
  return measure.result(simulation.failedAttempts, simulation.asked);
}
