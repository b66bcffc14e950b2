/** The interface of a measured system: GoChat and its peers look the same to the bench. */
import type { PlannedConnection, Protocol } from '../lib/load.ts';
import type { Tracked } from '../lib/usage.ts';

/** A kind of load. */
export interface Workload {
  /** direct: pairs that both send. room: one publisher, the others receive. idle: nobody sends. */
  readonly scenario: 'direct' | 'room' | 'idle';
  /** Connections, a room's publisher not counted. */
  readonly connections: number;
  /** room: many rooms of this many members, publisher included, instead of one of all. */
  readonly roomSize?: number;
  /** direct: conversations of each pair, used by turns; 1 without it. */
  readonly conversationsPerPair?: number;
  /** idle: of these, how many connect first; memory is the growth from then on. */
  readonly first?: number;
}

/** The load generator's view of a peer. */
export interface Target {
  readonly protocol: Protocol;
  readonly ports: readonly number[];
  readonly connections: readonly PlannedConnection[];
}

/** A system that runs; disposing stops it. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  /** Durability of an acknowledged message, in a few words. */
  readonly durability: string;
  /** Its processes, those of its engines included. */
  readonly servers: readonly Tracked[];
  /** Returns undefined for a workload that it has no equal of. */
  open(workload: Workload): Promise<Target | undefined>;
  /** Statements that its PostgreSQL has executed so far, where it has one. */
  statements?(): Promise<number>;
}

/** The connections of a workload on a peer without accounts; conversations are numbered from `first`. */
export function anonymous(workload: Workload, first: number): PlannedConnection[] {
  const { scenario, connections, roomSize } = workload;
  if (roomSize !== undefined) {
    return Array.from({ length: connections }, (_, i) => ({
      conversation: BigInt(first + Math.floor(i / roomSize)),
      sends: i % roomSize === 0,
      token: '-',
    }));
  }
  if (scenario === 'room') {
    return Array.from({ length: connections + 1 }, (_, i) => ({
      conversation: BigInt(first),
      sends: i === 0,
      token: '-',
    }));
  }
  return Array.from({ length: connections }, (_, i) => ({
    conversation: BigInt(scenario === 'idle' ? first + i : first + (i >> 1)),
    sends: scenario === 'direct',
    token: '-',
  }));
}
