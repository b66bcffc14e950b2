/** Runs the scenarios on the peers, round by round, so that what disturbs the machine disturbs all of them alike. */
import { setTimeout } from 'node:timers/promises';
import type { Peer, Workload } from '../peers/peer.ts';
import type { Fleet } from './fleet.ts';
import type { LoadGenerator, Measured } from './load.ts';
import type { PeerName, Scenario } from './scenarios.ts';
import { residentMiB, type Tracked } from './usage.ts';

export interface Timing {
  readonly repeats: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** All rounds of one scenario on one peer. */
export interface Outcome {
  readonly scenario: string;
  readonly peer: PeerName;
  readonly durability: string;
  readonly rounds: readonly Measured[];
  /** Only for idle. */
  readonly idle?: IdleMemory;
}

/**
 * Growth of the servers' resident memory per connection, KiB, as it stands a minute after the last login; their engines
 * are not counted.
 */
export interface IdleMemory {
  /** Growth since there was no connection: what users see. */
  readonly whole: number;
  /** Growth since the first connections, if there are any: the cost of each further one. */
  readonly grown: number;
  /** Growth between two garbage collections, if the scenario runs them. */
  readonly collected?: number;
}

/** The servers' memory at one moment, MiB. */
interface Reading {
  readonly asItStands: number;
  readonly collected?: number;
}

/** Time after the last login: connections have settled, and servers that return memory have done so. */
const SETTLE_MS = 60_000;
/** Share of the scheduled messages that must be acknowledged within the measured time. */
const KEPT = 0.98;
const CLIMB = 1.1;
/** Failures that end the search; one alone may be a disturbance. */
const CLIMB_ATTEMPTS = 2;
/** Messages per second. */
const CLIMB_LEAST = 100;
/** Time for processes to return freed memory to the system. */
const RETURN_MS = 1000;

export class Runner {
  readonly #load: LoadGenerator;
  readonly #timing: Timing;
  readonly #signal: AbortSignal;
  readonly #outcomes: Outcome[] = [];

  constructor(load: LoadGenerator, timing: Timing, signal: AbortSignal) {
    this.#load = load;
    this.#timing = timing;
    this.#signal = signal;
  }

  /** Runs one scenario on all of its available peers. @param cores the load generator's; undefined: all */
  async run(scenario: Scenario, fleet: Fleet, cores: string | undefined): Promise<Outcome[]> {
    const { peers } = fleet;
    const names = scenario.peers.filter((name) => peers.has(name));
    if (scenario.halfOf !== undefined && this.#rate(scenario) === undefined) {
      console.error(`${scenario.name}: skipped, it needs ${scenario.halfOf} on gochat in the same run`);
      return [];
    }
    const rounds = new Map<PeerName, Measured[]>(names.map((name) => [name, []]));
    const idle = new Map<PeerName, IdleMemory>();
    const repeats = scenario.once ? 1 : this.#timing.repeats;
    for (let round = 0; round < repeats; round++) {
      for (const name of names) {
        console.error(`${scenario.name}: ${name}, ${round + 1} of ${repeats}`);
        const peer = peers.get(name) as Peer;
        const at = async (rate: number | undefined) => {
          // The open loop measures latency, which leftovers of the full load would distort.
          if (rate !== undefined) await fleet.settle();
          return await this.#measure(scenario, peer, { rate, cores });
        };
        const { measured, memory } =
          scenario.climbFrom === undefined
            ? await at(this.#rate(scenario))
            : { measured: await climb(scenario.climbFrom, async (rate) => (await at(rate)).measured) };
        if (measured !== undefined) rounds.get(name)?.push(measured);
        if (memory !== undefined) idle.set(name, memory);
      }
    }
    const outcomes = names.map((name): Outcome => {
      const memory = idle.get(name);
      return {
        scenario: scenario.name,
        peer: name,
        durability: (peers.get(name) as Peer).durability,
        rounds: rounds.get(name) as Measured[],
        ...(memory !== undefined && { idle: memory }),
      };
    });
    this.#outcomes.push(...outcomes);
    return outcomes;
  }

  /** The open loop's rate; undefined for the closed loop, and if the full load was not measured. */
  #rate(scenario: Scenario): number | undefined {
    if (scenario.perSecond !== undefined) return scenario.perSecond;
    const full = this.#outcomes.find(
      ({ scenario: name, peer }) => name === scenario.halfOf && peer === 'gochat',
    );
    if (full === undefined || full.rounds.length === 0) return undefined;
    return Math.round(median(full.rounds.map(({ load }) => load.acked_per_s)) / 2);
  }

  async #measure(
    scenario: Scenario,
    peer: Peer,
    how: { rate: number | undefined; cores: string | undefined },
  ): Promise<{ measured?: Measured; memory?: IdleMemory }> {
    const { workload, window } = scenario;
    const target = await peer.open(workload);
    if (target === undefined) return {};
    const isIdle = workload.scenario === 'idle';
    const own = peer.servers.filter(({ name }) => !['postgres', 'redis', 'etcd'].includes(name));
    const collects = scenario.collects ?? false;
    const readings: Promise<Reading>[] = isIdle ? [readMemory(own, collects)] : [];
    await readings[0];
    const statements = isIdle ? undefined : await peer.statements?.();
    const measured = await this.#load.run(
      {
        ...target,
        scenario: workload.scenario,
        seconds: scenario.seconds ?? this.#timing.seconds,
        warmup: this.#timing.warmup,
        cores: how.cores,
        ...(window !== undefined && { window }),
        ...(workload.first !== undefined && { first: workload.first }),
        ...(how.rate !== undefined && { rate: how.rate }),
        ...(scenario.firstSends !== undefined && { firstSends: scenario.firstSends }),
      },
      peer.servers,
      this.#signal,
      (phase) => {
        if (!isIdle || phase !== 'connected') return;
        const reading = setTimeout(SETTLE_MS).then(() => readMemory(own, collects));
        // Awaited after the run.
        reading.catch(() => undefined);
        readings.push(reading);
      },
    );
    if (isIdle) return { measured, memory: growth(await Promise.all(readings), workload) };
    if (statements === undefined || peer.statements === undefined) return { measured };
    const executed = (await peer.statements()) - statements;
    return { measured: { ...measured, statementsPerMessage: executed / measured.load.acked_in_all } };
  }
}

/** Looks for the highest rate that is sustained, in steps of a tenth; undefined if there is none. */
async function climb(
  from: number,
  measure: (rate: number) => Promise<Measured | undefined>,
): Promise<Measured | undefined> {
  const kept = async (rate: number): Promise<Measured | undefined> => {
    for (let attempt = 0; attempt < CLIMB_ATTEMPTS; attempt++) {
      const measured = await measure(Math.round(rate));
      if (measured !== undefined && measured.load.acked_per_s >= rate * KEPT) return measured;
    }
    return undefined;
  };
  let best: Measured | undefined;
  let next = await kept(from);
  for (let rate = from * CLIMB; next !== undefined; rate *= CLIMB) {
    best = next;
    next = await kept(rate);
  }
  for (let rate = from / CLIMB; best === undefined && rate > CLIMB_LEAST; rate /= CLIMB)
    best = await kept(rate);
  return best;
}

async function readMemory(servers: readonly Tracked[], collects: boolean): Promise<Reading> {
  const asItStands = memoryOf(servers);
  if (!collects) return { asItStands };
  await Promise.all(servers.map(async (server) => server.collect?.()));
  await setTimeout(RETURN_MS);
  return { asItStands, collected: memoryOf(servers) };
}

/** Resident memory of all servers, MiB. */
function memoryOf(servers: readonly Tracked[]): number {
  return servers.reduce((total, { pid }) => total + residentMiB(pid), 0);
}

/** @param readings with no connection, with the first ones if there are any, with all */
function growth(readings: readonly Reading[], { connections, first = 0 }: Workload): IdleMemory {
  const [none, before, after] = [0, -2, -1].map((at) => readings.at(at)) as [Reading, Reading, Reading];
  const each = (from: number, to: number, count: number) => ((to - from) * 1024) / count;
  const stood = ({ asItStands, collected = asItStands }: Reading) => collected;
  return {
    whole: each(stood(none), after.asItStands, connections),
    grown: each(stood(before), after.asItStands, connections - first),
    ...(after.collected !== undefined && { collected: each(stood(none), after.collected, connections) }),
  };
}

/** The median; NaN for no numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
