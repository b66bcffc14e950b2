/** `gochat` as a container starts it: no mode, everything from the environment, one port. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { JsonClient } from '../../gateway/testing/test-json-client.ts';
import { engineUrl, freshDatabase } from '../harness/cluster.ts';
import { Gochat, runGochat, signup, startUp } from '../harness/gochat.ts';
import { freePorts } from '../harness/services.ts';
import { tokenOf } from '../harness/raw-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'gochat-environment-'));
afterAll(() => rmSync(folder, { recursive: true }));

const OTHER_PORTS = {
  GOCHAT_GATEWAY_PORT: '0',
  GOCHAT_WS_PORT: '0',
  GOCHAT_IPCONF_PORT: '0',
  GOCHAT_ADMIN_PORT: '0',
};

test('DATABASE_URL, REDIS_URL, JWT_SECRET and PORT, no mode: REST and /ws on that port, on these engines', async () => {
  await using database = await freshDatabase();
  const [port] = (await freePorts(1)) as [number];
  const env = {
    ...OTHER_PORTS,
    DATABASE_URL: database.url,
    REDIS_URL: engineUrl('REDIS'),
    JWT_SECRET: 'a secret of at least thirty-two bytes',
    PORT: String(port),
    GOCHAT_WORKERS: '1',
    GOCHAT_DATA_DIR: join(folder, 'unused'),
  };
  const api = `http://127.0.0.1:${port}`;
  const urls = { api, ipconf: '' };
  {
    await using up = new Gochat([], env);
    await up.until((self) => self.stdout.includes('Ctrl-C') || undefined, 'GoChat is up');
    expect(up.stdout).not.toContain(new URL(database.url).password || 'no password');
    expect((await fetch(`${api}/healthz`)).status).toBe(200);
    await signup(urls, 'ann');
    const token = await tokenOf(urls, 'ann', 'ann-secret');
    const answer = await fetch(`${api}/api/v1/rooms`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{"name":"lobby"}',
    });
    expect(answer.status).toBe(201);
    const client = await JsonClient.open(`127.0.0.1:${port}`, `/ws?token=${token}&room_id=lobby`, []);
    await client.next('join');
    client.send({ type: 'message', content: 'hi' });
    await client.next('sent');
    client.destroy();
    up.signal('SIGTERM');
    expect((await up.exit()).code).toBe(0);
  }
  // The message is in PostgreSQL, and nothing on this disk.
  expect(readdirSync(folder)).toEqual([]);
  await using again = new Gochat([], env);
  await again.until((self) => self.stdout.includes('Ctrl-C') || undefined, 'GoChat is up');
  const token = await tokenOf(urls, 'ann', 'ann-secret');
  const list = await fetch(`${api}/api/v1/conversations`, { headers: { authorization: `Bearer ${token}` } });
  const { conversations } = (await list.json()) as { conversations: { last_message?: { text: string } }[] };
  expect(conversations[0]?.last_message?.text).toBe('hi');
});

test.each([
  [{ PORT: 'eighty' }, 'PORT'],
  [{ DATABASE_URL: 'mysql://x' }, 'DATABASE_URL'],
  [{ REDIS_URL: 'localhost:6379' }, 'REDIS_URL'],
])('%j: refused by name', async (env, name) => {
  const exit = await runGochat([], env);
  expect([exit.code, exit.stderr]).toEqual([78, expect.stringContaining(`CONFIG_INVALID: ${name}: `)]);
});

test('no mode, a public host: demo accounts are refused there', async () => {
  const exit = await runGochat([], { GOCHAT_HOST: '0.0.0.0' });
  expect([exit.code, exit.stderr]).toEqual([2, expect.stringContaining('--no-demo')]);
});

test('other modes do not read them, and a mode that there is not is refused', async () => {
  const exit = await runGochat(['config', 'check', 'api'], { PORT: '81' });
  expect(exit.stdout).toContain('port: 8080');
  const wrong = await runGochat(['upp']);
  expect(wrong.code).toBe(2);
});

test('a WebSocket through api: counted against the client that the proxies name', async () => {
  const flags =
    '--no-demo --workers 1 --trust-proxy 1 --exempt-addresses 192.0.2.9 --max-connections-per-address 1';
  await using up = await startUp(join(folder, 'limits'), flags.split(' '));
  const open = (client: string) =>
    new Promise<number>((resolve, reject) => {
      const headers = {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        'x-forwarded-for': client,
      };
      request(`${up.api}/ws`, { headers })
        .on('upgrade', () => resolve(101))
        .on('response', ({ statusCode }) => resolve(statusCode ?? 0))
        .on('error', reject)
        .end();
    });
  // The first entry is what the client itself may have written.
  expect([await open('198.51.100.1, 192.0.2.1'), await open('198.51.100.1, 192.0.2.2')]).toEqual([101, 101]);
  expect(await open('198.51.100.2, 192.0.2.1')).toBe(429);
});
