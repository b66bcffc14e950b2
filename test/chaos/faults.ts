/** The nemesis's faults: how each begins and ends, and how often it is chosen. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { ServiceName } from '../harness/services.ts';
import type { ConnectionFault, Direction } from './fault-proxy.ts';
import type { Random } from './random.ts';
import type { System, Targets } from './system.ts';

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** The kind of its targets. */
  readonly on: keyof Targets;
  /** Only these targets of the kind. */
  readonly only?: readonly string[];
  /** Duration, ms. */
  readonly holdMs: readonly [low: number, high: number];
  begin(system: System, target: string, random: Random): Promise<void> | void;
  end?(system: System, target: string): Promise<void> | void;
}

const DIRECTIONS: readonly Direction[] = ['up', 'down'];

/** A fault of a link that `heal` ends. */
function onLink(
  name: string,
  weight: number,
  holdMs: Fault['holdMs'],
  make: (random: Random) => ConnectionFault,
  also?: (system: System, target: string) => void,
): Fault {
  return {
    name,
    weight,
    on: 'links',
    holdMs,
    begin: (system, target, random) => {
      const [fault, share] = [make(random), random.pick([0.3, 0.6, 1, 1])];
      for (const proxy of system.link(target)) proxy.impose(fault, share);
      also?.(system, target);
    },
    end: (system, target) => {
      for (const proxy of system.link(target)) proxy.heal();
    },
  };
}

const server = { on: 'servers' } as const;
const engine = (system: System, target: string) => ({
  services: system.services,
  name: target as ServiceName,
});

export const FAULTS: readonly Fault[] = [
  {
    ...server,
    name: 'kill -9',
    weight: 6,
    holdMs: [0, 4000],
    begin: (system, target) => system.server(target).end('SIGKILL'),
    end: (system, target) => system.server(target).start(),
  },
  {
    ...server,
    name: 'drain and restart',
    weight: 3,
    holdMs: [0, 2000],
    begin: (system, target) => system.server(target).end('SIGTERM'),
    end: (system, target) => system.server(target).start(),
  },
  {
    ...server,
    name: 'freeze (SIGSTOP)',
    weight: 3,
    // Longer than a lease at times.
    holdMs: [200, 14_000],
    begin: (system, target) => system.server(target).signal('SIGSTOP'),
    end: (system, target) => system.server(target).signal('SIGCONT'),
  },
  {
    ...server,
    name: 'crawl',
    weight: 2,
    holdMs: [0, 0],
    begin: async (system, target) => {
      for (let i = 0; i < 30; i++) {
        system.server(target).signal('SIGSTOP');
        await sleep(120);
        system.server(target).signal('SIGCONT');
        await sleep(30);
      }
    },
  },
  onLink('latency', 3, [500, 6000], (random) => {
    const flow = { latencyMs: random.between(5, 400), jitterMs: random.between(0, 200) };
    return { up: flow, down: flow };
  }),
  onLink('slices', 2, [500, 4000], (random) => {
    const flow = { sliceBytes: random.between(1, 40) };
    return { up: flow, down: flow };
  }),
  onLink('slow', 2, [500, 5000], (random) => {
    const flow = { bytesPerSecond: random.between(2000, 40_000), sliceBytes: 512 };
    return { up: flow, down: flow };
  }),
  onLink('blackhole one way', 4, [200, 10_000], (random) => ({ [random.pick(DIRECTIONS)]: { hold: true } })),
  onLink('blackhole', 3, [200, 12_000], () => ({ up: { hold: true }, down: { hold: true } })),
  onLink(
    'partition',
    3,
    [200, 8000],
    () => ({ refuse: true }),
    (system, target) => {
      for (const proxy of system.link(target)) proxy.reset();
    },
  ),
  {
    name: 'held, then cut',
    weight: 3,
    on: 'links',
    // Bytes in flight during that time are lost with their connections.
    holdMs: [200, 3000],
    begin: (system, target, random) => {
      const [direction, share] = [random.pick(DIRECTIONS), random.pick([0.3, 0.6, 1])];
      for (const proxy of system.link(target)) proxy.impose({ [direction]: { hold: true } }, share);
    },
    end: (system, target) => {
      for (const proxy of system.link(target)) {
        proxy.reset();
        proxy.heal();
      }
    },
  },
  {
    name: 'reset connections',
    weight: 5,
    on: 'links',
    holdMs: [0, 0],
    begin: (system, target, random) => {
      const share = random.pick([0.2, 0.5, 1]);
      for (const proxy of system.link(target)) proxy.reset(share);
    },
  },
  {
    name: 'half-close connections',
    weight: 3,
    on: 'links',
    holdMs: [0, 0],
    begin: (system, target, random) => {
      const [direction, share] = [random.pick(DIRECTIONS), random.pick([0.2, 0.5, 1])];
      for (const proxy of system.link(target)) proxy.halfClose(direction, share);
    },
  },
  {
    name: 'engine killed -9',
    weight: 2,
    on: 'engines',
    holdMs: [0, 4000],
    begin: (system, target) => {
      const { services, name } = engine(system, target);
      return services.kill(name);
    },
    end: (system, target) => {
      const { services, name } = engine(system, target);
      return services.start(name);
    },
  },
  {
    name: 'engine restarted',
    weight: 1,
    on: 'engines',
    holdMs: [0, 1000],
    begin: (system, target) => {
      const { services, name } = engine(system, target);
      return services.stop(name);
    },
    end: (system, target) => {
      const { services, name } = engine(system, target);
      return services.start(name);
    },
  },
  {
    name: 'engine frozen',
    weight: 2,
    on: 'engines',
    // The registry's lease is 10 s.
    holdMs: [200, 13_000],
    begin: (system, target) => {
      const { services, name } = engine(system, target);
      return services.pause(name);
    },
    end: (system, target) => {
      const { services, name } = engine(system, target);
      return services.resume(name);
    },
  },
  {
    name: 'Redis wiped',
    weight: 1,
    on: 'engines',
    only: ['redis'],
    holdMs: [0, 0],
    begin: async (system) => {
      const redis = new Redis(system.services.urls.redis, { lazyConnect: true });
      await redis.connect();
      await redis.flushall();
      redis.disconnect();
    },
  },
  {
    name: 'Redis restarted empty',
    weight: 1,
    on: 'engines',
    only: ['redis'],
    holdMs: [0, 4000],
    begin: async ({ services }) => {
      await services.kill('redis');
      await rm(join(services.dir, 'redis'), { recursive: true });
    },
    end: ({ services }) => services.start('redis'),
  },
  {
    name: 'PostgreSQL connections cut',
    weight: 3,
    on: 'engines',
    only: ['postgres'],
    holdMs: [0, 0],
    begin: async (system) => {
      const client = new pg.Client(system.services.urls.postgres);
      await client.connect();
      await client.query(`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`);
      await client.end();
    },
  },
];
