import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { freePorts } from './services.ts';

const SCRIPT = new URL('../../scripts/start-services.sh', import.meta.url).pathname;
const LINGERS = new URL('lingers.cpp', import.meta.url).pathname;

let dir: string;
let port: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gochat-test-script-'));
  await chmod(dir, 0o711);
  port = String((await freePorts(1))[0]);
});
afterEach(async () => {
  await run('--stop');
  await rm(dir, { recursive: true });
});

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn('bash', [SCRIPT, '--dir', dir, '--engine', 'local', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ]);
  return { code, stdout, stderr };
}

const startRedis = () => run('--only', 'redis', '--redis-port', port, '--yes');

describe('start-services.sh', () => {
  test.each([
    ['--nonsense', "unknown flag '--nonsense'"],
    ['--only=mysql', "not 'mysql'"],
    ['--redis-port=0', "not '0'"],
    ['--redis-port=65536', "not '65536'"],
    ['--redis-port=http', "not 'http'"],
    ['--engine=podman', "not 'podman'"],
    ['--stop=no', '--stop takes no value'],
    ['--redis-port', '--redis-port needs a value'],
  ])('%s: says what is wrong, exit 2', async (flag, message) => {
    const { code, stderr } = await run(flag);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  test('start, start again, stop, start: one process, the same password and data', async () => {
    expect(await startRedis()).toMatchObject({ code: 0, stderr: '' });
    const pid = await readFile(`${dir}/redis.pid`, 'utf8');
    const config = await readFile(`${dir}/gochat.yaml`, 'utf8');
    const url = (parse(config) as Record<string, string>)['hot'] ?? '';
    expect(url).toMatch(new RegExp(`^redis://:[0-9a-f]{32}@127\\.0\\.0\\.1:${port}$`));
    await withRedis(url, (redis) => redis.set('kept', 'yes'));

    const again = await run('--only', 'redis');
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('runs already') });
    expect(await readFile(`${dir}/redis.pid`, 'utf8')).toBe(pid);
    expect(await run('--status', '--only', 'redis')).toMatchObject({ code: 0 });

    expect(await run('--stop', '--only', 'redis')).toMatchObject({ code: 0, stdout: 'redis: stopped\n' });
    expect(await run('--status', '--only', 'redis')).toMatchObject({ code: 3 });
    expect(await run('--stop', '--only', 'redis')).toMatchObject({ code: 0, stdout: 'redis: not running\n' });

    expect(await run('--only', 'redis')).toMatchObject({ code: 0 });
    expect(await readFile(`${dir}/gochat.yaml`, 'utf8')).toBe(config);
    expect(await withRedis(url, (redis) => redis.get('kept'))).toBe('yes');
  });

  test('passwords: are in files that only the owner may read', async () => {
    await startRedis();
    for (const name of ['gochat.yaml', 'redis.password', 'redis.conf'])
      expect((await stat(`${dir}/${name}`)).mode & 0o777).toBe(0o600);
    const pid = (await readFile(`${dir}/redis.pid`, 'utf8')).trim();
    const password = await readFile(`${dir}/redis.password`, 'utf8');
    expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password);
  });

  test('a port in use: names port, service and flag', async () => {
    const other = createServer();
    other.listen(Number(port), '127.0.0.1');
    await once(other, 'listening');
    const { code, stderr } = await startRedis();
    await new Promise((resolve) => other.close(resolve));
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`port ${port}, wanted for redis, is used.*--redis-port`));
  });

  test('a changed port while it runs: says to stop it first', async () => {
    await startRedis();
    const { code, stderr } = await run('--only', 'redis', '--redis-port', '20001');
    expect(code).toBe(1);
    expect(stderr).toContain(`redis runs already on port ${port}: stop it first`);
  });

  test('two starts at once: one starts it, the other leaves it running', async () => {
    const both = await Promise.all([startRedis(), startRedis()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both.filter(({ stdout }) => stdout.includes('runs already'))).toHaveLength(1);
  });

  test('--stop: leaves a process alone that merely reuses the pid', async () => {
    await startRedis();
    await run('--stop', '--only', 'redis');
    const bystander = spawn('sleep', ['60'], { stdio: 'ignore' });
    await writeFile(`${dir}/redis.pid`, `${bystander.pid}\n`);
    expect(await run('--stop', '--only', 'redis')).toMatchObject({ stdout: 'redis: not running\n' });
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
    const exit = once(bystander, 'exit');
    bystander.kill();
    expect(await exit).toEqual([null, 'SIGTERM']);
  });

  test('a process of which only a thread is left, which holds the port: is waited for', async () => {
    await mkdir(`${dir}/redis`);
    await promisify(execFile)('g++', ['-std=c++17', '-pthread', '-o', `${dir}/lingers`, LINGERS]);
    const lingers = spawn(`${dir}/lingers`, [port], { cwd: `${dir}/redis` });
    await writeFile(`${dir}/redis.pid`, `${lingers.pid}\n`);
    await once(lingers.stdout, 'data');
    const exit = once(lingers, 'exit');
    expect(await startRedis()).toMatchObject({ code: 0, stderr: '' });
    await exit;
  });

  test('a service that does not start: the end of its log, exit 1', async () => {
    await mkdir(`${dir}/etcd`);
    await writeFile(`${dir}/etcd/member`, 'a file where etcd has a folder');
    const [peer] = await freePorts(1);
    const { code, stderr } = await run(
      '--only',
      'etcd',
      '--yes',
      '--etcd-port',
      port,
      '--etcd-peer-port',
      `${peer}`,
    );
    expect(code).toBe(1);
    expect(stderr).toContain(`etcd ended while starting; the end of ${dir}/etcd.log`);
    expect(stderr).toMatch(/not a directory/);
  });
});

test('the compose file: its variables are not settings of GoChat, and start-services.sh sets each of them', async () => {
  const [compose, script] = await Promise.all(
    ['deployments/compose.services.yaml', 'scripts/services/compose.sh'].map((path) =>
      readFile(new URL(`../../${path}`, import.meta.url), 'utf8'),
    ),
  );
  const names = new Set([...(compose ?? '').matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name));
  expect(names.size).toBe(5);
  for (const name of names) {
    expect(name).not.toMatch(/^GOCHAT_/);
    expect(script).toContain(`${name}=`);
  }
});

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}
