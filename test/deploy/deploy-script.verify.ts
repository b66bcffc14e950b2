/** scripts/deploy.sh over a real sshd on loopback; the server's docker is a script that records what it is told. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { ROOT } from '../harness/gochat.ts';
import { install } from './install.ts';

const folder = mkdtempSync(join(tmpdir(), 'gochat-deploy-'));
/** The user's home on the server. */
const home = join(folder, 'home');
/** What is deployed. */
const tree = join(folder, 'tree');
const log = join(folder, 'docker.log');
const unhealthy = join(folder, 'unhealthy');

// The digest of a tag is its name twice. A release whose image is listed as unhealthy does not start.
const DOCKER = `#!/bin/bash
echo "$*" >>${log}
case "$1 $2" in
  'image inspect') echo "shop/gochat@sha256:\${!###*:}\${!###*:}" ;;
  'compose --project-directory')
    [ "$4" = up ] || exit 0
    echo "  $(head -n 1 "$3/.env")" >>${log}
    ! grep -qFf "${unhealthy}" "$3/.env" ;;
esac
`;

let sshd: ChildProcess;
let port: number;
const file = (name: string) => readFileSync(join(folder, name), 'utf8').trim();

beforeAll(async () => {
  install('openssh-server', 'openssh-client');
  mkdirSync('/run/sshd', { recursive: true });
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin/docker'), DOCKER);
  chmodSync(join(folder, 'bin/docker'), 0o755);
  chmodSync(folder, 0o755);
  for (const key of ['host', 'user', 'stranger'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', join(folder, key)]);
  cpSync(join(folder, 'user.pub'), join(folder, 'authorized_keys'));
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  ({ port } = probe.address() as AddressInfo);
  await new Promise((resolve) => probe.close(resolve));
  const settings = {
    HostKey: join(folder, 'host'),
    AuthorizedKeysFile: join(folder, 'authorized_keys'),
    ListenAddress: `127.0.0.1:${port}`,
    PidFile: 'none',
    LogLevel: 'ERROR',
    UsePAM: 'no',
    PasswordAuthentication: 'no',
    StrictModes: 'no',
    PermitRootLogin: 'prohibit-password',
    SetEnv: `HOME=${home} PATH=${join(folder, 'bin')}:/usr/bin:/bin`,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  writeFileSync(join(folder, 'sshd_config'), lines.join(''));
  sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')], { stdio: 'inherit' });
  await eventually('sshd listens', answers);
});

afterAll(async () => {
  if (sshd.exitCode === null) {
    sshd.kill();
    await once(sshd, 'exit');
  }
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  for (const path of [home, tree]) rmSync(path, { recursive: true, force: true });
  mkdirSync(home);
  for (const path of ['scripts/deploy.sh', 'docker-compose.yml', 'deployments'])
    cpSync(join(ROOT, path), join(tree, path), { recursive: true });
  writeFileSync(log, '');
  writeFileSync(unhealthy, 'nothing\n');
});

async function answers(): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Runs deploy.sh; resolves with its exit code and all output. */
async function deploy(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    TMPDIR: temporary,
    GOCHAT_REPOSITORY: 'shop/gochat',
    DEV_SERVER_HOST: '127.0.0.1',
    DEV_SERVER_PORT: String(port),
    DEV_SERVER_USER: execFileSync('id', ['-un']).toString().trim(),
    DEV_SERVER_KEY: file('user'),
    DEV_SERVER_KNOWN_HOSTS: `[127.0.0.1]:${port} ${file('host.pub')}`,
    ...more,
  };
  const child = spawn(join(tree, 'scripts/deploy.sh'), args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number];
  // The private key was a file while it ran.
  expect(readdirSync(temporary)).toEqual([]);
  expect(output).not.toContain('PRIVATE KEY');
  return { code, output };
}

const current = () => readlinkSync(join(home, 'gochat/current'));
const images = () =>
  [...readFileSync(log, 'utf8').matchAll(/^ {2}GOCHAT_IMAGE=(.*)$/gm)].map(([, image]) => image);
const digest = (tag: string) => `shop/gochat@sha256:${tag}${tag}`;

test('deploys: pulls the image, starts it by its digest with the server as the address for clients', async () => {
  const { code, output } = await deploy(['dev', 'v1']);
  expect(output).toContain('deployed releases/');
  expect(code).toBe(0);
  expect(current()).toMatch(/^releases\/\d{8}T\d{6}Z-v1$/);
  const release = join(home, 'gochat', current());
  expect(readFileSync(join(release, '.env'), 'utf8')).toBe(
    `GOCHAT_IMAGE=${digest('v1')}\nHOST_IP=127.0.0.1\nBIND_IP=0.0.0.0\n`,
  );
  const compose = readFileSync(join(release, 'docker-compose.yml'), 'utf8');
  for (const variable of ['GOCHAT_IMAGE', 'HOST_IP', 'BIND_IP'])
    expect(compose).toContain(`\${${variable}:-`);
  const mounted = [...compose.matchAll(/\.\/deployments[\w./-]+/g)].map(([path]) => path);
  expect(mounted.length).toBeGreaterThan(0);
  for (const path of mounted) expect(existsSync(join(release, path)), path).toBe(true);
  expect(readFileSync(log, 'utf8')).toMatch(
    /pull --quiet shop\/gochat:v1\n.*\ncompose --project-directory \S+ build --quiet site\ncompose --project-directory \S+ up --detach --remove-orphans --wait /,
  );
});

test('a release that is not healthy: rolled back to the one before, exit 1', async () => {
  await deploy(['dev', 'v1']);
  const good = current();
  writeFileSync(unhealthy, `${digest('v2')}\n`);
  const { code, output } = await deploy(['dev', 'v2']);
  expect(output).toContain(`rolled back to ${good}`);
  expect(code).toBe(1);
  expect(current()).toBe(good);
  expect(images()).toEqual(['v1', 'v2', 'v1'].map(digest));
});

test('the first release is not healthy: exit 1, and nothing is current', async () => {
  writeFileSync(unhealthy, `${digest('v1')}\n`);
  const { code, output } = await deploy(['dev', 'v1']);
  expect(output).toContain('there is no release to roll back to');
  expect(code).toBe(1);
  expect(existsSync(join(home, 'gochat/current'))).toBe(false);
});

test('--rollback: the release before, with its files and digest; again: back', async () => {
  await deploy(['dev', 'v1']);
  await deploy(['dev', 'v2']);
  expect((await deploy(['dev', '--rollback'])).code).toBe(0);
  expect(current()).toMatch(/-v1$/);
  expect((await deploy(['dev', '--rollback'])).code).toBe(0);
  expect(current()).toMatch(/-v2$/);
  expect(images()).toEqual(['v1', 'v2', 'v1', 'v2'].map(digest));
  expect(readFileSync(log, 'utf8')).toContain(`pull --quiet ${digest('v1')}\n`);
});

test('--rollback without an earlier release: exit 1', async () => {
  await deploy(['dev', 'v1']);
  const { code, output } = await deploy(['dev', '--rollback']);
  expect(output).toContain('no release before');
  expect(code).toBe(1);
});

test('--dry-run: says what it would run, and changes nothing', async () => {
  const { code, output } = await deploy(['dev', 'v1', '--dry-run']);
  expect(output).toContain('would run: docker pull --quiet shop/gochat:v1');
  expect(output).toMatch(/would run: docker compose .* up --detach/);
  expect(code).toBe(0);
  expect(readdirSync(home)).toEqual([]);
  expect(readFileSync(log, 'utf8')).toBe('compose version\n');
});

test('variables of the server and old releases: kept and removed', async () => {
  mkdirSync(join(home, 'gochat/releases'), { recursive: true });
  writeFileSync(join(home, 'gochat/server.env'), 'GOCHAT_SUBNET=10.9.0.0/16\n');
  for (let day = 1; day <= 7; day++) mkdirSync(join(home, `gochat/releases/2020010${day}T000000Z-old`));
  await deploy(['dev', 'v1']);
  expect(readFileSync(join(home, 'gochat', current(), '.env'), 'utf8')).toContain(
    'GOCHAT_SUBNET=10.9.0.0/16',
  );
  const left = readdirSync(join(home, 'gochat/releases')).sort();
  expect(left.slice(0, -1)).toEqual([4, 5, 6, 7].map((day) => `2020010${day}T000000Z-old`));
});

test('a server with another key: refused, and nothing runs there', async () => {
  const { code, output } = await deploy(['dev', 'v1'], {
    DEV_SERVER_KNOWN_HOSTS: `[127.0.0.1]:${port} ${file('stranger.pub')}`,
  });
  expect(output).toContain('Host key verification failed');
  expect(code).not.toBe(0);
  expect(readFileSync(log, 'utf8')).toBe('');
});

test.each([
  ['an unknown environment', ['moon', 'v1'], {}, 'usage'],
  ['no tag', ['dev'], {}, 'give a tag or --rollback'],
  ['a tag and --rollback', ['dev', 'v1', '--rollback'], {}, 'give a tag or --rollback'],
  ['a tag for a shell', ['dev', 'v1;id'], {}, 'not a tag'],
  ['a missing variable', ['staging', 'v1'], {}, 'STAGING_SERVER_HOST'],
  ['a host for ssh options', ['dev', 'v1'], { DEV_SERVER_HOST: '-oProxyCommand=id' }, 'DEV_SERVER_HOST'],
] as const)('%s: exit 2 and a message that names it', async (_, args, env, words) => {
  const { code, output } = await deploy(args, env);
  expect(output).toContain(words);
  expect(code).toBe(2);
});
