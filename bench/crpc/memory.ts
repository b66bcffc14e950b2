/** The memory of a process for which 10,000 endpoints in etcd are watched and balanced. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { TestEtcd } from '../../crpc/testing/etcd.ts';
import type { Row } from './report.ts';
import type { BenchServer } from './server.ts';

const COUNT = 10_000;
const MB = 1_000_000;

/** Endpoints watched and called by a process that runs from dist/, as servers do; registered by it or by another such process. */
export async function measureMemory({ addresses }: BenchServer): Promise<Row[]> {
  await using etcd = await TestEtcd.start();
  await using registering = await hold(etcd.address, addresses.port);
  await using watching = await hold(etcd.address);
  return [
    { what: 'endpoints registered in etcd and seen by the watch', value: watching.memory.seen, unit: '' },
    { what: 'RSS of a process before it begins', value: watching.memory.idle / MB, unit: 'MB' },
    {
      what: `RSS with ${COUNT} endpoints watched and balanced`,
      value: watching.memory.rss / MB,
      atMost: 300,
      unit: 'MB',
    },
    {
      what: `RSS with ${COUNT} endpoints registered by it, watched and balanced`,
      value: registering.memory.rss / MB,
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

/** Resolves once the process has measured itself; it keeps its endpoints until it is disposed. */
async function hold(etcd: string, port?: number): Promise<AsyncDisposable & { readonly memory: Memory }> {
  const args = [etcd, String(COUNT), ...(port === undefined ? [] : [String(port)])];
  const child = fork(join(import.meta.dirname, 'hold.js'), args, { execArgv: ['--enable-source-maps'] });
  const exited = once(child, 'exit');
  const died = exited.then(() => {
    throw new Error('bench/crpc/hold.js ended without a figure; it needs dist/: make build');
  });
  const [memory] = (await Promise.race([once(child, 'message'), died])) as [Memory];
  died.catch(() => {}); // From then on its end is expected.
  return {
    memory,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await exited;
    },
  };
}
