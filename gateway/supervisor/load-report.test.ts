import { expect, test } from 'vitest';
import { LoadReport } from './load-report.ts';
import { newWorkerStats, type WorkerStats } from './worker-stats.ts';

const GIB = 2 ** 30;
const condition = { maxConnections: 500, draining: false, ready: true };
const idle = () => ({ cpuMs: 0, cores: 2, memoryBytes: GIB, maxMemoryBytes: 4 * GIB });

function stats(values: Partial<WorkerStats>): WorkerStats {
  return { ...newWorkerStats(), ...values };
}

test('a report: sums the workers, with rates since the one before', () => {
  let now = 0;
  const report = new LoadReport(() => now, idle);
  const workers = [
    stats({
      accepts: 3,
      framesIn: 10,
      framesOut: 30,
      bytesOut: 1000,
      connections: { tcp: 2, ws: 1 },
      loopDelayMs: 1.26,
    }),
    stats({
      accepts: 4,
      framesIn: 10,
      framesOut: 50,
      bytesOut: 3000,
      connections: { tcp: 0, ws: 4 },
      loopDelayMs: 7,
    }),
  ];
  now = 2000;
  expect(report.next(workers, condition)).toEqual({
    tick: 1,
    connections: 7,
    max_connections: 500,
    accepted: 7,
    frames_in_per_s: 10,
    frames_per_s: 50,
    bytes_out_per_s: 2000,
    loop_delay_ms: 7,
    cpu: 0,
    memory_bytes: GIB,
    max_memory_bytes: 4 * GIB,
    draining: 0,
    ready: 1,
  });
  now = 3000;
  expect(report.next(workers, { ...condition, draining: true, ready: false })).toMatchObject({
    tick: 2,
    frames_per_s: 0,
    bytes_out_per_s: 0,
    draining: 1,
    ready: 0,
  });
});

test('network capacity: reported if known', () => {
  const load = new LoadReport().next([], { ...condition, maxBytesOutPerS: 125_000_000 });
  expect(load['max_bytes_out_per_s']).toBe(125_000_000);
});

test('a worker that was replaced: rates are 0, not negative', () => {
  let now = 0;
  const report = new LoadReport(() => now, idle);
  now = 1000;
  report.next([stats({ bytesOut: 5000, framesIn: 9 })], condition);
  now = 2000;
  expect(report.next([stats({})], condition)).toMatchObject({ bytes_out_per_s: 0, frames_in_per_s: 0 });
});

test('no workers: all figures are finite', () => {
  for (const value of Object.values(new LoadReport().next([], condition)))
    expect(Number.isFinite(value)).toBe(true);
});

test('CPU: the share of all cores since the report before', () => {
  let [now, cpuMs] = [0, 500];
  const report = new LoadReport(
    () => now,
    () => ({ ...idle(), cpuMs }),
  );
  [now, cpuMs] = [1000, 1000];
  expect(report.next([], condition)['cpu']).toBe(0.25);
  [now, cpuMs] = [2000, 9000];
  expect(report.next([], condition)['cpu']).toBe(1);
});

test('the machine: CPU and memory are within their bounds', () => {
  const load = new LoadReport().next([], condition);
  expect(load['cpu']).toBeGreaterThanOrEqual(0);
  expect(load['cpu']).toBeLessThanOrEqual(1);
  expect(load['memory_bytes']).toBeGreaterThan(1_000_000);
  expect(load['max_memory_bytes']).toBeGreaterThanOrEqual(load['memory_bytes'] as number);
});
