/** Runs the scenarios on the peers, round by round, so that what disturbs the machine disturbs all of them alike. */
import { availableParallelism } from 'node:os';
import type { Peer } from '../peers/peer.ts';
import { run as runCommand } from './child.ts';
import type { LoadGenerator, Measured } from './load.ts';
import type { PeerName, Scenario } from './scenarios.ts';
import { pin, residentMiB } from './usage.ts';

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
  /** Growth of the servers' memory per connection, engines not counted; idle only. */
  readonly idleKiB?: number;
  /** The same from no connection on, garbage of the logins included. */
  readonly idleFromNoneKiB?: number;
}

export class Runner {
  readonly #load: LoadGenerator;
  readonly #peers: ReadonlyMap<PeerName, Peer>;
  readonly #timing: Timing;
  readonly #signal: AbortSignal;
  readonly #outcomes: Outcome[] = [];

  constructor(load: LoadGenerator, peers: ReadonlyMap<PeerName, Peer>, timing: Timing, signal: AbortSignal) {
    this.#load = load;
    this.#peers = peers;
    this.#timing = timing;
    this.#signal = signal;
  }

  /** Runs one scenario on all of its peers that are there. */
  async run(scenario: Scenario): Promise<Outcome[]> {
    const names = scenario.peers.filter((name) => this.#peers.has(name));
    const pinned = scenario.cores === 'one-core' && (await canPin());
    if (scenario.halfOf !== undefined && this.#rate(scenario, 'gochat') === undefined) {
      console.error(`${scenario.name}: skipped, it needs ${scenario.halfOf} on gochat in the same run`);
      return [];
    }
    const pids = names.flatMap((name) => (this.#peers.get(name) as Peer).servers.map(({ pid }) => pid));
    const lastCore = availableParallelism() - 1;
    if (pinned) await pin(pids, '0');
    const rounds = new Map<PeerName, Measured[]>(names.map((name) => [name, []]));
    const idle = new Map<PeerName, { grown: number; fromNone: number }>();
    try {
      const repeats = scenario.once ? 1 : this.#timing.repeats;
      for (let round = 0; round < repeats; round++) {
        for (const name of names) {
          console.error(`${scenario.name}: ${name}, ${round + 1} of ${repeats}`);
          const { measured, idleKiB } = await this.#measure(scenario, this.#peers.get(name) as Peer, {
            rate: this.#rate(scenario, name),
            cores: pinned ? String(lastCore) : undefined,
          });
          if (measured !== undefined) rounds.get(name)?.push(measured);
          if (idleKiB !== undefined) idle.set(name, idleKiB);
        }
      }
    } finally {
      if (pinned) await pin(pids, `0-${lastCore}`);
    }
    const outcomes = names.map((name): Outcome => {
      const idleKiB = idle.get(name);
      return {
        scenario: scenario.name,
        peer: name,
        durability: (this.#peers.get(name) as Peer).durability,
        rounds: rounds.get(name) as Measured[],
        ...(idleKiB !== undefined && { idleKiB: idleKiB.grown, idleFromNoneKiB: idleKiB.fromNone }),
      };
    });
    this.#outcomes.push(...outcomes);
    return outcomes;
  }

  /** The open loop's rate; undefined for the closed one, and where the full load was not measured. */
  #rate(scenario: Scenario, of: PeerName): number | undefined {
    if (scenario.perSecond !== undefined) return scenario.perSecond;
    const reached = scenario.halfOfOwn ? of : 'gochat';
    const full = this.#outcomes.find(
      ({ scenario: name, peer }) => name === scenario.halfOf && peer === reached,
    );
    return full && Math.round(median(full.rounds.map(({ load }) => load.acked_per_s)) / 2);
  }

  async #measure(
    scenario: Scenario,
    peer: Peer,
    how: { rate: number | undefined; cores: string | undefined },
  ): Promise<{ measured?: Measured; idleKiB?: { grown: number; fromNone: number } }> {
    const { workload, window } = scenario;
    const door = await peer.open(workload);
    if (door === undefined) return {};
    const own = peer.servers.filter(({ name }) => !['postgres', 'redis', 'etcd'].includes(name));
    const memory = () => own.reduce((total, { pid }) => total + residentMiB(pid), 0);
    const none = memory();
    let before = none;
    let after = 0;
    const statements = await peer.statements?.();
    const measured = await this.#load.run(
      {
        ...door,
        scenario: workload.scenario,
        seconds: scenario.seconds ?? this.#timing.seconds,
        warmup: scenario.warmup?.seconds ?? this.#timing.warmup,
        cores: how.cores,
        ...(window !== undefined && { window }),
        ...(workload.first !== undefined && { first: workload.first }),
        ...(how.rate !== undefined && { rate: how.rate }),
        ...(scenario.warmup !== undefined && { warmupRate: scenario.warmup.perSecond }),
      },
      peer.servers,
      this.#signal,
      (phase) => {
        if (phase === 'first') before = memory();
        if (phase === 'measured') after = memory();
      },
    );
    if (workload.scenario !== 'idle') {
      if (statements === undefined || peer.statements === undefined) return { measured };
      const executed = (await peer.statements()) - statements;
      return { measured: { ...measured, statementsPerMessage: executed / measured.load.acked_in_all } };
    }
    const grown = workload.connections - (workload.first ?? 0);
    const idleKiB = {
      grown: ((after - before) * 1024) / grown,
      fromNone: ((after - none) * 1024) / workload.connections,
    };
    return { measured, idleKiB };
  }
}

/** The middle of the numbers; NaN of none. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

async function canPin(): Promise<boolean> {
  if (availableParallelism() < 2) return false;
  return await runCommand('which', ['taskset']).then(
    () => true,
    () => false,
  );
}
