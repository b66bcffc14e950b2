import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { engineUrl, freshDatabase } from '../harness/cluster.ts';
import { Client, Gochat, runGochat, startServer, startUp } from '../harness/gochat.ts';

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

/** Arguments of a gochat up without demo accounts on free ports. */
function upOnFreePorts(dataDir: string): string[] {
  const ports = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);
  return ['up', '--no-demo', '--workers', '1', '--data-dir', dataDir, ...ports];
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
    ['no mode', [], 'Usage'],
    ['wrong value', ['gateway', '--port', 'eighty'], '--port: expected a port from 0 to 65535'],
    ['client without a user', ['client', '--plain'], '--user'],
    ['config of an unknown mode', ['config', 'nope'], 'nope'],
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
    ['a file that is none', ['--hot', 'rediss://x', '--hot-ca', FILE], 'hot_ca'],
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
    const { code, stdout, stderr } = await runGochat(['config', 'gateway'], env);
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

  test('config MODE: prints what holds, without secrets', async () => {
    const path = join(folder, 'good.yaml');
    const hot = 'redis+sentinel://:hush@s/chat?sentinel_password=hush';
    writeFileSync(path, `store: postgres://gochat:hush@db/gochat\nhot: ${hot}\nstate:\n  port: 7\n`);
    const { code, stdout } = await runGochat(['config', 'state', '--config', path]);
    expect(code).toBe(0);
    expect(stdout).toContain('port: 7');
    expect(stdout).toContain('postgres://***@db/gochat');
    expect(stdout).not.toContain('hush');
  });
});

describe('engines that are not there', () => {
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

  test('client without servers: says which and what to do, exit 1', async () => {
    const dead = `http://127.0.0.1:${await closedPort()}`;
    await using client = new Client({ ipconf: dead, api: dead }, 'demo');
    const error = await client.event('error');
    expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
    expect(error['message']).toContain(dead);
    expect((await client.exit()).code).toBe(1);
  });
});

describe('ports and side by side', () => {
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

  test('two gateways on the same port: the second is refused, not shared silently', async () => {
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

  test('admin port: alive at once, ready when it can serve, metrics in Prometheus text', async () => {
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

describe('up', () => {
  let data: string;
  beforeAll(() => {
    data = join(folder, 'data');
  });

  test('demo accounts chat; Ctrl-C stops cleanly; the second start still has the data', async () => {
    {
      await using up = await startUp(data);
      await using demo = new Client(up, 'demo', '111111');
      demo.say('/dm test remember this');
      demo.end();
      expect((await demo.exit()).code).toBe(0);
      up.process.signal('SIGINT');
      expect((await up.process.exit()).code).toBe(0);
    }
    await using up = await startUp(data);
    await using tester = new Client(up, 'test', '111111');
    await tester.event('synced');
    expect(tester.texts()).toEqual(['remember this']);
    const ready = await fetch(`${up.admin}/readyz`);
    expect(await ready.json()).toEqual({ status: 'ok', reasons: [] });
    const metrics = await (await fetch(`${up.admin}/metrics`)).text();
    expect(metrics).toContain('gochat_gateway_connections');
    expect(metrics).toContain('gochat_state_sessions');
    // Its workers and its state node speak the newest version of the link.
    expect(metrics).toMatch(/^gochat_state_links\{[^}]*version="2"[^}]*\} [1-9]/m);
  });

  test('kill -9: what was acked is there after the next start', async () => {
    const killed = join(folder, 'killed');
    {
      await using up = await startUp(killed);
      await using demo = new Client(up, 'demo', '111111');
      demo.say('/dm admin survives');
      await demo.event('sent');
      up.process.signal('SIGKILL');
      await up.process.exit();
    }
    await using up = await startUp(killed);
    await using admin = new Client(up, 'admin', '111111');
    await admin.event('synced');
    expect(admin.texts()).toEqual(['survives']);
  });

  test('a client whose output is read late ends when all of it is out', async () => {
    await using up = await startUp(join(folder, 'late'));
    const lines = Array.from({ length: 1000 }, (_, i) => `${i} ${'x'.repeat(1000)}`);
    await using demo = new Client(up, 'demo', '111111');
    demo.say('/create long', ...lines);
    demo.end();
    expect((await demo.exit()).code).toBe(0);

    await using late = new Client(up, 'test', '111111');
    await late.event('synced');
    late.child.stdout.pause();
    late.say('/join long', `/history ${lines.length}`);
    late.end();
    // By now it has printed more than a pipe holds, and would be gone.
    await setTimeout(3000);
    late.child.stdout.resume();
    expect((await late.exit()).code).toBe(0);
    const history = late.events.filter((event) => event['history'] === true);
    expect(history.map((event) => event['seq'])).toEqual(lines.map((_, i) => i + 1));
    expect(history.at(-1)?.['text']).toBe(lines.at(-1));
  });

  test('a second one on the same folder: is refused and names the first; after kill -9 the folder is free at once', async () => {
    const shared = join(folder, 'shared');
    {
      await using first = await startUp(shared, ['--no-demo']);
      await using second = new Gochat(upOnFreePorts(shared));
      const { code, stderr } = await second.exit();
      expect(stderr).toContain(`DATA_IN_USE: The gochat up with pid ${first.process.child.pid}`);
      expect(stderr).toContain(shared);
      expect(code).toBe(1);
      const copy = await runGochat(['ctl', 'backup', join(folder, 'copy.db'), '--admin', first.admin]);
      expect(copy).toMatchObject({ code: 0 });
      first.process.signal('SIGKILL');
      await first.process.exit();
    }
    await using next = await startUp(shared, ['--no-demo']);
    next.process.signal('SIGTERM');
    expect((await next.process.exit()).code).toBe(0);
  });

  test('two at once on a folder that is not there yet: one starts', async () => {
    const raced = join(folder, 'raced');
    await using one = new Gochat(upOnFreePorts(raced));
    await using two = new Gochat(upOnFreePorts(raced));
    const loser = await Promise.race([one, two].map(async (each) => ({ each, exit: await each.exit() })));
    expect(loser.exit.stderr).toContain('DATA_IN_USE');
    expect(loser.exit.code).toBe(1);
    const winner = loser.each === one ? two : one;
    await winner.until(({ stdout }) => stdout.includes('GoChat is up') || undefined, 'GoChat is up');
  });

  test('port in use: PORT_IN_USE with the flag that up has, for each port', async () => {
    await using up = await startUp(join(folder, 'ports'), ['--no-demo']);
    const taken = new URL(up.api).port;
    const free = upOnFreePorts(join(folder, 'ports-too'));
    for (const flag of ['--gateway-port', '--ws-port', '--ipconf-port', '--api-port', '--admin-port']) {
      const { code, stderr } = await runGochat([...free, flag, taken]);
      expect(stderr).toContain(`PORT_IN_USE: Port ${taken} on 127.0.0.1 is in use`);
      expect(stderr).toContain(`(${flag} N;`);
      expect(code).toBe(1);
    }
  });

  test('a start that takes longer than a moment: says on the terminal and on /readyz what it does', async () => {
    const slow = join(folder, 'slow');
    mkdirSync(slow);
    using lock = new DatabaseSync(join(slow, 'gochat.db'));
    lock.exec('begin exclusive');
    await using up = new Gochat([...upOnFreePorts(slow), '--log-level', 'info']);
    await up.until(
      ({ stdout }) => stdout.includes('GoChat starts: opening the message store…') || undefined,
      'what it does',
    );
    const ready = await fetch(`http://${adminOf(up)}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      reasons: [{ server: 'up', reason: 'starting: opening the message store' }],
    });
    lock.exec('rollback');
    await up.until(({ stdout }) => stdout.includes('GoChat is up') || undefined, 'GoChat is up');
  });

  test('--no-demo: no account is made', async () => {
    await using up = await startUp(join(folder, 'bare'), ['--no-demo']);
    await using demo = new Client(up, 'demo', '111111');
    expect(await demo.event('error')).toMatchObject({ code: 'CREDENTIALS_WRONG' });
  });

  test('a data folder that cannot be made: says so, exit 78', async () => {
    const path = join(folder, 'a-file');
    writeFileSync(path, '');
    await using process = new Gochat(['up', '--data-dir', join(path, 'x')]);
    const { code, stderr } = await process.exit();
    expect(stderr).toContain(path);
    expect(code).toBe(78);
  });
});
