/** The image: what is in it, every role started from it, and a chat. */
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { engineUrl, freshDatabase } from '../harness/cluster.ts';
import { Client, ROOT, signup } from '../harness/gochat.ts';
import { type Container, Image } from './image.ts';

const MAX_MB = 230;
const UID = 10_001;

let image: Image;
beforeAll(() => {
  image = new Image();
}, 600_000);
afterAll(() => image[Symbol.dispose]());

/** Runs a command in a container to its end. */
async function run(command: readonly string[], options?: Parameters<Image['start']>[1]) {
  await using container = image.start(command, options);
  container.child.stdin.end();
  return await container.exit();
}

/** Addresses from a server's log line. */
async function upLine(container: Container, mode: string): Promise<Record<string, string>> {
  return await container.until(({ stderr }) => {
    const line = stderr.split('\n').find((one) => one.includes(`"msg":"${mode} is up"`) && one.endsWith('}'));
    return line === undefined ? undefined : (JSON.parse(line) as Record<string, string>);
  }, `"${mode} is up"`);
}

/** Waits until the image's own health check passes. */
async function healthy(server: Container, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const [, ...command] = image.config.Healthcheck.Test;
  await expect
    .poll(async () => (await run(command, { env, network: server })).code, {
      message: 'the health check passes',
    })
    .toBe(0);
}

test(`at most ${MAX_MB} MB above its base`, () => {
  expect(image.bytes).toBeLessThan(MAX_MB * 1e6);
});

test('holds what production needs: native parts, page, migrations, an SBOM; no compiler, no packages of development', () => {
  const inside = (path: string) => existsSync(join(image.root, 'opt/gochat', path));
  for (const path of [
    'dist/common/internals/write-many.node',
    'dist/common/internals/malloc-trim.node',
    'dist/page/index.html',
    'dist/state/store/migrations',
    'LICENSE',
  ])
    expect(inside(path), path).toBe(true);
  for (const path of ['node_modules/typescript', 'node_modules/vite', '.npmrc', 'dist/.compile-cache'])
    expect(inside(path), path).toBe(false);
  expect(existsSync(join(image.root, 'usr/bin/gcc'))).toBe(false);

  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; dev?: boolean; cpu?: readonly string[] }>;
  };
  const sbom = JSON.parse(readFileSync(join(image.root, 'opt/gochat/sbom.json'), 'utf8')) as {
    bomFormat: string;
    components: { name: string; version: string }[];
  };
  expect(sbom.bomFormat).toBe('CycloneDX');
  const listed = sbom.components.map(({ name, version }) => `${name}@${version}`);
  const locked = Object.entries(lock.packages)
    .filter(([path, { dev, cpu }]) => path !== '' && dev !== true && cpu?.includes(process.arch) !== false)
    .map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version}`);
  expect([...new Set(listed)].sort()).toEqual([...new Set(locked)].sort());
});

test('an unprivileged user, a root file system that is read-only, and a health check that fails without a server', async () => {
  expect(image.config.User).toBe(`${UID}:${UID}`);
  const touch = await run(['sh', '-c', 'id -u; touch /opt/gochat/x || touch /var/lib/gochat/x']);
  expect(touch.stdout).toBe(`${UID}\n`);
  expect(touch.stderr).toContain('Read-only file system');
  const [kind, ...command] = image.config.Healthcheck.Test;
  expect(kind).toBe('CMD');
  expect((await run(command, { network: 'own' })).code).toBe(1);
});

test('every role starts, is healthy, chats, and ends by TERM as PID 1', async () => {
  await using database = await freshDatabase();
  const env = {
    GOCHAT_HOST: '127.0.0.1',
    GOCHAT_REGISTRY: `${engineUrl('ETCD')}/image-${process.pid}`,
    GOCHAT_STORE: database.url,
    GOCHAT_HOT: engineUrl('REDIS'),
  };
  const free = ['--port', '0', '--admin-port', '0'];
  await using state = image.start(['gochat', 'state', ...free], { env });
  await using gateway = image.start(['gochat', 'gateway', ...free, '--ws-port', '0'], { env });
  await using ipconf = image.start(['gochat', 'ipconf', ...free], { env });
  await using api = image.start(['gochat', 'api', ...free], { env });
  const servers = { state, gateway, ipconf, api };
  const addresses: Record<string, Record<string, string>> = {};
  for (const [mode, server] of Object.entries(servers)) addresses[mode] = await upLine(server, mode);
  for (const [mode, server] of Object.entries(servers))
    await healthy(server, { GOCHAT_ADMIN_PORT: addresses[mode]?.['admin']?.split(':').at(-1) ?? '' });
  const urls = {
    ipconf: `http://${addresses['ipconf']?.['http']}`,
    api: `http://${addresses['api']?.['http']}`,
  };

  await signup(urls, 'ann');
  await signup(urls, 'bob');
  await using bob = new Client(urls, 'bob');
  await bob.event('synced');
  const at = ['--ipconf', urls.ipconf, '--api', urls.api];
  await using ann = image.start(['gochat', 'client', '--plain', '--json', '--user', 'ann', ...at], {
    env: { GOCHAT_PASSWORD: 'ann-secret' },
  });
  ann.child.stdin.end('/dm bob from the image\n');
  expect((await ann.exit()).code).toBe(0);
  await bob.event('message', ({ text }) => text === 'from the image');

  for (const [mode, server] of Object.entries(servers)) {
    server.signal('SIGTERM');
    expect((await server.exit()).code, mode).toBe(0);
  }
});

test('without a command: the whole system on its data folder, with the page and no demo accounts', async () => {
  const data = mkdtempSync(join(tmpdir(), 'gochat-image-'));
  chownSync(data, UID, UID);
  try {
    await using up = image.start(undefined, { data, network: 'own' });
    await up.until(({ stdout }) => stdout.includes('Ctrl-C') || undefined, 'GoChat is up');
    await healthy(up);
    // The image has no HTTP client but its Node.js.
    const page =
      'const answer = await fetch("http://127.0.0.1:8080/"); console.log(answer.status, await answer.text())';
    expect((await run(['node', '--input-type=module', '-e', page], { network: up })).stdout).toMatch(
      /^200 <!doctype html>/i,
    );
    const demo = ['gochat', 'client', '--plain', '--json', '--user', 'demo'];
    const refused = await run(demo, { network: up, env: { GOCHAT_PASSWORD: '111111' } });
    expect(refused.stdout).toContain('CREDENTIALS_WRONG');
    up.signal('SIGTERM');
    expect((await up.exit()).code).toBe(0);
    expect(existsSync(join(data, 'gochat.db'))).toBe(true);
  } finally {
    rmSync(data, { recursive: true });
  }
});

test('DATABASE_URL, REDIS_URL, JWT_SECRET and PORT: the whole system writes to no disk', async () => {
  await using database = await freshDatabase();
  const ports = ['GATEWAY', 'WS', 'IPCONF', 'ADMIN'].map((name) => [`GOCHAT_${name}_PORT`, '0']);
  const env = {
    ...(Object.fromEntries(ports) as Record<string, string>),
    GOCHAT_HOST: '127.0.0.1',
    DATABASE_URL: database.url,
    REDIS_URL: engineUrl('REDIS'),
    JWT_SECRET: 'a secret of the test, of 32 bytes or more',
    PORT: '0',
  };
  await using up = image.start(undefined, { env });
  await up.until(({ stdout }) => stdout.includes('Ctrl-C') || undefined, 'GoChat is up');
  const api = /api {7}(http:\S+)/.exec(up.stdout)?.[1] ?? '';
  await signup({ api, ipconf: '' }, 'cleo');
  expect((await fetch(`${api}/healthz`)).status).toBe(200);
  up.signal('SIGTERM');
  expect((await up.exit()).code).toBe(0);
});
