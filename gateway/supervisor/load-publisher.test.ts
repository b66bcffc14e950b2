import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import type { Registration } from '../../crpc/mod.ts';
import { LoadPublisher, MIN_INTERVAL_MS, SHARP_CONNECTIONS, SHARP_DELAY_MS } from './load-publisher.ts';
import { newWorkerStats } from './worker-stats.ts';

let stats = newWorkerStats();
let written: Record<string, number>[];
/** When they were written, ms. */
let times: number[];
let fail: Error | undefined;
let publisher: LoadPublisher;
let isReady = true;

const registration = {
  update: ({ load }: { load: Record<string, number> }) => {
    written.push(load);
    times.push(performance.now());
    return fail ? Promise.reject(fail) : Promise.resolve();
  },
} as unknown as Registration;

beforeEach(() => {
  vi.useFakeTimers();
  stats = newWorkerStats();
  written = [];
  times = [];
  fail = undefined;
  isReady = true;
  publisher = new LoadPublisher({
    maxConnections: () => 10_000,
    isReady: () => isReady,
    workers: () => [{ stats }],
    logger: silentLogger,
  });
  publisher.next();
  publisher.start(registration);
});

afterEach(() => {
  publisher.stop();
  vi.useRealTimers();
});

const connect = (connections: number) => {
  stats.connections.tcp = connections;
  publisher.onStats();
};

test('each second: one report', async () => {
  await vi.advanceTimersByTimeAsync(3000);
  expect(written).toHaveLength(3);
});

test('a sharp change: reported early', async () => {
  connect(SHARP_CONNECTIONS);
  await vi.advanceTimersByTimeAsync(MIN_INTERVAL_MS);
  expect(written).toMatchObject([{ connections: SHARP_CONNECTIONS }]);
});

test('a few more connections, or a small share: no early report', async () => {
  connect(SHARP_CONNECTIONS - 1);
  await vi.advanceTimersByTimeAsync(999);
  expect(written).toEqual([]);
  stats.connections.tcp = 5000;
  await vi.advanceTimersByTimeAsync(1);
  connect(5400);
  await vi.advanceTimersByTimeAsync(900);
  expect(written).toHaveLength(1);
});

test('an event loop that stalls: reported early', async () => {
  stats.loopDelayMs = SHARP_DELAY_MS;
  publisher.onStats();
  await vi.advanceTimersByTimeAsync(MIN_INTERVAL_MS);
  expect(written).toMatchObject([{ loop_delay_ms: SHARP_DELAY_MS }]);
});

test('constant changes: at most four writes a second', async () => {
  for (let i = 1; i <= 100; i++) {
    connect(i % 2 === 0 ? 1000 : 0);
    await vi.advanceTimersByTimeAsync(100);
  }
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  expect(Math.min(...gaps)).toBe(MIN_INTERVAL_MS);
  expect(written.length).toBeGreaterThanOrEqual(20);
});

test('readiness lost and regained: reported before its time', async () => {
  isReady = false;
  publisher.onStats();
  await vi.advanceTimersByTimeAsync(MIN_INTERVAL_MS);
  expect(written).toMatchObject([{ ready: 0 }]);
  isReady = true;
  publisher.onStats();
  await vi.advanceTimersByTimeAsync(MIN_INTERVAL_MS);
  expect(written.at(-1)).toMatchObject({ ready: 1 });
});

test('drain: is reported at once, and reports go on', async () => {
  await publisher.drain();
  expect(written).toMatchObject([{ draining: 1 }]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(written.at(-1)).toMatchObject({ draining: 1 });
});

test('a registry that refuses a report: the next one follows', async () => {
  fail = new Error('gone');
  await vi.advanceTimersByTimeAsync(1000);
  fail = undefined;
  await vi.advanceTimersByTimeAsync(1000);
  expect(written).toHaveLength(2);
});

test('stop: no more reports', async () => {
  connect(5000);
  publisher.stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(written).toEqual([]);
});
