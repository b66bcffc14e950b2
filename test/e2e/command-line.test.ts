import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { engineUrl, freshDatabase } from '../harness/cluster.ts';
import { Client, Gochat, runGochat, startServer } from '../harness/gochat.ts';

const folder = mkdtempSync(join(tmpdir(), 'gochat-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FILE = new URL(import.meta.url).pathname;

/** A port on loopback where nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Address of a process's admin port, from its log. */
function adminOf({ stderr }: Gochat): string | undefined {
  return /"address":"([^"]+)","msg":"admin port listens"/.exec(stderr)?.[1];
}

describe('usage', () => {
  test('--help: lists every mode, exit 0', async () => {
    const { code, stdout } = await runGochat(['--help']);
    expect(code).toBe(0);
    for (const mode of ['gateway', 'state', 'ipconf', 'api', 'client', 'up'])
      expect(stdout).toContain(`  ${mode}`);
  });

  test('MODE --help: lists flags with their variables and defaults', async () => {
    const { code, stdout } = await runGochat(['gateway', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/--ws-port <value>[\s\S]*GOCHAT_WS_PORT[\s\S]*8901/);
  });

  test('version: the one of package.json', async () => {
    const { code, stdout } = await runGochat(['version']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    ['unknown flag', ['gateway', '--nope'], '--nope'],
    ['unknown mode', ['gatway'], 'gatway'],
    ['wrong value', ['gateway', '--port', 'eighty'], '--port: expected a port from 0 to 65535'],
    ['client without a user', ['client', '--plain'], '--user'],
    ['config of an unknown mode', ['config', 'check', 'nope'], 'nope'],
    ['demo accounts for others', ['up', '--host', '0.0.0.0'], '--no-demo'],
  ])('%s: exit 2 and a message that names it', async (_, args, words) => {
    const { code, stderr } = await runGochat(args);
    expect(stderr).toContain(words);
    expect(code).toBe(2);
  });
});

describe('configuration', () => {
  test.each([
    ['corrupt file', 'a: [1', 'cannot read the configuration file'],
    ['unknown key', 'colour: red', 'there is no setting colour'],
    ['wrong value', 'gateway:\n  workers: many', 'gateway.workers'],
  ])('%s: exit 78, the place and the remedy', async (_, yaml, words) => {
    const path = join(folder, 'bad.yaml');
    writeFileSync(path, yaml);
    const { code, stderr } = await runGochat(['gateway', '--config', path]);
    expect(stderr).toContain(words);
    expect(stderr).toContain('CONFIG_INVALID');
    expect(code).toBe(78);
  });

  test.each([
    ['an authority for a registry without TLS', ['--registry-ca', FILE], 'registry_ca, registry_cert'],
    ['a certificate without its key', ['--hot', 'rediss://x', '--hot-cert', FILE], 'go together'],
    [
      'a file that is not there',
      ['--registry', 'etcds://x:1', '--registry-ca', '/nowhere'],
      '/nowhere (ENOENT)',
    ],
    ['a file without a certificate', ['--hot', 'rediss://x', '--hot-ca', FILE], 'hot_ca'],
    ['a parameter that is not understood', ['--hot', 'redis://x?pool=3'], 'there is no parameter pool'],
    ['several hosts without a reason', ['--hot', 'redis://a,b'], 'several hosts are for a Redis Cluster'],
    ['a parameter that etcd does not have', ['--registry', 'etcd://x:1?a=b'], 'is not a registry'],
  ])('%s: exit 78 and says so', async (_, args, words) => {
    const { code, stderr } = await runGochat(['state', ...args]);
    expect(stderr).toContain(words);
    expect(code).toBe(78);
  });

  test('unknown GOCHAT_ variable: exit 78', async () => {
    const { code, stderr } = await runGochat(['api'], { GOCHAT_PROT: '1' });
    expect(stderr).toContain('GOCHAT_PROT');
    expect(code).toBe(78);
  });

  test('variables that Kubernetes sets for a service named gochat: a warning, and it starts', async () => {
    const env = { GOCHAT_SERVICE_HOST: '10.0.0.7', GOCHAT_PORT: 'tcp://10.0.0.7:8900' };
    const { code, stdout, stderr } = await runGochat(['config', 'check', 'gateway'], env);
    expect(stderr).toMatch(/ignored .*GOCHAT_PORT/);
    expect(stderr).toMatch(/ignored .*GOCHAT_SERVICE_HOST/);
    expect(stdout).toContain('port: 8900');
    expect(code).toBe(0);
  });

  test('state on a public address without a cluster token: exit 78', async () => {
    const { code, stderr } = await runGochat(['state', '--host', '0.0.0.0']);
    expect(stderr).toContain('cluster token');
    expect(code).toBe(78);
  });

  test('config check MODE: prints the effective settings, without secrets', async () => {
    const path = join(folder, 'good.yaml');
    const hot = 'redis+sentinel://:hush@s/chat?sentinel_password=hush';
    writeFileSync(path, `store: postgres://gochat:hush@db/gochat\nhot: ${hot}\nstate:\n  port: 7\n`);
    const { code, stdout } = await runGochat(['config', 'check', 'state', '--config', path]);
    expect(code).toBe(0);
    expect(stdout).toContain('port: 7');
    expect(stdout).toContain('postgres://***@db/gochat');
    expect(stdout).not.toContain('hush');
  });

  test('config default MODE: a file that changes nothing and names every setting', async () => {
    const path = join(folder, 'default.yaml');
    const { stdout: file } = await runGochat(['config', 'default', 'gateway']);
    writeFileSync(path, file);
    const { stdout: set } = await runGochat(['config', 'check', 'gateway', '--config', path]);
    const { stdout: unset } = await runGochat(['config', 'check', 'gateway']);
    expect(set).toBe(unset);
    const { stdout: doc } = await runGochat(['config', 'doc', 'gateway']);
    const { stdout: help } = await runGochat(['gateway', '--help']);
    const variables = [...help.matchAll(/\[(GOCHAT_\w+)\]/g)].map(([, name = '']) => name);
    expect(variables.length).toBeGreaterThan(10);
    for (const variable of variables) {
      const key = variable.replace('GOCHAT_', '').toLowerCase();
      expect(file).toMatch(new RegExp(`^  (# )?${key}:`, 'm'));
      expect(doc).toMatch(new RegExp(`^${key}\n  --.+, ${variable}; default: .+\n  .+`, 'm'));
    }
  });

  test('config env MODE: variables that give the same configuration; secrets are comments', async () => {
    const path = join(folder, 'env.yaml');
    writeFileSync(path, 'store: postgres://gochat:hush@db/gochat\nstate:\n  port: 7\n');
    const { stdout } = await runGochat(['config', 'env', 'state', '--config', path]);
    expect(stdout).toMatch(/^# GOCHAT_STORE=/m);
    expect(stdout).not.toContain('hush');
    const lines = stdout.split('\n').filter((line) => line.startsWith('GOCHAT_'));
    expect(lines).toContain('GOCHAT_PORT=7');
    const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/)));
    const again = await runGochat(['config', 'env', 'state'], env as Record<string, string>);
    expect(again.stdout.split('\n').filter((line) => line.startsWith('GOCHAT_'))).toEqual(lines);
  });
});

describe('unreachable engines', () => {
  test.each(['gateway', 'state', 'ipconf', 'api'])(
    '%s without etcd: says so and what to do, exit 1',
    async (mode) => {
      const url = `etcd://127.0.0.1:${await closedPort()}`;
      const { code, stderr } = await runGochat([mode, '--registry', url, '--port', '0', '--admin-port', '0']);
      expect(stderr).toContain('REGISTRY_UNREACHABLE');
      expect(stderr).toContain('scripts/start-services.sh');
      expect(code).toBe(1);
    },
  );

  test.each([
    ['PostgreSQL', (port: number) => ['--store', `postgres://u:p@127.0.0.1:${port}/d`], 'STORE_UNREACHABLE'],
    ['Redis', (port: number) => ['--hot', `redis://127.0.0.1:${port}`], 'HOT_UNREACHABLE'],
  ])('state without %s: says so and what to do, exit 1', async (_, flags, expected) => {
    await using database = await freshDatabase();
    const env = {
      GOCHAT_REGISTRY: engineUrl('ETCD'),
      GOCHAT_STORE: database.url,
      GOCHAT_HOT: engineUrl('REDIS'),
    };
    const args = ['state', '--port', '0', '--admin-port', '0', ...flags(await closedPort())];
    const { code, stderr } = await runGochat(args, env);
    expect(stderr).toContain(expected);
    expect(stderr).toContain('scripts/start-services.sh');
    expect(stderr).not.toContain('u:p@');
    expect(code).toBe(1);
  });

  test('while it waits for etcd: alive, not ready with the reason, and TERM ends it at once', async () => {
    const url = `etcd://127.0.0.1:${await closedPort()}`;
    const args = ['--registry', url, '--port', '0', '--admin-port', '0', '--start-timeout-ms', '600000'];
    await using ipconf = new Gochat(['ipconf', ...args]);
    await ipconf.until(({ stderr }) => stderr.includes('REGISTRY_UNREACHABLE') || undefined, 'a warning');
    expect((await fetch(`http://${adminOf(ipconf)}/livez`)).status).toBe(200);
    const ready = await fetch(`http://${adminOf(ipconf)}/readyz`);
    expect(await ready.json()).toMatchObject({
      reasons: [{ server: 'ipconf', reason: 'starting: reaching etcd' }],
    });
    ipconf.signal('SIGTERM');
    expect((await ipconf.exit()).code).toBe(0);
  });

  test('client without servers: says which is missing and what to do, exit 1', async () => {
    const dead = `http://127.0.0.1:${await closedPort()}`;
    await using client = new Client({ ipconf: dead, api: dead }, 'demo');
    const error = await client.event('error');
    expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
    expect(error['message']).toContain(dead);
    expect((await client.exit()).code).toBe(1);
  });
});

describe('ports, and several servers on one machine', () => {
  const etcd = () => ({ GOCHAT_REGISTRY: `${engineUrl('ETCD')}/ports-${process.pid}` });

  test('port in use: PORT_IN_USE with the flag to change, exit 1, for each port', async () => {
    await using ipconf = await startServer('ipconf', etcd());
    const taken = ipconf.up['http']?.split(':').at(-1) as string;
    for (const [mode, flag] of [
      ['ipconf', '--port'],
      ['ipconf', '--admin-port'],
      ['gateway', '--port'],
      ['gateway', '--ws-port'],
      ['api', '--port'],
    ] as const) {
      const free = ['--port', '0', '--admin-port', '0', ...(mode === 'gateway' ? ['--ws-port', '0'] : [])];
      const { code, stderr } = await runGochat([mode, ...free, flag, taken], etcd());
      expect(stderr).toContain(`Port ${taken} on 127.0.0.1 is in use`);
      expect(stderr).toContain(`${flag} N`);
      expect(code).toBe(1);
    }
  });

  test('two gateways on the same port: the second is refused; the port is not shared silently', async () => {
    await using first = await startServer('gateway', etcd());
    const taken = first.up['tcp']?.split(':').at(-1) as string;
    const { code, stderr } = await runGochat(
      ['gateway', '--port', taken, '--ws-port', '0', '--admin-port', '0'],
      etcd(),
    );
    expect(stderr).toContain('PORT_IN_USE');
    expect(code).toBe(1);
  });

  test('TERM: a server drains and exits 0', async () => {
    await using ipconf = await startServer('ipconf', etcd());
    ipconf.process.signal('SIGTERM');
    expect((await ipconf.process.exit()).code).toBe(0);
  });

  test('admin port: live at once, ready when it can serve, metrics in Prometheus text', async () => {
    await using gateway = await startServer('gateway', etcd());
    const admin = `http://${gateway.up['admin']}`;
    expect((await fetch(`${admin}/livez`)).status).toBe(200);
    const ready = await fetch(`${admin}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain('state');
    expect(await (await fetch(`${admin}/metrics`)).text()).toContain('gochat_gateway_connections');
    expect((await fetch(`${admin}/nothing`)).status).toBe(404);
  });

  test('ipconf without gateways: 503 with a code and retry_after', async () => {
    await using ipconf = await startServer('ipconf', {
      GOCHAT_REGISTRY: `${engineUrl('ETCD')}/none-${process.pid}`,
    });
    const answer = await fetch(`http://${ipconf.up['http']}/ip/list`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      code: 'NO_GATEWAY',
      retry_after: expect.any(Number) as number,
    });
  });
});
