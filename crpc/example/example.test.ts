/** The example does what it says, on a real etcd. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { TestEtcd } from '../testing/etcd.ts';

const run = promisify(execFile);

test('a node leaves and another joins under load: no call fails', { timeout: 120_000 }, async () => {
  await using etcd = await TestEtcd.start();
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const { stdout } = await run(process.execPath, [main, `etcd://${etcd.address}`], { timeout: 110_000 });
  expect(stdout).toContain('echo-1 has gone');
  expect(stdout).toContain('answering: echo-2 echo-3');
  expect(stdout).not.toContain('failed:');
  const [, calls] = /(\d+) calls, 0 failed/.exec(stdout) ?? [];
  expect(Number(calls)).toBeGreaterThan(1000);
  expect(stdout).toContain('A node left and one joined under load, and no call failed.');
});
