import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runGochat, startUp } from '../harness/gochat.ts';
import { helloFrame, RawClient } from '../harness/raw-client.ts';

let folder: string;
let up: Awaited<ReturnType<typeof startUp>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gochat-accounts-'));
  up = await startUp(folder);
}, 180_000);

afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function call(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  const response = await fetch(`${up.api}${path}`, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

interface Login {
  readonly token: string;
  readonly refresh: string;
}

const loginOf = ({ body }: Answer): Login => ({
  token: String(body['token']),
  refresh: String(body['refresh_token']),
});

async function logIn(name = 'demo', password = '111111'): Promise<Login> {
  return loginOf(await call('POST', '/auth/login', { name, password }));
}

const refresh = (token: string) => call('POST', '/auth/refresh', { refresh_token: token });

/** Returns the code with which a gateway refuses a token. */
async function refusal(token: string): Promise<string> {
  await using client = new RawClient(up.gateway);
  client.send(helloFrame({ token }));
  return (await client.closeFrame()).code;
}

test('refresh: the new token is good at api and gateway; the old one too, until it expires', async () => {
  const first = await logIn();
  const second = loginOf(await refresh(first.refresh));
  for (const { token } of [first, second]) {
    expect((await call('GET', '/api/v1/users/me', undefined, token)).status).toBe(200);
    await using client = new RawClient(up.gateway);
    await client.hello(token);
  }
});

test('a stolen refresh token used after 30 s: its session ends with its connections, another one goes on', async () => {
  const [stolen, other] = [await logIn(), await logIn()];
  const next = loginOf(await refresh(stolen.refresh));
  await using client = new RawClient(up.gateway);
  await client.hello(next.token);
  await using bystander = new RawClient(up.gateway);
  await bystander.hello(other.token);
  // 30 s pass for the store.
  const database = new DatabaseSync(join(folder, 'gochat.db'), { timeout: 10_000 });
  database.exec('update login_sessions set rotated_at_ms = rotated_at_ms - 30000');
  database.close();
  expect(await refresh(stolen.refresh)).toMatchObject({ status: 401, body: { code: 'REFRESH_REUSED' } });
  expect((await client.closeFrame()).code).toBe('REFRESH_REUSED');
  expect(await refusal(next.token)).toBe('TOKEN_REVOKED');
  expect((await refresh(next.refresh)).body['code']).toBe('REFRESH_REUSED');
  expect((await refresh(other.refresh)).status).toBe(200);
  expect(bystander.socket.destroyed).toBe(false);
}, 60_000);

test('log-out everywhere: all tokens of the user are void, refresh tokens too', async () => {
  const sessions = [await logIn('test'), await logIn('test')];
  await using client = new RawClient(up.gateway);
  await client.hello(sessions[1]?.token ?? '');
  expect((await call('POST', '/auth/logout', { everywhere: true }, sessions[0]?.token)).status).toBe(200);
  expect((await client.closeFrame()).code).toBe('LOGGED_OUT');
  for (const { token, refresh: text } of sessions) {
    expect(await refusal(token)).toBe('TOKEN_REVOKED');
    expect((await refresh(text)).body['code']).toBe('REFRESH_INVALID');
  }
});

test('ctl keys --rotate: the new key is in the key set at once, and signs later; tokens stay good', async () => {
  const { token } = await logIn();
  const before = await call('GET', '/.well-known/jwks.json');
  const rotated = await runGochat(['ctl', 'keys', '--rotate', '--admin', up.admin]);
  expect(rotated.code).toBe(0);
  expect(rotated.stdout).toMatch(/^\S+ {2}signs\n\S+ {2}next {2}signs from \S+\n$/);
  const { body } = await call('GET', '/.well-known/jwks.json');
  const [first, next] = rotated.stdout.split('\n').map((line) => line.split(' ')[0]);
  expect((body['keys'] as { kid: string }[]).map(({ kid }) => kid)).toEqual([first, next]);
  expect(JSON.stringify(body)).toContain(JSON.stringify((before.body['keys'] as unknown[])[0]));
  expect(JSON.stringify(body)).not.toContain('"d"');
  await using client = new RawClient(up.gateway);
  await client.hello(token);
});

test('JWT_SECRET: of at least 32 bytes; a changed one ends the start with an error that says so', async () => {
  const data = await mkdtemp(join(tmpdir(), 'gochat-secret-'));
  const short = await runGochat(['up', '--data-dir', data], { JWT_SECRET: 'too short' });
  expect([short.code, short.stderr]).toEqual([78, expect.stringContaining('at least 32 bytes')]);
  expect(short.stderr).not.toContain('too short');
  const secret = 'x'.repeat(32);
  {
    await using started = await startUp(data, [], { JWT_SECRET: secret });
    started.process.signal('SIGTERM');
    expect((await started.process.exit()).code).toBe(0);
  }
  const changed = await runGochat(['up', '--data-dir', data, '--no-demo'], { JWT_SECRET: `${secret}!` });
  expect([changed.code, changed.stderr]).toEqual([78, expect.stringContaining('JWT_SECRET_CHANGED')]);
  await rm(data, { recursive: true });
}, 60_000);
