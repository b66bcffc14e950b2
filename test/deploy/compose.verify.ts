/** The compose files: checked, and what they start started as processes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Client, ROOT } from '../harness/gochat.ts';
import { readCompose } from './compose-file.ts';
import { Containers } from './containers.ts';
import { install } from './install.ts';

const MAIN = join(ROOT, 'docker-compose.yml');
const DEV = join(ROOT, 'docker-compose.dev.yml');
const FILES = [MAIN, DEV, join(ROOT, 'deployments/docker-compose.dev.yml')];
const SCHEMA_CHECK = '0.39.0';

test('the files are valid by the schema of compose', () => {
  const script = join(ROOT, 'scripts/install-for-tests.sh');
  const program = execFileSync(script, ['--pip', 'check-jsonschema', SCHEMA_CHECK], {
    encoding: 'utf8',
  }).trim();
  execFileSync(program, ['--builtin-schema', 'vendor.compose-spec', ...FILES], { stdio: ['ignore', 2, 2] });
}, 300_000);

test('the services and ports that scripts rely on; the two files for development are one', () => {
  const { services } = readCompose([MAIN], {});
  const names = ['etcd', 'redis', 'postgres', 'logic', 'connect-ws', 'connect-tcp', 'api', 'ipconf', 'site'];
  expect(Object.keys(services)).toEqual(expect.arrayContaining(names));
  expect(services['site']?.ports).toEqual(['127.0.0.1:80:80', '127.0.0.1:8900:8900']);
  // Nothing else can be reached from outside, and what is scaled has no port of its own.
  expect(
    Object.entries(services)
      .filter(([, { ports }]) => ports.length > 0)
      .map(([name]) => name),
  ).toEqual(['site']);
  expect(realpathSync(FILES[2] as string)).toBe(DEV);
  const developing = readCompose([MAIN, DEV], { HOST_IP: '192.0.2.1' });
  expect(developing.services['logic']?.environment).toMatchObject({
    GOCHAT_DEMO: 'true',
    GOCHAT_HOST: '0.0.0.0',
  });
  expect(developing.services['connect-tcp']?.environment['GOCHAT_ADVERTISE_HOST']).toBe('192.0.2.1');
});

test('a variable without a value, a service that is none and a volume that is none are errors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-compose-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const changed = (from: string, to: string) => {
    const file = join(folder, 'changed.yml');
    const text = readFileSync(MAIN, 'utf8');
    expect(text).toContain(from);
    writeFileSync(file, text.replace(from, to));
    return () => readCompose([file], {});
  };
  expect(changed('${HOST_IP:-127.0.0.1}', '${HOST_IP}')).toThrow('the variable HOST_IP has no value');
  expect(changed('etcd: { condition', 'etc: { condition')).toThrow('depends on etc, which is no service');
  expect(changed("'redis:/data'", "'reds:/data'")).toThrow('names the volume reds, which is none');
});

test('started as it stands: people chat through site; it is scaled, and one of each is killed meanwhile', async () => {
  install('etcd-client', 'nginx-light', 'libnginx-mod-stream');
  const site = '172.28.0.2';
  const file = readCompose([MAIN, DEV], { HOST_IP: site });
  const folder = mkdtempSync(join(tmpdir(), 'gochat-containers-'));
  await using containers = new Containers(file, folder);
  // The first address is that of site, which the others name to clients; it is started last.
  containers.reserve('site', site);
  await containers.up();
  const urls = { api: `http://${site}`, ipconf: `http://${site}` };
  const page = await fetch(urls.api);
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('GoChat')]);
  await using demo = new Client(urls, 'demo', '111111', ['--device', 'a']);
  await using other = new Client(urls, 'test', '111111', ['--device', 'b', '--transport', 'ws']);
  await Promise.all([demo.event('synced'), other.event('synced')]);
  demo.say('/dm test over TCP');
  await other.event('message', ({ text }) => text === 'over TCP');
  other.say('/dm demo over WebSocket');
  await demo.event('message', ({ text }) => text === 'over WebSocket');

  const accounts = await containers.exec('logic', [
    'gochat',
    'ctl',
    'account',
    'test',
    '--grant-admin',
    '--admin',
    'http://127.0.0.1:9102',
  ]);
  expect(accounts).toMatch(/ test {2}active {2}admin\n$/);

  for (const name of ['logic', 'connect-tcp', 'api']) await containers.start(name);
  const named = await containers.start('connect-ws', { SERVER_ID: 'chat-3' });
  expect(named.output()).toContain('"instance":"chat-3"');
  for (const name of ['connect-ws', 'connect-tcp', 'logic', 'api']) {
    const [first] = containers.of(name);
    if (first === undefined) throw new Error(`no ${name} runs`);
    demo.say(`before ${name} is killed`);
    await containers.kill(first);
    other.say(`after ${name} was killed`);
    await other.event('message', ({ text }) => text === `before ${name} is killed`);
    await demo.event('message', ({ text }) => text === `after ${name} was killed`);
    expect((await fetch(`${urls.api}/healthz`)).status).toBe(200);
  }
  for (const client of [demo, other]) expect(new Set(client.texts()).size).toBe(client.texts().length);
}, 300_000);
