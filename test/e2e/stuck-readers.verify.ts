import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { StuckReport } from './stuck-readers.ts';

const SCENARIO = fileURLToPath(new URL('stuck-readers.ts', import.meta.url));
/**
 * On loopback the kernel takes 4 MB for each connection before the gateway notices that nobody reads. A network of its
 * own, where the kernel takes as little as docs/operations.md advises, leaves room for a thousand of them.
 */
const OWN_NETWORK = ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c'];
const LITTLE = 'ip link set lo up && echo 131072 > /proc/sys/net/ipv4/tcp_notsent_lowat && exec "$@"';
const MAX_OUTBOUND_BYTES = 65_536;
const FRAME_BYTES = 8200;
const MIB = 1024 * 1024;

test('1,000 clients that stop reading in a flooded room: memory stays flat, and the others get everything', async () => {
  const [unshare = '', ...rest] = OWN_NETWORK;
  const isAllowed = spawnSync(unshare, [...rest, LITTLE, 'sh', 'true']).status === 0;
  const command = [process.execPath, SCENARIO, isAllowed ? '1000' : '100'];
  const [program = '', ...args] = isAllowed ? [...OWN_NETWORK, LITTLE, 'sh', ...command] : command;
  const scenario = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  scenario.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  scenario.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise((resolve) => scenario.once('close', resolve));
  expect([code, stderr]).toEqual([0, '']);
  const report = JSON.parse(stdout) as StuckReport;
  const { readers, full, later, after } = report;

  // All were behind, none held more than the bound and a tick's last frame, and 30 bounds more changed nothing.
  expect([full.behind, later.behind]).toEqual([readers, readers]);
  expect(full.queuedBytes).toBeGreaterThan(0);
  expect(full.queuedBytes).toBeLessThanOrEqual(readers * (MAX_OUTBOUND_BYTES + FRAME_BYTES));
  expect(later.queuedBytes).toBeLessThanOrEqual(full.queuedBytes);
  // Otherwise it would be 30 times the bound of each: 1.9 GB.
  expect(later.residentBytes - full.residentBytes).toBeLessThan(
    (readers * MAX_OUTBOUND_BYTES) / 2 + 32 * MIB,
  );

  // Who reads again is told to resynchronise; who does not goes with the code.
  expect(report.resynced).toBe(readers / 10);
  expect(report.slowConsumers).toBe(readers - readers / 10);
  expect([after.behind, after.queuedBytes]).toEqual([0, 0]);
  expect(report.heard).toEqual(Array.from({ length: report.said }, (_, i) => i + 1));
}, 240_000);
