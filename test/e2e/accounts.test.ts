import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startUp } from '../harness/gochat.ts';
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
