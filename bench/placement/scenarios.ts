/** The scenarios: what happens to the fleet, and from when on it is measured. */
import type { Simulation } from './simulation.ts';
import { STEPS_PER_SECOND } from './simulation.ts';
import type { SimGateway } from './world.ts';

export interface Scenario {
  readonly name: string;
  /** Description for readers, one sentence. */
  readonly about: string;
  /** Utilisation of the fleet with all clients. */
  readonly utilisation: number;
  /** Share of the clients that are connected at the start, placed evenly. */
  readonly startsWith: number;
  readonly seconds: number;
  /** Second of the disturbance; measured from there. */
  readonly from: number;
  /** Second in which the disturbance is over; balance counts from there. */
  readonly until: number;
  /** Mean time that a client stays, s. */
  readonly sessionS: number;
  /** ipconf nodes; each client asks one of them in turn. */
  readonly nodes: number;
  /** Called before each step; `clients` is the full number. */
  act(simulation: Simulation, step: number, clients: number): void;
}

/** Time within which clients that lost their connection are back: no longer than it takes to answer so many. ms. */
const RETURN_MS = 1_000;
const UTILISATION = 0.65;
const SESSION_S = 1800;
const GROWTH_S = 300;
/** Live connections are never moved, so an emptied gateway fills only as clients come and go. s. */
const SETTLE_S = 800;

/** Clients arrive so that their number grows evenly to the full one and those that leave are replaced. */
function grow(simulation: Simulation, step: number, clients: number, sessionS: number): void {
  const second = step / STEPS_PER_SECOND;
  const net = second < GROWTH_S ? clients / GROWTH_S : 0;
  const present = (clients * Math.min(second, GROWTH_S)) / GROWTH_S;
  arrive(simulation, net + present / sessionS);
}

/** New clients replace those that leave. */
function replace(simulation: Simulation, clients: number, sessionS: number): void {
  arrive(simulation, clients / sessionS);
}

function arrive(simulation: Simulation, perSecond: number): void {
  for (const [zone, share] of simulation.zoneShares.entries())
    simulation.ask(simulation.arrivals.poisson((perSecond / STEPS_PER_SECOND) * share), zone, 0);
}

function largest(gateways: readonly SimGateway[]): SimGateway {
  return gateways.reduce((a, b) => (b.capacity > a.capacity ? b : a));
}

function kill(simulation: Simulation, gateway: SimGateway): void {
  gateway.isAlive = false;
  simulation.announce(gateway);
  simulation.disconnect(gateway, 1, RETURN_MS);
}

function revive(simulation: Simulation, gateway: SimGateway): void {
  gateway.epoch++;
  gateway.isAlive = true;
  gateway.isDraining = false;
  gateway.accepted = 0;
  simulation.announce(gateway);
}

const growth: Scenario = {
  name: 'steady growth',
  about: 'The number of clients grows from 0 to all within 5 minutes, while some leave and others come.',
  utilisation: UTILISATION,
  startsWith: 0,
  seconds: GROWTH_S + 30,
  from: 0,
  until: 0,
  sessionS: SESSION_S,
  nodes: 1,
  act: (simulation, step, clients) => grow(simulation, step, clients, SESSION_S),
};

const storm: Scenario = {
  name: 'reconnect storm',
  about: '30 % of the clients lose their connection at once and come back within 1 s.',
  utilisation: UTILISATION,
  startsWith: 1,
  seconds: 90,
  from: 10,
  until: 10,
  sessionS: SESSION_S,
  nodes: 1,
  act: (simulation, step, clients) => {
    replace(simulation, clients, SESSION_S);
    if (step !== 10 * STEPS_PER_SECOND) return;
    for (const gateway of simulation.gateways) simulation.disconnect(gateway, 0.3, RETURN_MS);
  },
};

const RESTART_BATCHES = 20;
const RESTART_EVERY_S = 15;
/** Low enough that one gateway can restart: of ten, the largest holds a third of the clients. Share. */
const RESTART_UTILISATION = 0.5;
/** A gateway drains for 10 s, is away for 5 s and comes back. */
const rollingRestart: Scenario = {
  name: 'rolling restart',
  about:
    'Every twentieth of the fleet (every tenth, where there are ten) drains for 10 s, is away for 5 s and comes back empty, one after the other.',
  utilisation: RESTART_UTILISATION,
  startsWith: 1,
  seconds: 10 + RESTART_BATCHES * RESTART_EVERY_S + SETTLE_S,
  from: 10,
  until: 10 + RESTART_BATCHES * RESTART_EVERY_S,
  sessionS: SESSION_S,
  nodes: 1,
  act: (simulation, step, clients) => {
    replace(simulation, clients, SESSION_S);
    const second = step / STEPS_PER_SECOND - 10;
    if (!Number.isInteger(second)) return;
    const batches = Math.min(RESTART_BATCHES, simulation.gateways.length);
    const every = (RESTART_BATCHES * RESTART_EVERY_S) / batches;
    for (const gateway of simulation.gateways) {
      const at = second - (gateway.index % batches) * every;
      if (at === 0) {
        gateway.isDraining = true;
        simulation.announce(gateway);
      } else if (at > 0 && at <= 10) simulation.disconnect(gateway, 1 / (11 - at), 1000);
      if (at === 10) kill(simulation, gateway);
      if (at === 15) revive(simulation, gateway);
    }
  },
};

const ZONE_SESSION_S = 300;
const ZONE_LOST_S = 20;
const ZONE_BACK_S = 120;
const zoneLost: Scenario = {
  name: 'zone lost and back',
  about: 'One of three zones is gone for 100 s.',
  utilisation: 0.55,
  startsWith: 1,
  seconds: ZONE_BACK_S + SETTLE_S,
  from: ZONE_LOST_S,
  until: ZONE_BACK_S,
  sessionS: ZONE_SESSION_S,
  nodes: 1,
  act: (simulation, step, clients) => {
    replace(simulation, clients, ZONE_SESSION_S);
    for (const gateway of simulation.gateways) {
      if (gateway.zone !== 2) continue;
      if (step === ZONE_LOST_S * STEPS_PER_SECOND) kill(simulation, gateway);
      if (step === ZONE_BACK_S * STEPS_PER_SECOND) revive(simulation, gateway);
    }
  },
};

const SLOW_SESSION_S = 300;
const slowGateway: Scenario = {
  name: 'slow gateway',
  about:
    'The largest gateway can suddenly carry half of what it could, and shows it by its CPU alone; utilisation counts what it can really carry.',
  utilisation: 0.45,
  startsWith: 1,
  seconds: 320,
  from: 20,
  until: 20,
  sessionS: SLOW_SESSION_S,
  nodes: 1,
  act: (simulation, step, clients) => {
    replace(simulation, clients, SLOW_SESSION_S);
    if (step === 20 * STEPS_PER_SECOND) largest(simulation.gateways).speed = 0.5;
  },
};

const liar: Scenario = {
  name: 'a gateway that lies',
  about:
    'The largest gateway reports that it holds nobody, all the time, while clients come as in steady growth.',
  utilisation: UTILISATION,
  startsWith: 0,
  seconds: GROWTH_S + 30,
  from: 0,
  until: 0,
  sessionS: SESSION_S,
  nodes: 1,
  act: (simulation, step, clients) => {
    if (step === 0) largest(simulation.gateways).lies = true;
    grow(simulation, step, clients, SESSION_S);
  },
};

export const SCENARIOS: readonly Scenario[] = [
  growth,
  storm,
  rollingRestart,
  zoneLost,
  slowGateway,
  liar,
  {
    ...growth,
    name: 'growth, 3 ipconf nodes',
    about: 'As steady growth, on three ipconf nodes that do not talk to each other.',
    nodes: 3,
  },
  { ...storm, name: 'storm, 3 ipconf nodes', about: 'As the storm, on three ipconf nodes.', nodes: 3 },
];
