/** The balancers on real connections: weights, ejection and return, slow start, zones, subsets, keys. */
import { Client, credentials } from '@grpc/grpc-js';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GochatError, silentLogger as logger } from '../../common/mod.ts';
import { Channel } from '../client/channel.ts';
import { createClient } from '../client/client.ts';
import { openRegistry } from '../registry/registry-url.ts';
import type { Registry } from '../registry/registry.ts';
import type { CrpcServer } from '../server/server.ts';
import { EchoCluster, hello, whoAnswers } from '../testing/cluster.ts';
import type { EchoClient, EchoHandlers } from '../testing/cluster.ts';
import { EchoService } from '../testing/gen/echo.ts';
import type { EchoResponse } from '../testing/gen/echo.ts';
import { endpointOf } from '../testing/support.ts';
import { eventually } from '../../test/harness/eventually.ts';

let cluster: EchoCluster;
let registry: Registry;
beforeEach(() => {
  cluster = new EchoCluster();
  registry = cluster.own(openRegistry(`memory://${randomUUID()}`, { logger }));
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Starts a server under a name and registers it. */
async function join(name: string, more: Parameters<typeof endpointOf>[1] = {}, handlers: EchoHandlers = {}) {
  const server = await cluster.serve(name, handlers);
  const registration = await registry.register(
    'echo',
    endpointOf(`${name}-${randomUUID()}`, { address: server.address, ...more }),
  );
  return { server, registration };
}

const everyoneAnswers = (client: EchoClient, names: number) => (): Promise<boolean> =>
  whoAnswers(client, 4 * names).then((counts) => Object.keys(counts).length === names);

/** A server that fails on demand. */
function failing(): EchoHandlers & { isBroken: boolean; asked: number } {
  const one = {
    isBroken: false,
    asked: 0,
    unary: async () => {
      one.asked++;
      if (one.isBroken) throw new GochatError('STORE_UNAVAILABLE');
      return { text: '', server: 'bad' };
    },
  };
  return one;
}

describe('round robin', () => {
  test('weights from the registry: calls in that proportion; a new weight applies at once', async () => {
    const { registration } = await join('a', { weight: 3 });
    await join('b');
    const client = cluster.client('memory:///echo', { registry });
    await eventually(everyoneAnswers(client, 2));
    const { a = 0, b = 0 } = await whoAnswers(client, 80);
    expect([a, b]).toEqual([expect.closeTo(60, -0.5), expect.closeTo(20, -0.5)]);
    await registration.update({ weight: 1 });
    await eventually(async () => {
      const counts = await whoAnswers(client, 20);
      return Math.abs((counts['a'] ?? 0) - 10) <= 1;
    });
  });

  test('a server that joins: starts with less than its share', async () => {
    await join('a');
    const client = cluster.client('memory:///echo', {
      registry,
      balancer: { policy: 'round-robin', slowStartMs: 600_000 },
    });
    await whoAnswers(client, 4);
    await join('late');
    await eventually(async () => 'late' in (await whoAnswers(client, 30)));
    const { a = 0, late = 0 } = await whoAnswers(client, 220);
    expect(late).toBeGreaterThan(10);
    expect(late).toBeLessThan(30);
    expect(a + late).toBe(220);
  });
});

describe.each(['round-robin', 'least-loaded', 'rendezvous'] as const)('%s', (policy) => {
  test('a server that fails: is ejected after five failures, and returns when the ejection ends', async () => {
    const bad = failing();
    await join('a');
    await join('b');
    await join('bad', {}, bad);
    const client = cluster.client('memory:///echo', {
      registry,
      balancer: { policy, slowStartMs: 0, outlier: { ejectMs: 4000 } },
    });
    await eventually(everyoneAnswers(client, 3));
    bad.isBroken = true;
    bad.asked = 0;
    await eventually(async () => (await whoAnswers(client, 10))['failed'] === undefined && bad.asked >= 5);
    expect(bad.asked).toBe(5);
    expect((await whoAnswers(client, 50))['failed']).toBeUndefined();
    bad.isBroken = false;
    await eventually(async () => 'bad' in (await whoAnswers(client, 10)));
  });
});

/** Answers after `ms`. */
function slowly(): { ms: number; unary: () => Promise<EchoResponse> } {
  const one = {
    ms: 0,
    unary: () =>
      new Promise<EchoResponse>((resolve) => setTimeout(resolve, one.ms, { text: '', server: 'slow' })),
  };
  return one;
}

/** Makes calls side by side until none of a row of them is answered by the slow one. */
async function untilLeftAlone(client: EchoClient): Promise<void> {
  await eventually(async () => {
    const rows = await Promise.all(Array.from({ length: 9 }, () => whoAnswers(client, 5)));
    return rows.every((row) => !('slow' in row));
  });
}

describe('outlier detection', () => {
  test('all servers fail: half of them stay in', async () => {
    const servers = Array.from({ length: 4 }, failing);
    for (const [i, one] of servers.entries()) await join(`s${i}`, {}, one);
    const client = cluster.client('memory:///echo', { registry });
    await eventually(async () => {
      await whoAnswers(client, 8);
      return servers.every(({ asked }) => asked > 0);
    });
    for (const one of servers) one.isBroken = true;
    await whoAnswers(client, 60);
    for (const one of servers) one.asked = 0;
    await whoAnswers(client, 20);
    expect(servers.filter(({ asked }) => asked > 0).length).toBe(2);
  });

  test('deliberate errors of a handler: do not count as failures', async () => {
    let asked = 0;
    await join('a');
    await join(
      'strict',
      {},
      {
        unary: async () => {
          asked++;
          throw new GochatError('ROLE_TOO_LOW');
        },
      },
    );
    const client = cluster.client('memory:///echo', { registry });
    await eventually(async () => (await whoAnswers(client, 10)) !== undefined && asked > 20);
    asked = 0;
    await whoAnswers(client, 20);
    expect(asked).toBe(10);
  });

  test('switched off: a failing server keeps getting calls', async () => {
    const bad = failing();
    await join('a');
    await join('bad', {}, bad);
    const client = cluster.client('memory:///echo', {
      registry,
      balancer: { policy: 'round-robin', outlier: false },
    });
    await eventually(everyoneAnswers(client, 2));
    bad.isBroken = true;
    expect((await whoAnswers(client, 40))['failed']).toBe(20);
  });
});

describe.each(['round-robin', 'least-loaded', 'rendezvous'] as const)('a slow server under %s', (policy) => {
  test('is ejected: no more calls go there, and none has failed', async () => {
    const slow = slowly();
    await join('a');
    await join('b');
    await join('slow', {}, slow);
    const outlier = { slowFactor: 3, windowMs: 1000, ejectMs: 60_000 };
    const client = cluster.client('memory:///echo', {
      registry,
      balancer: { policy, outlier },
      retry: false,
    });
    await eventually(everyoneAnswers(client, 3));
    slow.ms = 500;
    await untilLeftAlone(client);
    const { slow: calls, failed } = await whoAnswers(client, 200);
    expect([calls, failed]).toEqual([undefined, undefined]);
  });

  test('all servers are slow: none is an outlier', async () => {
    const asked = [0, 0, 0];
    for (const i of asked.keys())
      await join(
        `s${i}`,
        {},
        {
          unary: () => {
            asked[i] = (asked[i] as number) + 1;
            return new Promise((resolve) => setTimeout(resolve, 150, { text: '', server: `s${i}` }));
          },
        },
      );
    const outlier = { windowMs: 1000, ejectMs: 60_000 };
    const client = cluster.client('memory:///echo', { registry, balancer: { policy, outlier } });
    await eventually(everyoneAnswers(client, 3));
    await Promise.all(Array.from({ length: 30 }, () => whoAnswers(client, 10)));
    asked.fill(0);
    await Promise.all(Array.from({ length: 30 }, () => whoAnswers(client, 3)));
    expect(asked.every((calls) => calls > 0)).toBe(true);
  });
});

describe('outlier detection by latency', () => {
  test.each(['round-robin', 'rendezvous'] as const)(
    '%s, a slow server readmitted on trial: has one call at a time',
    async (policy) => {
      const slow = slowly();
      const [now, most] = [new Set<symbol>(), { calls: 0 }];
      const unary = async (): Promise<EchoResponse> => {
        const call = Symbol('call');
        now.add(call);
        most.calls = Math.max(most.calls, now.size);
        try {
          return await slow.unary();
        } finally {
          now.delete(call);
        }
      };
      await join('a');
      await join('b');
      await join('slow', {}, { unary });
      const outlier = { slowFactor: 3, windowMs: 1000, ejectMs: 1000 };
      const client = cluster.client('memory:///echo', {
        registry,
        balancer: { policy, slowStartMs: 0, outlier },
      });
      await eventually(everyoneAnswers(client, 3));
      slow.ms = 500;
      await untilLeftAlone(client);
      most.calls = 0;
      await eventually(async () => {
        await Promise.all(Array.from({ length: 9 }, () => whoAnswers(client, 5)));
        return most.calls > 0;
      });
      expect(most.calls).toBe(1);
    },
  );

  test.each(['round-robin', 'rendezvous'] as const)(
    '%s, a slow server that is fast again: gets its share back',
    async (policy) => {
      const slow = slowly();
      await join('a');
      await join('b');
      await join('slow', {}, slow);
      const outlier = { slowFactor: 3, windowMs: 1000, ejectMs: 1000 };
      const client = cluster.client('memory:///echo', {
        registry,
        balancer: { policy, slowStartMs: 0, outlier },
      });
      await eventually(everyoneAnswers(client, 3));
      slow.ms = 500;
      await untilLeftAlone(client);
      slow.ms = 0;
      await eventually(async () => ((await whoAnswers(client, 90))['slow'] ?? 0) >= 10);
    },
  );
});

describe('least loaded', () => {
  test('a slow server: gets few of the calls', async () => {
    await join('a');
    await join('b');
    await join(
      'slow',
      {},
      {
        unary: () => new Promise((resolve) => setTimeout(resolve, 300, { text: '', server: 'slow' })),
      },
    );
    const client = cluster.client('memory:///echo', { registry, balancer: 'least-loaded' });
    await eventually(everyoneAnswers(client, 3));
    const { a = 0, b = 0, slow = 0 } = await whoAnswers(client, 300);
    expect(a + b + slow).toBe(300);
    expect(slow).toBeLessThan(30);
  });
});

describe.each(['round-robin', 'least-loaded', 'rendezvous'] as const)('zone preference over %s', (policy) => {
  test('its own zone gets all calls; the others do when it is gone, until it is back', async () => {
    const near = await join('near', { zone: 'z1' });
    await join('far', { zone: 'z2' });
    await join('nowhere');
    const client = cluster.client('memory:///echo', { registry, balancer: { policy, zone: 'z1' } });
    await eventually(async () => 'near' in (await whoAnswers(client, 1)));
    expect(await whoAnswers(client, 30)).toEqual({ near: 30 });
    await near.registration.deregister();
    await eventually(async () => {
      const { far = 0, nowhere = 0 } = await whoAnswers(client, 20);
      return far > 0 && nowhere > 0 && far + nowhere === 20;
    });
    await join('near', { zone: 'z1' });
    await eventually(async () => (await whoAnswers(client, 20))['near'] === 20);
  });

  test('half of its own zone fails: about seven tenths of the calls stay there', async () => {
    const dead = await join('dead', { zone: 'z1' });
    await join('near', { zone: 'z1' });
    await join('far', { zone: 'z2' });
    const client = cluster.client('memory:///echo', { registry, balancer: { policy, zone: 'z1' } });
    await eventually(async () => 'dead' in (await whoAnswers(client, 4)));
    await dead.server.stop();
    await eventually(async () => {
      const counts = await whoAnswers(client, 40);
      return counts['failed'] === undefined && (counts['far'] ?? 0) > 0;
    });
    const { near = 0, far = 0 } = await whoAnswers(client, 400);
    expect(near + far).toBe(400);
    expect(near).toBeGreaterThan(220);
    expect(near).toBeLessThan(340);
  });
});

describe('many endpoints', () => {
  /** Registers addresses of 127.0.0.0/8, which all lead to one server; returns who was connected to. */
  async function connectAll(count: number): Promise<{ server: CrpcServer; connected: () => number }> {
    const peers = new Set<string>();
    const server = await cluster.serve(
      'one',
      {
        unary: async ({ text }, { peer }) => {
          peers.add(peer);
          return { text, server: 'one' };
        },
      },
      { host: '0.0.0.0' },
    );
    for (let i = 0; i < count; i++)
      await registry.register(
        'echo',
        endpointOf(`e${i}`, { address: `127.1.${i >> 8}.${i & 255}:${server.port}` }),
      );
    return { server, connected: () => peers.size };
  }

  test.each(['round-robin', 'least-loaded'] as const)(
    '%s: connects to a subset, and calls all of it',
    async (policy) => {
      const { connected } = await connectAll(200);
      const client = cluster.client('memory:///echo', { registry, balancer: { policy, maxEndpoints: 5 } });
      await eventually(async () => {
        await whoAnswers(client, 20);
        return connected() === 5;
      });
      await whoAnswers(client, 100);
      expect(connected()).toBe(5);
    },
  );

  test('rendezvous: connects to the owners of the keys that are called', async () => {
    const { connected } = await connectAll(200);
    const client = cluster.client('memory:///echo', { registry, balancer: 'rendezvous' });
    expect(await whoAnswers(client, 50, { key: 'one' })).toEqual({ one: 50 });
    expect(connected()).toBe(1);
    await client.unary(hello, { key: 'two' });
    expect(connected()).toBeLessThanOrEqual(2);
  });
});

describe('rendezvous', () => {
  test('any servers leave and join: a key moves only away from one that left or to one that joined', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const servers = new Map<string, CrpcServer>();
    for (const name of names) servers.set(name, await cluster.serve(name));
    const keys = Array.from({ length: 24 }, (_, i) => `key-${i}`);
    const owners = async (present: readonly string[]): Promise<string[]> => {
      const realm = cluster.own(openRegistry(`memory://${randomUUID()}`, { logger }));
      for (const name of present)
        await realm.register('echo', endpointOf(name, { address: servers.get(name)?.address ?? '' }));
      const client = cluster.client('memory:///echo', { registry: realm, balancer: 'rendezvous' });
      return Promise.all(keys.map(async (key) => (await client.unary(hello, { key })).server));
    };
    const present = fc.subarray(names, { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(present, present, async (before, after) => {
        const [old, now] = [await owners(before), await owners(after)];
        keys.forEach((_, i) => {
          const [from, to] = [old[i] as string, now[i] as string];
          if (from !== to) expect(!after.includes(from) || !before.includes(to)).toBe(true);
        });
      }),
      { numRuns: 15 },
    );
  });
});

describe('configuration', () => {
  test.each([
    [{ policy: 'fastest' }, 'fastest is not a balancer'],
    [{ policy: 'round-robin', maxEndpoints: 0 }, 'maxEndpoints'],
    [{ policy: 'round-robin', outlier: { failureRate: 2 } }, 'failureRate'],
    [{ policy: 'rendezvous', zoen: 'x' }, 'zoen'],
  ])('%j: CONFIG_INVALID that says what', (balancer, what) => {
    expect(() => new Channel('127.0.0.1:1', { balancer: balancer as never })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(what) }),
    );
  });

  test('a plain grpc-js client: chooses a balancer by its service config', async () => {
    const servers = await Promise.all(['a', 'b'].map((name) => cluster.serve(name)));
    // The first channel makes crpc's schemes and balancers known.
    createClient(EchoService, '127.0.0.1:1')[Symbol.dispose]();
    const config = { loadBalancingConfig: [{ crpc_round_robin: { slowStartMs: 0 } }] };
    const client = new Client(
      `static:///${servers.map(({ address }) => address).join()}`,
      credentials.createInsecure(),
      { 'grpc.service_config': JSON.stringify(config) },
    );
    const { path, requestSerialize, responseDeserialize } = EchoService.unary;
    const call = (): Promise<string> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, hello, (error, response) =>
          error ? reject(error) : resolve(response?.server ?? ''),
        );
      });
    const seen = new Set<string>();
    await eventually(async () => {
      seen.add(await call());
      return seen.size === 2;
    });
    client.close();
  });
});
