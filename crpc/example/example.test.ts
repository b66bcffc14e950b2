/** The examples do what they say, on a real etcd, and README.md shows what is tested; package.test.ts runs them packed. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
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

test.each(['memory', 'etcd'])('the service: runs on %s as it stands in README.md', async (kind) => {
  await using etcd = kind === 'etcd' ? await TestEtcd.start() : undefined;
  const file = fileURLToPath(new URL('hello.ts', import.meta.url));
  const args = etcd === undefined ? [] : [`etcd://${etcd.address}`];
  const { stdout } = await run(process.execPath, [file, ...args], { timeout: 60_000 });
  expect(stdout).toBe('hello, world\nanswer 1\nanswer 2\n');
  const code = await readFile(file, 'utf8');
  expect(code.trimEnd().split('\n').length).toBeLessThanOrEqual(36);
  const page = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const shown = code.trimEnd().replaceAll(/^(?=.)/gm, '    ');
  expect(page).toContain(shown);
});

test('the batch stream: runs as it stands in README.md', async () => {
  const file = fileURLToPath(new URL('batch.ts', import.meta.url));
  const { stdout } = await run(process.execPath, [file], { timeout: 60_000 });
  expect(stdout).toBe('one, two, three\n');
  const shown = (await readFile(file, 'utf8')).trimEnd().replaceAll(/^(?=.)/gm, '    ');
  expect(await readFile(new URL('../README.md', import.meta.url), 'utf8')).toContain(shown);
});
