/** The interface of a measured system: GoChat and its peers look the same to the bench. */
import type { PlannedConnection, Protocol } from '../lib/load.ts';
import type { Tracked } from '../lib/usage.ts';

/** A kind of load. */
export interface Workload {
  /** direct: both of a pair send. room: one publisher, the others receive. idle: nobody sends. */
  readonly scenario: 'direct' | 'room' | 'idle';
  /** Connections, without a room's publisher. */
  readonly connections: number;
  /** room: several rooms of this many members, publisher included, instead of one with all connections. */
  readonly roomSize?: number;
  /** direct: conversations of each pair, used in turn. @default 1 */
  readonly conversationsPerPair?: number;
  /** idle: how many of these connect first; memory is the growth from then on. */
  readonly first?: number;
}

/** The load generator's view of a peer. */
export interface Target {
  readonly protocol: Protocol;
  readonly ports: readonly number[];
  readonly connections: readonly PlannedConnection[];
}

/** A running system; disposing stops it. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  /** Durability of an acknowledged message, in a few words. */
  readonly durability: string;
  /** Its processes, including those of its engines. */
  readonly servers: readonly Tracked[];
  /** Returns undefined for a workload that it does not support. */
  open(workload: Workload): Promise<Target | undefined>;
  /** Statements that its PostgreSQL has executed so far, if it has one. */
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
