/** What many endpoints cost: a call among 1,000 instead of 3, and the memory of 10,000 in etcd, watched and balanced. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { GochatError, silentLogger as logger } from '../../common/mod.ts';
import { EtcdRegistry, MemoryRegistry, createClient } from '../../crpc/mod.ts';
import type { BalancerName, Endpoint, Registry } from '../../crpc/mod.ts';
import { EchoService } from '../../crpc/testing/echo.ts';
import { TestEtcd } from '../../crpc/testing/etcd.ts';
import { callRate, compete, median, ratioRows } from './compete.ts';
import type { Timing } from './compete.ts';
import type { Row } from './report.ts';
import type { BenchServer } from './server.ts';

const FEW = 3;
const MANY = 1000;
const VERY_MANY = 10_000;
const REGISTER_AT_ONCE = 50;
/** Rendezvous connects to the owners of keys: as many as the others' subsets have. */
const KEYS = 64;
const MB = 1_000_000;
const request = { text: 'x', count: 1 };

/** Time of a whole call among 1,000 endpoints ÷ among 3; the balancer decides among them for every call. */
export async function measureEndpoints({ addresses, cpu }: BenchServer, timing: Timing): Promise<Row[]> {
  const { port } = addresses;
  const rows: Row[] = [];
  for (const balancer of ['round-robin', 'least-loaded', 'rendezvous'] as const) {
    const [few, many] = [await clientAmong(FEW, port, balancer), await clientAmong(MANY, port, balancer)];
    let key = 0;
    const call = (client: typeof few.client) => () => client.unary(request, { key: String(key++ % KEYS) });
    const rates = await compete(
      {
        few: (ms) => callRate(call(few.client), ms),
        many: (ms) => callRate(call(many.client), ms),
      },
      timing,
      cpu,
    );
    await few.close();
    await many.close();
    const name = `a call by ${balancer}`;
    rows.push(
      { what: `${name}, ${FEW} endpoints`, value: median(rates.few.perSecond), unit: 'calls/s' },
      { what: `${name}, ${MANY} endpoints`, value: median(rates.many.perSecond), unit: 'calls/s' },
      ...ratioRows(`${name}, cost at ${MANY} ÷ at ${FEW}`, rates.few, rates.many, { atMost: 2 }),
    );
  }
  return rows;
}

async function clientAmong(count: number, port: number, balancer: BalancerName) {
  const registry = new MemoryRegistry(`memory://${count}/${balancer}`);
  for (let i = 0; i < count; i++) await registry.register('bench', endpoint(i, port));
  const client = createClient(EchoService, 'memory:///bench', { registry, balancer, timeoutMs: 60_000 });
  await client.unary(request);
  const close = async (): Promise<void> => {
    client[Symbol.dispose]();
    await registry.close();
  };
  return { client, close };
}

/** Memory of a process that watches 10,000 endpoints in etcd and calls them; they are registered by this process. */
export async function measureMemory({ addresses }: BenchServer): Promise<Row[]> {
  const { port } = addresses;
  await using etcd = await TestEtcd.start();
  // No lease must end while a busy machine goes on.
  await using registry = new EtcdRegistry({ hosts: [etcd.address], logger, ttlSeconds: 600 });
  for (let from = 0; from < VERY_MANY; from += REGISTER_AT_ONCE) {
    await Promise.all(
      Array.from({ length: REGISTER_AT_ONCE }, (_, i) => register(registry, endpoint(from + i, port))),
    );
  }
  const child = fork(import.meta.filename, [etcd.address]);
  const [{ rss, idle, seen }] = (await once(child, 'message')) as [Memory];
  child.kill();
  return [
    { what: 'endpoints registered in etcd and seen by the watch', value: seen, unit: '' },
    { what: 'RSS of the watching process before it begins', value: idle / MB, unit: 'MB' },
    {
      what: `RSS with ${VERY_MANY} endpoints watched and balanced`,
      value: rss / MB,
      atMost: 300,
      unit: 'MB',
    },
  ];
}

interface Memory {
  readonly rss: number;
  readonly idle: number;
  readonly seen: number;
}

async function hold(etcd: string): Promise<Memory> {
  const idle = process.memoryUsage.rss();
  await using registry = new EtcdRegistry({ hosts: [etcd], logger });
  let seen = 0;
  await new Promise<void>((resolve) => {
    registry.watch('bench', ({ endpoints }) => {
      seen = endpoints.length;
      if (seen === VERY_MANY) resolve();
    });
  });
  using client = createClient(EchoService, 'etcd:///bench', { registry, timeoutMs: 60_000 });
  let peak = 0;
  for (let i = 0; i < 5000; i++) {
    await client.unary(request);
    if (i % 100 === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }
  return { rss: Math.max(peak, process.memoryUsage.rss()), idle, seen };
}

/** Tries until etcd, on a machine that is busy with the bench, answers in time. */
async function register(registry: Registry, one: Endpoint): Promise<void> {
  for (;;) {
    try {
      await registry.register('bench', one);
      return;
    } catch (error) {
      if (!(error instanceof GochatError && error.retryable)) throw error;
    }
  }
}

/** An address of its own for each, all of them this machine. */
function endpoint(index: number, port: number): Endpoint {
  const [high, low] = [Math.floor(index / 250), index % 250];
  return {
    id: `node-${index}`,
    address: `127.1.${high}.${low + 1}:${port}`,
    weight: 1,
    zone: '',
    version: '1',
    metadata: { name: `node-${index}` },
    load: {},
  };
}

if (process.argv[1] === import.meta.filename) {
  const [, , etcd = ''] = process.argv;
  process.send?.(await hold(etcd));
}
