import { expect, onTestFinished, test, vi } from 'vitest';
import { Backoff, silentLogger } from '../../common/mod.ts';
import type { ToWorker, WorkerData } from './control.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { ListenFailure, WorkerHandle } from './worker-handle.ts';
import type { WorkerStats } from './worker-stats.ts';

const DATA: WorkerData = {
  gateway: 1,
  gatewayName: 'gateway-test',
  worker: 0,
  host: '127.0.0.1',
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
const on = (kind, run) => parentPort.on('message', (m) => { if (m.kind === kind) run(m); });
const ready = () => post({ kind: 'ready' });
on('listen', (m) => post({ kind: 'listening', port: m.port || 5000, wsPort: m.wsPort || 5001 }));
on('stop', () => post({ kind: 'stopped' }));
`;
/** Asks for free ports. */
const ANY = { port: 0, wsPort: 0 };

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

  /** What the script has said. */
  get marks(): unknown[] {
    return this.stats.map((stats) => stats.accepts);
  }
}

/** Starts it and has it listen. */
async function listening(script: string): Promise<Seen> {
  const seen = new Seen(script);
  await seen.handle.start();
  await seen.handle.listen(ANY);
  return seen;
}

test('start, listen: resolves with the ports, and the worker has the public keys', async () => {
  const seen = new Seen(`on('keys', (m) => post({ kind: 'stats', stats: m })); ready()`);
  await seen.handle.start();
  expect(seen.handle.listening).toBe(false);
  expect(await seen.handle.listen(ANY)).toEqual({ port: 5000, wsPort: 5001 });
  expect(seen.handle.listening).toBe(true);
  await expect.poll(() => seen.stats).toEqual([{ kind: 'keys', jwks: 'the keys' }]);
  await seen.handle.stop();
});

test('listen: a worker that is not ready gets the command once it is', async () => {
  const seen = new Seen(`
    on('listen', () => post({ kind: 'stats', stats: { accepts: 'listen' } }));
    on('keys', () => { post({ kind: 'stats', stats: { accepts: 'busy' } }); setImmediate(ready); });`);
  const started = seen.handle.start();
  const ports = seen.handle.listen(ANY);
  await Promise.all([started, ports]);
  await expect.poll(() => seen.marks).toEqual(['busy', 'listen']);
  await seen.handle.stop();
});

test('pause: reaches the worker, and its replacement does not listen until resumed', async () => {
  const seen = await listening(`
    on('pause', () => post({ kind: 'stats', stats: { accepts: 'pause' } }));
    on('drain', () => process.exit(1));
    on('listen', () => post({ kind: 'stats', stats: { accepts: 'listen' } }));
    ready()`);
  seen.handle.pause();
  expect(seen.handle.listening).toBe(false);
  seen.handle.post({ kind: 'drain', deadlineMs: 0, redirects: [] });
  await expect.poll(() => seen.greeted).toBe(2);
  await expect.poll(() => seen.marks).toEqual(['listen', 'pause']);
  await seen.handle.listen({ port: 7000, wsPort: 7001 });
  await expect.poll(() => seen.marks).toEqual(['listen', 'pause', 'listen']);
  await expect.poll(() => seen.handle.listening).toBe(true);
  await seen.handle.stop();
});

test('a worker that cannot listen: listen rejects with the reason, and it is not replaced', async () => {
  const seen = new Seen(`parentPort.removeAllListeners('message');
    on('listen', () => post({ kind: 'refused', on: 'wsPort', reason: 'EADDRINUSE' })); ready()`);
  await seen.handle.start();
  const failure = await seen.handle.listen(ANY).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ListenFailure);
  expect(failure).toMatchObject({ on: 'wsPort', reason: 'EADDRINUSE' });
  await seen.handle.stop();
  expect(seen.replaced).toBe(0);
});

test('a worker that can no longer listen: keeps its clients and retries', async () => {
  const seen = new Seen(`parentPort.removeAllListeners('message');
    on('stop', () => post({ kind: 'stopped' }));
    let attempts = 0;
    on('listen', ({ port, wsPort }) => {
      post({ kind: 'stats', stats: { accepts: ++attempts } });
      if (attempts === 2 || attempts === 3) post({ kind: 'refused', on: 'port', reason: 'EMFILE' });
      else post({ kind: 'listening', port, wsPort });
    });
    ready()`);
  await seen.handle.start();
  await seen.handle.listen({ port: 7000, wsPort: 7001 });
  seen.handle.pause();
  void seen.handle.listen({ port: 7000, wsPort: 7001 });
  expect(seen.handle.listening).toBe(false);
  await expect.poll(() => seen.handle.listening).toBe(true);
  expect(seen.marks).toEqual([1, 2, 3, 4]);
  expect([seen.greeted, seen.replaced]).toEqual([1, 0]);
  await seen.handle.stop();
});

test('a worker that throws before it is ready: start rejects', async () => {
  const seen = new Seen(`throw new Error('broken')`);
  await expect(seen.handle.start()).rejects.toThrow('broken');
  await seen.handle.stop();
});

test('a worker that dies: is replaced on the same ports', async () => {
  const seen = await listening(`
    on('listen', (m) => post({ kind: 'stats', stats: { accepts: m.port } }));
    on('drain', () => { throw new Error('crash'); });
    ready()`);
  await expect.poll(() => seen.marks).toEqual([0]);
  seen.handle.post({ kind: 'drain', deadlineMs: 0, redirects: [] });
  await expect.poll(() => seen.marks).toEqual([0, 5000]);
  expect(seen.replaced).toBe(1);
  expect(seen.greeted).toBe(2);
  await expect.poll(() => seen.handle.listening).toBe(true);
  await seen.handle.stop();
});

test('a worker that reports its failure: is ended and replaced', async () => {
  const seen = await listening(
    `on('drain', () => post({ kind: 'failed', error: new Error('bug') })); ready()`,
  );
  seen.handle.post({ kind: 'drain', deadlineMs: 0, redirects: [] });
  await expect.poll(() => seen.greeted).toBe(2);
  await seen.handle.stop();
});

test("drain: resolves with the worker's answer or its death, and it is not replaced", async () => {
  const answers = await listening(`on('drain', () => post({ kind: 'drained' })); ready()`);
  const dies = await listening(`on('drain', () => process.exit(1)); ready()`);
  for (const seen of [answers, dies]) {
    await seen.handle.drain(1000, []);
    await seen.handle.stop();
    expect(seen.replaced).toBe(0);
  }
});

test('drain, stop: wait for a replacement worker', async () => {
  const seen = await listening(`parentPort.removeAllListeners('message');
    on('listen', ({ port, wsPort }) => post({ kind: 'listening', port, wsPort }));
    on('pause', () => process.exit(1));
    for (const [kind, answer] of [['drain', 'drained'], ['stop', 'stopped']])
      on(kind, () => setImmediate(() => {
        post({ kind: 'stats', stats: { accepts: answer } });
        post({ kind: answer });
      }));
    ready()`);
  seen.handle.pause();
  await expect.poll(() => seen.greeted).toBe(2);
  // A worker that is slow to answer is not given up.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  await seen.handle.drain(1000, []);
  expect(seen.marks).toEqual(['drained']);
  await seen.handle.stop();
  expect(seen.marks).toEqual(['drained', 'stopped']);
});

test('stop: also ends a worker that does not answer, and one that never started', async () => {
  const deaf = await listening(
    `on('listen', () => parentPort.removeAllListeners('message')); setInterval(() => {}, 1000); ready()`,
  );
  await deaf.handle.stop();
  expect(deaf.handle.listening).toBe(false);
  const message: ToWorker = { kind: 'stop' };
  deaf.handle.post(message);
  await new Seen('').handle.stop();
});

test('a worker that reports nothing for 30 ticks: is terminated and replaced', async () => {
  const seen = await listening(`
    on('limits', () => post({ kind: 'stats', stats: { accepts: 'alive' } }));
    on('drain', () => { for (;;); });
    ready()`);
  const ticks = (count: number) => {
    for (let tick = 0; tick < count; tick++) seen.handle.tick();
  };
  ticks(29);
  seen.handle.setLimits(DEFAULT_LIMITS);
  await expect.poll(() => seen.marks).toEqual(['alive']);
  ticks(29);
  expect(seen.handle.alive).toBe(true);
  seen.handle.post({ kind: 'drain', deadlineMs: 0, redirects: [] });
  ticks(1);
  expect(seen.handle.alive).toBe(false);
  await expect.poll(() => seen.greeted).toBe(2);
  await expect.poll(() => seen.handle.alive).toBe(true);
  await seen.handle.stop();
});
