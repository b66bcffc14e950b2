/** The scenarios of the bench: loads, peers, and baselines. */
import type { Workload } from '../peers/peer.ts';

export const PEERS = [
  'gochat',
  'gochat-ws',
  'gochat-no-log',
  'gochat-embedded',
  'bare-pipeline',
  'bare-loop',
  'bare-each',
  'bare-ws',
  'socket.io',
  'bare-epoll',
  'nats',
  'mosquitto',
  'ejabberd',
] as const;
export type PeerName = (typeof PEERS)[number];

export interface Scenario {
  readonly name: string;
  /** Description, one line. */
  readonly title: string;
  readonly workload: Workload;
  /** Messages in flight of each sender (closed loop). */
  readonly window?: number;
  /** Open loop at half of what GoChat reached in this scenario of the same run. */
  readonly halfOf?: string;
  /** Open loop at this rate, messages per second of all senders together. */
  readonly perSecond?: number;
  /** Open loop at the highest rate that is sustained, searched for from this rate on; each round is a search. */
  readonly climbFrom?: number;
  /** Overrides the run's. */
  readonly seconds?: number;
  /** Messages before an open loop: enough to have used every connection and conversation that is measured. */
  readonly firstSends?: number;
  /** one-core: the servers share the first core, the load has the last one. all: everything shares all cores. */
  readonly cores: 'all' | 'one-core';
  /** Basis of the ratio. */
  readonly rate: 'acked_per_s' | 'delivered_per_s';
  readonly baseline: PeerName;
  readonly peers: readonly PeerName[];
  /** Whether it is part of a run without arguments. */
  readonly usual: boolean;
  /** idle: collect garbage before memory is read. The figure then varies less, but is not what users see. */
  readonly collects?: boolean;
  /** One round is enough. */
  readonly once?: boolean;
}

/** Connections of the direct and room scenarios. */
export const MEMBERS = 1000;

/** Time from the last login until memory has been read: a minute, and time to collect garbage. */
const IDLE_SECONDS = 70;

const EVERYONE: readonly PeerName[] = ['gochat', 'gochat-embedded', 'nats', 'mosquitto', 'socket.io'];

/** Name of the baseline. */
const VARIANTS: readonly PeerName[] = ['bare-each', 'bare-ws'];

/**
 * The scenarios in their order; idle first, on servers that have done nothing yet.
 *
 * @param variants with the further peers of the rooms, which take their time
 */
export function scenarios(quick: boolean, variants: boolean): readonly Scenario[] {
  const idle = quick ? 1000 : 5000;
  return [
    {
      name: `idle-${idle}`,
      title: `${idle} idle, logged-in connections with heartbeats`,
      workload: { scenario: 'idle', connections: idle },
      seconds: IDLE_SECONDS,
      cores: 'all',
      rate: 'acked_per_s',
      baseline: 'bare-loop',
      peers: ['bare-loop', 'bare-ws', 'bare-epoll', 'gochat-ws', ...EVERYONE],
      usual: true,
      once: true,
    },
    ...[1, 4].map(
      (window): Scenario => ({
        name: `direct-${MEMBERS}x${window}`,
        title: `${MEMBERS} connections in pairs, ${window} unacked each`,
        workload: { scenario: 'direct', connections: MEMBERS },
        window,
        cores: 'all',
        rate: 'acked_per_s',
        baseline: 'bare-pipeline',
        peers: ['bare-pipeline', ...EVERYONE, 'ejabberd'],
        usual: true,
      }),
    ),
    {
      name: 'direct-open',
      title: `${MEMBERS} connections in pairs, open loop at the highest rate that is kept`,
      workload: { scenario: 'direct', connections: MEMBERS },
      climbFrom: 40_000,
      cores: 'all',
      rate: 'acked_per_s',
      baseline: 'bare-pipeline',
      peers: ['bare-pipeline', 'gochat'],
      usual: true,
    },
    ...Object.entries({ x1: `direct-${MEMBERS}x1`, open: 'direct-open', x4: `direct-${MEMBERS}x4` }).map(
      ([of, full]): Scenario => ({
        name: `direct-half-${of}`,
        title: `${MEMBERS} connections in pairs, open loop at half of GoChat's ${full}`,
        workload: { scenario: 'direct', connections: MEMBERS },
        halfOf: full,
        cores: 'all',
        rate: 'acked_per_s',
        baseline: 'bare-pipeline',
        peers: ['bare-pipeline', 'gochat'],
        usual: true,
      }),
    ),
    ...[1, 16].map(
      (window): Scenario => ({
        name: `room-${MEMBERS}x${window}`,
        title: `a room of ${MEMBERS} receivers, ${window} in flight (acked and with everyone), servers on one core`,
        workload: { scenario: 'room', connections: MEMBERS },
        window,
        cores: 'one-core',
        rate: 'delivered_per_s',
        baseline: 'bare-loop',
        peers: [
          'bare-loop',
          'bare-epoll',
          ...(variants ? VARIANTS : []),
          'gochat-ws',
          'gochat-no-log',
          ...EVERYONE,
        ],
        usual: true,
      }),
    ),
    ...(['tcp', 'ws'] as const).map(
      (kind): Scenario => ({
        name: `idle-18000-${kind}`,
        title: `18000 idle, logged-in connections with heartbeats, after the first 5000 of them, ${kind}`,
        workload: { scenario: 'idle', connections: 18_000, first: 5000 },
        seconds: IDLE_SECONDS,
        cores: 'all',
        rate: 'acked_per_s',
        baseline: kind === 'tcp' ? 'bare-loop' : 'bare-ws',
        peers:
          kind === 'tcp'
            ? ['bare-loop', 'gochat', 'mosquitto', 'nats']
            : ['bare-ws', 'gochat-ws', 'socket.io'],
        usual: false,
        once: true,
      }),
    ),
    ...[10, 100, 1000, 10_000].map(
      (connections): Scenario => ({
        name: `spread-${connections}`,
        title: `the same traffic on ${connections} connections: rooms of 10, 1000 messages/s in all`,
        workload: { scenario: 'room', connections, roomSize: 10 },
        perSecond: 1000,
        cores: 'all',
        rate: 'delivered_per_s',
        baseline: 'bare-loop',
        peers: ['gochat', 'bare-loop'],
        usual: false,
      }),
    ),
    ...[10, 100, 1000, 10_000].map(
      (connections): Scenario => ({
        name: `users-${connections}`,
        title: `the same traffic of ${connections} users: pairs, 2000 messages/s in all`,
        workload: { scenario: 'direct', connections },
        perSecond: 2000,
        window: 2,
        firstSends: 20_000,
        cores: 'all',
        rate: 'acked_per_s',
        baseline: 'bare-pipeline',
        peers: ['gochat', 'bare-pipeline'],
        usual: false,
      }),
    ),
    ...[1, 10, 100, 1000].map(
      (conversationsPerPair): Scenario => ({
        name: `conversations-${100 * conversationsPerPair}`,
        title: `the same traffic in ${100 * conversationsPerPair} conversations: 100 pairs, 2000 messages/s in all`,
        workload: { scenario: 'direct', connections: 200, conversationsPerPair },
        perSecond: 2000,
        window: 4,
        firstSends: 100_000,
        cores: 'all',
        rate: 'acked_per_s',
        baseline: 'bare-pipeline',
        peers: ['gochat'],
        usual: false,
      }),
    ),
  ];
}
