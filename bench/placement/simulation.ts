/** The simulation: clients arrive, ask, connect, leave; gateways report late. The seed determines everything. */
import type { Policy } from './policies.ts';
import { Random } from './random.ts';
import { reportOf, type SimGateway, type SimReport, ZONES } from './world.ts';

/** Length of a step; all events of one step happen in a fixed order. ms. */
export const STEP_MS = 50;
export const STEPS_PER_SECOND = 1000 / STEP_MS;
const STEPS_PER_TICK = 2;
/** Time between an answer and the accepted connection, uniform, ms. */
const MIN_CONNECT_MS = 50;
const MAX_CONNECT_MS = 500;
/** Cost of trying a dead or full gateway before the next of the list, ms. */
const RETRY_NEXT_MS = 200;
/** A client whose whole list failed asks again within this time, uniform (full jitter). ms. */
const ASK_AGAIN_MS = 5_000;
/** Steps that a connection may take, all equally likely. */
const CONNECT_STEPS = (MAX_CONNECT_MS - MIN_CONNECT_MS) / STEP_MS;
/** Far enough ahead for every delay; steps. */
const RING = 1024;
/** If so many clients do the same at once, they are assigned to steps in bulk. */
const MANY = 32;

export interface SimulationOptions {
  readonly gateways: readonly SimGateway[];
  readonly policies: readonly Policy[];
  readonly seed: number;
  /** Age of a report when a policy gets it; gateways report every second. ms. */
  readonly reportAgeMs: number;
  /** Clients leave after this time on average; Infinity: never. s. */
  readonly sessionS: number;
}

/** Runs step by step; a scenario acts on it between steps. */
export class Simulation {
  readonly gateways: readonly SimGateway[];
  /** Attempts that met a dead or full gateway. */
  failedAttempts = 0;
  /** Clients that asked a policy. */
  asked = 0;
  /** Only arrivals are drawn from it, so that each policy has the same clients at the same time. */
  readonly arrivals: Random;
  /** Share of the clients in each zone: the zone's share of the capacity. */
  readonly zoneShares: readonly number[];
  readonly #policies: readonly Policy[];
  readonly #latency: Random;
  readonly #departures: Random;
  readonly #reportAge: number;
  readonly #leave: number;
  readonly #asking = Array.from({ length: RING }, () => new Float64Array(ZONES.length));
  readonly #connecting: Uint32Array[];
  readonly #reports: SimReport[][] = Array.from({ length: RING }, () => []);
  readonly #ranked = new Int32Array(8);
  #step = 0;
  #turn = 0;

  constructor(options: SimulationOptions) {
    this.gateways = options.gateways;
    this.#policies = options.policies;
    this.arrivals = new Random(options.seed);
    const capacity = ZONES.map((_, zone) =>
      options.gateways.reduce((sum, gateway) => sum + (gateway.zone === zone ? gateway.capacity : 0), 0),
    );
    const total = capacity.reduce((sum, part) => sum + part, 0);
    this.zoneShares = capacity.map((part) => part / total);
    this.#latency = new Random(options.seed + 1);
    this.#departures = new Random(options.seed + 2);
    this.#reportAge = Math.round(options.reportAgeMs / STEP_MS);
    this.#leave = 1 - Math.exp(-STEP_MS / 1000 / options.sessionS);
    this.#connecting = Array.from({ length: RING }, () => new Uint32Array(options.gateways.length));
    const first = options.gateways.map(reportOf);
    for (const policy of this.#policies) policy.learn(first, 0);
  }

  get seconds(): number {
    return this.#step / STEPS_PER_SECOND;
  }

  /** Lets clients ask, each at a moment within the next `withinMs`. */
  ask(clients: number, zone: number, withinMs: number): void {
    this.#spread(clients, zone, this.#step, Math.round(withinMs / STEP_MS));
  }

  /** Disconnects a share of a gateway's clients; they ask again within `withinMs`. */
  disconnect(gateway: SimGateway, share: number, withinMs: number): void {
    const cut = share >= 1 ? gateway.connections : this.#departures.binomial(gateway.connections, share);
    gateway.connections -= cut;
    this.ask(cut, gateway.zone, withinMs);
  }

  /** Makes a gateway's state known at once, as when its lease ends or it reports that it drains. */
  announce(gateway: SimGateway): void {
    // Watch events are fast; only reports are old.
    (this.#reports[(this.#step + 2) % RING] as SimReport[]).push(reportOf(gateway));
  }

  step(): void {
    const now = this.#step * STEP_MS;
    const slot = this.#step % RING;
    this.#report(now, slot);
    this.#connect(slot);
    this.#leaveAll();
    const asking = this.#asking[slot] as Float64Array;
    for (let zone = 0; zone < asking.length; zone++) {
      this.#placeAll(asking[zone] as number, zone);
      asking[zone] = 0;
    }
    this.#step++;
  }

  #report(now: number, slot: number): void {
    for (const gateway of this.gateways) {
      if (!gateway.isAlive || gateway.index % STEPS_PER_SECOND !== this.#step % STEPS_PER_SECOND) continue;
      const at = (this.#step + this.#reportAge) % RING;
      (this.#reports[at] as SimReport[]).push(reportOf(gateway));
    }
    const due = (this.#reports[slot] as SimReport[]).flatMap((report) => {
      const { epoch, isAlive, isDraining } = this.gateways[report.index] as SimGateway;
      // The registry knows better than an old report which process has ended and which one drains.
      if (report.epoch !== epoch || (report.isAlive && !isAlive)) return [];
      return report.isDraining === isDraining ? [report] : [{ ...report, isDraining }];
    });
    this.#reports[slot] = [];
    for (const policy of this.#policies) {
      if (due.length > 0) policy.learn(due, now);
      if (this.#step % STEPS_PER_TICK === 0) policy.tick(now);
    }
  }

  #connect(slot: number): void {
    const connecting = this.#connecting[slot] as Uint32Array;
    for (const gateway of this.gateways) {
      const count = connecting[gateway.index] as number;
      if (count === 0) continue;
      const taken = gateway.isAlive
        ? Math.min(count, Math.max(0, gateway.capacity - gateway.connections))
        : 0;
      gateway.connections += taken;
      gateway.accepted += taken;
      this.#refuse(count - taken, gateway.zone);
    }
    connecting.fill(0);
  }

  #leaveAll(): void {
    if (this.#leave === 0) return;
    for (const gateway of this.gateways)
      gateway.connections -= this.#departures.binomial(gateway.connections, this.#leave);
  }

  /** Lets clients ask, each the next ipconf node. */
  #placeAll(clients: number, zone: number): void {
    this.asked += clients;
    const policies = this.#policies;
    if (clients >= MANY && policies[0]?.isSameForAll === true) {
      for (let i = 0; i < policies.length; i++) {
        const part = Math.floor((clients + i) / policies.length);
        this.#go(part, zone, (policies[i] as Policy).place(zone, this.#ranked));
      }
      return;
    }
    for (let left = clients; left > 0; left--) {
      const policy = policies[this.#turn++ % policies.length] as Policy;
      this.#go(1, zone, policy.place(zone, this.#ranked));
    }
  }

  /** Sends clients to the first gateway of their list that answers. */
  #go(clients: number, zone: number, count: number): void {
    let first = this.#step + 1 + MIN_CONNECT_MS / STEP_MS;
    for (let i = 0; i < count; i++) {
      const gateway = this.gateways[this.#ranked[i] as number] as SimGateway;
      if (gateway.isAlive && gateway.connections < gateway.capacity) {
        if (clients === 1) this.#connectAt(first + this.#latency.below(CONNECT_STEPS), gateway, 1);
        else this.#deal(clients, CONNECT_STEPS, (i, part) => this.#connectAt(first + i, gateway, part));
        return;
      }
      this.failedAttempts += clients;
      first += RETRY_NEXT_MS / STEP_MS;
    }
    this.#again(clients, zone);
  }

  #connectAt(step: number, { index }: SimGateway, clients: number): void {
    const connecting = this.#connecting[step % RING] as Uint32Array;
    connecting[index] = (connecting[index] as number) + clients;
  }

  /** Handles clients that reach a gateway that filled up or died meanwhile. */
  #refuse(clients: number, zone: number): void {
    this.failedAttempts += clients;
    this.#again(clients, zone);
  }

  #again(clients: number, zone: number): void {
    this.#spread(clients, zone, this.#step + 1, ASK_AGAIN_MS / STEP_MS);
  }

  /** Lets clients ask in steps from `first` on, each in a random one. */
  #spread(clients: number, zone: number, first: number, steps: number): void {
    const within = Math.max(1, Math.min(RING - 1, steps));
    if (clients < MANY)
      for (let i = 0; i < clients; i++) this.#add(first + this.#latency.below(within), zone, 1);
    else this.#deal(clients, within, (i, part) => this.#add(first + i, zone, part));
  }

  /** Assigns clients to slots, each to a random one. */
  #deal(clients: number, slots: number, take: (slot: number, clients: number) => void): void {
    let left = clients;
    for (let i = 0; i < slots && left > 0; i++) {
      const part = i === slots - 1 ? left : this.#latency.binomial(left, 1 / (slots - i));
      take(i, part);
      left -= part;
    }
  }

  #add(step: number, zone: number, clients: number): void {
    const slot = this.#asking[step % RING] as Float64Array;
    slot[zone] = (slot[zone] as number) + clients;
  }
}
