import { expect, test } from 'vitest';
import { Backoff, silentLogger } from '../common/mod.ts';
import type { ToWorker, WorkerData } from './control.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { ListenFailure, WorkerHandle } from './worker-handle.ts';
import type { WorkerStats } from './worker-stats.ts';

const DATA: WorkerData = {
  gateway: 1,
  gatewayName: 'gateway-test',
  worker: 0,
  host: '127.0.0.1',
  port: 0,
  wsPort: 0,
  reusePort: true,
  limits: DEFAULT_LIMITS,
  requireTicket: false,
  clusterToken: undefined,
  clientTls: undefined,
  logLevel: 'silent',
};

/** Begins each of the scripts below. */
const PROLOGUE = `import { parentPort, workerData } from 'node:worker_threads';
const post = (message) => parentPort.postMessage(message);
const listening = { kind: 'listening', port: workerData.port || 5000, wsPort: workerData.wsPort || 5001 };
`;

class Seen {
  readonly handle: WorkerHandle;
  readonly stats: WorkerStats[] = [];
  replaced = 0;
  greeted = 0;

  constructor(script: string) {
    this.handle = new WorkerHandle({
      entry: new URL(`data:text/javascript,${encodeURIComponent(PROLOGUE + script)}`),
      data: DATA,
      logger: silentLogger,
      greeting: () => {
        this.greeted++;
        return [{ kind: 'keys', jwks: 'the keys' }];
      },
      onStats: (_, stats) => this.stats.push(stats),
      onReplace: () => void this.replaced++,
      backoff: new Backoff({ baseMs: 1, maxMs: 5 }),
    });
  }

  get ports(): unknown[] {
    return this.stats.map((stats) => stats.accepts);
  }
}

test('start: resolves with the ports, and the worker has been greeted', async () => {
  const seen = new Seen(
    `post(listening); parentPort.on('message', (m) => post({ kind: 'stats', stats: m }))`,
  );
  expect(await seen.handle.start()).toMatchObject({ port: 5000, wsPort: 5001 });
  expect(seen.handle.listening).toBe(true);
  await expect.poll(() => seen.stats).toEqual([{ kind: 'keys', jwks: 'the keys' }]);
  await seen.handle.stop();
});

test('a worker that cannot listen: start rejects with the reason, and it is not replaced', async () => {
  const seen = new Seen(`post({ kind: 'refused', on: 'wsPort', reason: 'EADDRINUSE' })`);
  const failure = await seen.handle.start().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ListenFailure);
  expect(failure).toMatchObject({ on: 'wsPort', reason: 'EADDRINUSE' });
  await seen.handle.stop();
  expect(seen.replaced).toBe(0);
});

test('a worker that throws before it listens: start rejects', async () => {
  const seen = new Seen(`throw new Error('broken')`);
  await expect(seen.handle.start()).rejects.toThrow('broken');
  await seen.handle.stop();
});

test('a worker that dies: another one takes its place on the same ports', async () => {
  const seen = new Seen(
    `post(listening);
     post({ kind: 'stats', stats: { accepts: workerData.port } });
     parentPort.on('message', (m) => { if (m.kind === 'drain') throw new Error('crash'); });`,
  );
  await seen.handle.start();
  await expect.poll(() => seen.ports).toEqual([0]);
  seen.handle.post({ kind: 'drain', deadlineMs: 0, elsewhere: [] });
  await expect.poll(() => seen.ports).toEqual([0, 5000]);
  expect(seen.replaced).toBe(1);
  expect(seen.greeted).toBe(2);
  await expect.poll(() => seen.handle.listening).toBe(true);
  await seen.handle.stop();
});

test('a worker that reports its failure: is ended and replaced', async () => {
  const seen = new Seen(
    `post(listening);
     parentPort.on('message', (m) => { if (m.kind === 'drain') post({ kind: 'failed', error: new Error('bug') }); });`,
  );
  await seen.handle.start();
  seen.handle.post({ kind: 'drain', deadlineMs: 0, elsewhere: [] });
  await expect.poll(() => seen.greeted).toBe(2);
  await seen.handle.stop();
});

test("drain: resolves with the worker's answer, or when it dies; it is not replaced then", async () => {
  const answers = new Seen(
    `post(listening);
     parentPort.on('message', (m) => { if (m.kind === 'drain') post({ kind: 'drained' }); });`,
  );
  const dies = new Seen(
    `post(listening); parentPort.on('message', (m) => { if (m.kind === 'drain') process.exit(1); });`,
  );
  for (const seen of [answers, dies]) {
    await seen.handle.start();
    await seen.handle.drain(1000, []);
    await seen.handle.stop();
    expect(seen.replaced).toBe(0);
  }
});

test('stop: also ends a worker that does not answer, and one that never started', async () => {
  const deaf = new Seen(`post(listening); setInterval(() => {}, 1000); parentPort.on('message', () => {})`);
  await deaf.handle.start();
  await deaf.handle.stop();
  expect(deaf.handle.listening).toBe(false);
  const message: ToWorker = { kind: 'stop' };
  deaf.handle.post(message);
  await new Seen('').handle.stop();
});
