/** The memory of a process for which 10,000 endpoints in etcd are watched and balanced. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { GochatError, silentLogger as logger } from '../../common/mod.ts';
import { EtcdRegistry } from '../../crpc/mod.ts';
import type { Endpoint, Registry } from '../../crpc/mod.ts';
import { TestEtcd } from '../../crpc/testing/etcd.ts';
import { endpoint } from './endpoints.ts';
import type { Row } from './report.ts';
import type { BenchServer } from './server.ts';

const COUNT = 10_000;
const REGISTER_AT_ONCE = 50;
const MB = 1_000_000;

/** They are registered by this process, and watched and called by one that runs from dist/ as a server does. */
export async function measureMemory({ addresses }: BenchServer): Promise<Row[]> {
  await using etcd = await TestEtcd.start();
  // No lease must end while a busy machine goes on.
  await using registry = new EtcdRegistry({ hosts: [etcd.address], logger, ttlSeconds: 600 });
  for (let from = 0; from < COUNT; from += REGISTER_AT_ONCE) {
    await Promise.all(
      Array.from({ length: REGISTER_AT_ONCE }, (_, i) =>
        register(registry, endpoint(from + i, addresses.port)),
      ),
    );
  }
  const { rss, idle, seen } = await hold(etcd.address);
  return [
    { what: 'endpoints registered in etcd and seen by the watch', value: seen, unit: '' },
    { what: 'RSS of the watching process before it begins', value: idle / MB, unit: 'MB' },
    { what: `RSS with ${COUNT} endpoints watched and balanced`, value: rss / MB, atMost: 300, unit: 'MB' },
  ];
}

interface Memory {
  readonly rss: number;
  readonly idle: number;
  readonly seen: number;
}

async function hold(etcd: string): Promise<Memory> {
  const child = fork(join(import.meta.dirname, 'hold.js'), [etcd, String(COUNT)], {
    execArgv: ['--enable-source-maps'],
  });
  const died = once(child, 'exit').then(() => {
    throw new Error('bench/crpc/hold.js ended without a figure; it needs dist/: make build');
  });
  const [memory] = (await Promise.race([once(child, 'message'), died])) as [Memory];
  died.catch(() => {}); // Its end is wanted now.
  child.kill();
  return memory;
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
