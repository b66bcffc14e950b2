/** Three servers as processes on a real etcd, under load: one is killed, frozen, slow; all are restarted in turn. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { silentLogger as logger } from '../common/mod.ts';
import { openRegistry } from './registry/registry-url.ts';
import type { Registry, Snapshot } from './registry/registry.ts';
import { EchoCluster, hello } from './testing/cluster.ts';
import { EchoProcess, Load } from './testing/echo-process.ts';
import { TestEtcd } from './testing/etcd.ts';
import { Inbox } from './testing/support.ts';

const CONCURRENCY = 8;
const NAMES = ['a', 'b', 'c'];
/** Processes start and end in each of them, on a machine that may have other things to do. */
const TEST_TIMEOUT_MS = 120_000;
vi.setConfig({ testTimeout: TEST_TIMEOUT_MS });

let etcd: TestEtcd;
let realm = 0;
let url: string;
let cluster: EchoCluster;
let registry: Registry;
let servers: EchoProcess[];

beforeAll(async () => {
  etcd = await TestEtcd.start();
});
beforeEach(async () => {
  url = `etcd://${etcd.address}/faults-${realm++}`;
  cluster = new EchoCluster();
  registry = cluster.own(openRegistry(url, { logger }));
  servers = await Promise.all(NAMES.map((name) => start(name)));
});
afterEach(() => cluster[Symbol.asyncDispose]());
afterAll(() => etcd[Symbol.asyncDispose]());

async function start(name: string): Promise<EchoProcess> {
  return cluster.own(await EchoProcess.start(url, name));
}

/** Calls all three, until each has answered. */
async function load(
  options: Parameters<EchoCluster['client']>[1],
  call: ConstructorParameters<typeof Load>[2] = {},
): Promise<Load> {
  const client = cluster.client('etcd:///echo', { registry, ...options });
  const running = cluster.own(new Load(client, CONCURRENCY, call));
  await running.until(() => NAMES.every((name) => (running.since(0).by[name] ?? 0) >= 20));
  return running;
}

/** Waits for a run of calls without a failure and without an answer from this server. */
async function recovered(running: Load, without: string): Promise<void> {
  await running.until(() => {
    const last = running.since(Math.max(0, running.mark - 200));
    return (
      last.calls >= 200 - 2 * CONCURRENCY && last.failures.length === 0 && last.by[without] === undefined
    );
  });
}

describe.each(['round-robin', 'least-loaded'] as const)('%s, one of three', (policy) => {
  test('killed (-9): the calls running on it fail, and later ones do not', async () => {
    const running = await load({ balancer: policy, retry: false });
    const { mark } = running;
    servers[0]?.signal('SIGKILL');
    await servers[0]?.exit();
    await recovered(running, 'a');
    expect(running.since(mark).failures.length).toBeLessThanOrEqual(3 * CONCURRENCY);
    const after = await running.more(500);
    expect(after.failures).toEqual([]);
    expect(Object.keys(after.by).sort()).toEqual(['b', 'c']);
  });

  test('frozen (STOP): the calls waiting for it time out, then it gets none until it thaws', async () => {
    const running = await load(
      { balancer: { policy, outlier: { ejectMs: 8000 } }, retry: false },
      { timeoutMs: 500 },
    );
    const { mark } = running;
    servers[0]?.signal('SIGSTOP');
    await recovered(running, 'a');
    // Five in a row eject it; no more can hang on it than there are at once.
    expect(running.since(mark).failures.length).toBeLessThanOrEqual(2 * CONCURRENCY);
    const after = await running.more(300);
    expect(after.failures).toEqual([]);
    expect(Object.keys(after.by).sort()).toEqual(['b', 'c']);
    servers[0]?.signal('SIGCONT');
    const thawed = running.mark;
    await running.until(() => (running.since(thawed).by['a'] ?? 0) > 50);
  });

  test('frozen (STOP) with retries: no idempotent call fails for long', async () => {
    const running = await load(
      { balancer: { policy, outlier: { ejectMs: 60_000 } } },
      { timeoutMs: 1000, idempotent: true },
    );
    servers[0]?.signal('SIGSTOP');
    await recovered(running, 'a');
    expect((await running.more(300)).failures).toEqual([]);
    servers[0]?.signal('SIGCONT');
  });
});

test.each(['round-robin', 'least-loaded', 'rendezvous'] as const)(
  '%s, one of three becomes slow: it gets less than one call in a hundred, so p99 is not affected',
  async (policy) => {
    const running = await load({ balancer: policy, retry: false });
    servers[0]?.tell({ slowMs: 1000 });
    await recovered(running, 'a');
    const after = await running.more(2000);
    expect(after.failures).toEqual([]);
    expect(after.by['a'] ?? 0).toBeLessThan(20);
    servers[0]?.tell({ slowMs: 0 });
    const healed = running.mark;
    await running.until(() => (running.since(healed).by['a'] ?? 0) > 50);
  },
);

test.each(['round-robin', 'least-loaded', 'rendezvous'] as const)(
  '%s, a rolling restart of all three: no idempotent call fails',
  async (policy) => {
    const running = await load({ balancer: policy }, { idempotent: true });
    for (const server of servers) {
      server.signal('SIGTERM');
      expect(await server.exit()).toBe(0);
      const { mark } = running;
      await start(`${server.name}2`);
      await running.until(() => (running.since(mark).by[`${server.name}2`] ?? 0) > 20);
    }
    const all = running.since(0);
    expect(all.failures).toEqual([]);
    expect(Object.keys(all.by).sort()).toEqual(['a', 'a2', 'b', 'b2', 'c', 'c2']);
  },
);

test('TERM: leaves the registry first, serves until others know, then finishes what runs and refuses the rest', async () => {
  const [server] = servers;
  if (server === undefined) throw new Error('no servers');
  const heard = new Inbox<Snapshot>();
  registry.watch('echo', heard.push);
  await heard.next(({ endpoints }) => endpoints.length === 3);
  const client = cluster.client(server.address);
  await client.unary(hello);
  server.tell({ slowMs: 1500 });
  // A call that runs while the server drains; it is on its way before the signal.
  const running = client.unary(hello);
  await new Promise((resolve) => setImmediate(resolve));
  const answered = client.serverStream({ text: 'x', count: 1 });
  for await (const response of answered) expect(response.server).toBe('a');
  server.signal('SIGTERM');
  await heard.next(({ endpoints }) => endpoints.length === 2);
  // It is out of the registry and serves still.
  for await (const response of client.serverStream({ text: 'x', count: 1 }))
    expect(response.server).toBe('a');
  expect((await running).server).toBe('a');
  expect(await server.exit()).toBe(0);
  await expect(client.unary(hello)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
});
