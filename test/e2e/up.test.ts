/** `gochat up`: demo accounts, its data folder, its ports, how it starts and ends. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { Client, Gochat, runGochat, startUp } from '../harness/gochat.ts';

const folder = mkdtempSync(join(tmpdir(), 'gochat-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a pipe holds. */
const PIPE_BYTES = 65_536;

/** Bytes that a process has written so far. */
function writtenBy({ child }: Gochat): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${child.pid}/io`, 'utf8'))?.[1]);
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
    expect(metrics).toMatch(/^gochat_state_links\{[^}]*version="3"[^}]*\} [1-9]/m);
  });

  test('kill -9: what was acknowledged is there after the next start', async () => {
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

  test('a client whose output is read slowly: ends when all of it is written', async () => {
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
    // Then it has printed more than a pipe holds, and would be gone.
    await eventually('a full pipe', () => writtenBy(late) > PIPE_BYTES);
    late.child.stdout.resume();
    expect((await late.exit()).code).toBe(0);
    const history = late.events.filter((event) => event['history'] === true && event['event'] === 'message');
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

  test('two at once on a folder that does not exist yet: one starts', async () => {
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

  test('a slow start: says on the terminal and on /readyz what it is doing', async () => {
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

  test('--no-demo: no accounts are made', async () => {
    await using up = await startUp(join(folder, 'bare'), ['--no-demo']);
    await using demo = new Client(up, 'demo', '111111');
    expect(await demo.event('error')).toMatchObject({ code: 'CREDENTIALS_WRONG' });
  });

  test('a data folder that cannot be created: says so, exit 78', async () => {
    const path = join(folder, 'a-file');
    writeFileSync(path, '');
    await using process = new Gochat(['up', '--data-dir', join(path, 'x')]);
    const { code, stderr } = await process.exit();
    expect(stderr).toContain(path);
    expect(code).toBe(78);
  });
});
