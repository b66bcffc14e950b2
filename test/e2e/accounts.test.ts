import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { Client, runGochat, startUp } from '../harness/gochat.ts';
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

describe('the account of a user', () => {
  const PASSWORD = 'correct horse battery';
  let users = 0;
  /** Signs a user up and in. */
  const join = async (): Promise<Login & { readonly name: string }> => {
    const name = `user${++users}`;
    expect((await call('POST', '/auth/signup', { name, password: PASSWORD })).status).toBe(201);
    return { name, ...(await logIn(name, PASSWORD)) };
  };
  const codeOf = async (answer: Promise<Answer>) => (await answer).body['code'] ?? 'ok';

  test('a common password, a short one, one that is the name: refused with what to do', async () => {
    const codes = ['password1', 'short', 'evil-name'].map((password) =>
      codeOf(call('POST', '/auth/signup', { name: 'evil-name', password })),
    );
    expect(await Promise.all(codes)).toEqual(['PASSWORD_COMMON', 'PASSWORD_WEAK', 'PASSWORD_COMMON']);
  });

  test('two who sign up with one name at once: one does', async () => {
    const answers = await Promise.all(
      [1, 2].map(() => call('POST', '/auth/signup', { name: 'racer', password: PASSWORD })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 409]));
  });

  test('password: the old one is needed; the other sessions end; of two changes at once one is refused', async () => {
    const { name, token } = await join();
    const other = await logIn(name, PASSWORD);
    await using client = new RawClient(up.gateway);
    await client.hello(other.token);
    const change = (password: string, next: string) =>
      call('POST', '/api/v1/users/me/password', { password, new_password: next }, token);
    expect(await codeOf(change('wrong password', 'another horse'))).toBe('PASSWORD_WRONG');
    expect(await codeOf(change(PASSWORD, 'password1'))).toBe('PASSWORD_COMMON');
    const both = await Promise.all([change(PASSWORD, 'horse of one'), change(PASSWORD, 'horse of two')]);
    expect(new Set(both.map(({ body }) => body['code'] ?? 'ok'))).toEqual(new Set(['ok', 'PASSWORD_WRONG']));
    expect((await client.closeFrame()).code).toBe('LOGGED_OUT');
    expect((await refresh(other.refresh)).body['code']).toBe('REFRESH_INVALID');
    expect((await call('GET', '/api/v1/users/me', undefined, token)).status).toBe(200);
    expect(await codeOf(call('POST', '/auth/login', { name, password: PASSWORD }))).toBe('CREDENTIALS_WRONG');
  });

  test('sessions: listed, and ended one by one with their connections', async () => {
    const { name, token } = await join();
    const other = await logIn(name, PASSWORD);
    const list = async () =>
      (await call('GET', '/api/v1/sessions', undefined, token)).body['sessions'] as {
        id: string;
        current: boolean;
        address: string;
      }[];
    const sessions = await list();
    expect(sessions.map(({ current }) => current)).toEqual([false, true]);
    expect(sessions[0]?.address).toBe('127.0.0.1');
    await using client = new RawClient(up.gateway);
    await client.hello(other.token);
    const end = (id: string) => call('DELETE', `/api/v1/sessions/${id}`, undefined, token);
    expect(await codeOf(end('77'))).toBe('SESSION_NOT_FOUND');
    expect((await end(sessions[0]?.id ?? '')).status).toBe(200);
    expect((await client.closeFrame()).code).toBe('LOGGED_OUT');
    expect(await list()).toHaveLength(1);
  });

  test('a bot: logs in by its token again and again, until that is renewed', async () => {
    const { name, token } = await join();
    const bot = `${name}-bot`;
    const made = await call('POST', '/api/v1/bots', { name: bot, display_name: 'Büilds' }, token);
    expect(made.status).toBe(201);
    const botToken = String(made.body['token']);
    const first = loginOf(await refresh(botToken));
    const second = await refresh(botToken);
    expect(second.body['refresh_token']).toBeUndefined();
    await using client = new RawClient(up.gateway);
    await client.hello(first.token);
    const nested = call('POST', '/api/v1/bots', { name: `${bot}-bot` }, first.token);
    expect(await codeOf(nested)).toBe('BOT_FORBIDDEN');
    expect(await codeOf(call('POST', '/auth/login', { name: bot, password: PASSWORD }))).toBe(
      'CREDENTIALS_WRONG',
    );
    const renewed = await call('POST', `/api/v1/bots/${bot}/token`, undefined, token);
    expect((await client.closeFrame()).code).toBe('LOGGED_OUT');
    expect((await refresh(botToken)).body['code']).toBe('REFRESH_INVALID');
    expect((await refresh(String(renewed.body['token']))).status).toBe(200);
    expect((await call('DELETE', `/api/v1/bots/${bot}`, undefined, token)).status).toBe(200);
    expect((await refresh(String(renewed.body['token']))).body['code']).toBe('REFRESH_INVALID');
  });

  test('settings: with an ETag; a change of what has changed meanwhile is refused', async () => {
    const { token } = await join();
    const patch = async (body: unknown, ifMatch?: string) => {
      const response = await fetch(`${up.api}/api/v1/users/me/settings`, {
        method: 'PATCH',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${token}`,
          ...(ifMatch !== undefined && { 'if-match': ifMatch }),
        },
        body: JSON.stringify(body),
      });
      return { status: response.status, etag: response.headers.get('etag'), body: await response.json() };
    };
    const changed = await patch({ language: 'pt-BR', status_text: 'away 🐴', notifications: 'mentions' });
    expect(changed).toMatchObject({ status: 200, body: { language: 'pt-BR', status_text: 'away 🐴' } });
    expect((await patch({ invisible: true }, '"1"')).status).toBe(412);
    expect((await patch({ invisible: true }, changed.etag ?? '')).status).toBe(200);
    for (const bad of [
      { language: 'x'.repeat(30) },
      { status_text: 'a\u202eb' },
      { status_text: '\0' },
      { nope: 1 },
    ])
      expect((await patch(bad)).status).toBe(400);
  });

  test('an admin: suspends a user with the bots, restores, resets the password; nobody else may', async () => {
    const { name, token } = await join();
    const bot = loginOf(
      await refresh(
        String((await call('POST', '/api/v1/bots', { name: `${name}-bot` }, token)).body['token']),
      ),
    );
    const admin = await logIn('admin');
    const change = (body: unknown, by = admin.token) =>
      call('PATCH', `/api/v1/admin/accounts/${name}`, body, by);
    expect(await codeOf(change({ state: 'suspended' }, token))).toBe('ADMIN_ONLY');
    expect(await codeOf(call('GET', '/api/v1/admin/accounts', undefined, token))).toBe('ADMIN_ONLY');
    await using client = new RawClient(up.gateway);
    await client.hello(token);
    await using botClient = new RawClient(up.gateway);
    await botClient.hello(bot.token);
    expect((await change({ state: 'suspended' })).body).toMatchObject({ name, state: 'suspended' });
    expect((await client.closeFrame()).code).toBe('ACCOUNT_SUSPENDED');
    expect((await botClient.closeFrame()).code).toBe('ACCOUNT_SUSPENDED');
    const log = (password: string) => codeOf(call('POST', '/auth/login', { name, password }));
    expect([await log(PASSWORD), await log('a wrong password')]).toEqual([
      'ACCOUNT_SUSPENDED',
      'CREDENTIALS_WRONG',
    ]);
    expect((await change({ state: 'active' })).body).toMatchObject({ state: 'active' });
    const reset = await call('POST', `/api/v1/admin/accounts/${name}/password`, undefined, admin.token);
    expect(await log(String(reset.body['password']))).toBe('ok');
    const listed = await call('GET', '/api/v1/admin/accounts', undefined, admin.token);
    expect(JSON.stringify(listed.body)).toContain(`"${name}"`);
    expect(JSON.stringify(listed.body)).not.toContain('argon2');
  });

  test('ctl: makes the first admin, suspends, ends sessions, resets a password', async () => {
    const { name, token } = await join();
    const ctl = (...args: string[]) => runGochat(['ctl', ...args, '--admin', up.admin]);
    expect((await ctl('account', name, '--grant-admin')).stdout).toMatch(/active {2}admin\n$/);
    expect((await call('GET', '/api/v1/admin/accounts', undefined, token)).status).toBe(200);
    expect((await ctl('accounts')).stdout).toContain(`${name}  active  admin`);
    expect((await ctl('account', name, '--end-sessions')).code).toBe(0);
    expect(await refusal(token)).toBe('TOKEN_REVOKED');
    const password = (await ctl('account', name, '--reset-password')).stdout.trim();
    expect((await call('POST', '/auth/login', { name, password })).status).toBe(200);
    expect((await ctl('account', name)).code).toBe(2);
    expect((await ctl('account', 'nobody-here', '--suspend')).stderr).toContain('USER_NOT_FOUND');
  }, 60_000);

  test('closing: at once; the name stays taken, the room passes on, messages are retracted everywhere', async () => {
    const [owner, other] = [await join(), await join()];
    const by = (login: Login, method: string, path: string, body?: unknown) =>
      call(method, `/api/v1${path}`, body, login.token);
    const room = String((await by(owner, 'POST', '/rooms', { name: `room-${owner.name}` })).body['id']);
    await by(other, 'POST', `/rooms/${room}/join`);
    const direct = String((await by(owner, 'POST', '/conversations', { user: other.name })).body['id']);
    for (const id of [room, direct]) await by(owner, 'POST', `/rooms/${id}/messages`, { text: 'my secret' });
    await by(other, 'POST', `/rooms/${room}/messages`, { text: 'kept' });
    await using client = new RawClient(up.gateway);
    await client.hello(owner.token);
    const close = (password: string) => by(owner, 'DELETE', '/users/me', { password, retract: true });
    expect(await codeOf(close('a wrong password'))).toBe('PASSWORD_WRONG');
    const both = await Promise.all([close(PASSWORD), close(PASSWORD)]);
    expect(both.map(({ status }) => status)).toContain(200);
    expect((await client.closeFrame()).code).toBe('ACCOUNT_CLOSED');
    const credentials = { name: owner.name, password: PASSWORD };
    expect(await codeOf(call('POST', '/auth/login', credentials))).toBe('CREDENTIALS_WRONG');
    expect(await codeOf(call('POST', '/auth/signup', credentials))).toBe('NAME_TAKEN');
    expect((await refresh(owner.refresh)).body['code']).toBe('REFRESH_INVALID');
    const textOf = async (id: string) =>
      JSON.stringify((await by(other, 'GET', `/rooms/${id}/messages`)).body['messages']);
    await eventually('the messages of the closed account to be retracted', async () => {
      const texts = `${await textOf(room)}${await textOf(direct)}`;
      return !texts.includes('my secret') && texts.includes('kept');
    });
    await eventually('the room to pass on', async () => {
      const { body } = await by(other, 'GET', `/rooms/${room}`);
      return body['role'] === 'owner';
    });
    expect(await codeOf(by(other, 'POST', '/conversations', { user: owner.name }))).toBe('USER_NOT_FOUND');
  }, 60_000);

  test('the line client: a command for each, with its event', async () => {
    const [name, password, next] = ['commander', 'brown-quiet-kettle', 'four green kettles'];
    await call('POST', '/auth/signup', { name, password });
    const [{ token }, there] = [await logIn(name, password), await logIn(name, password)];
    await using client = new Client(up, name, password);
    await client.event('connected');
    client.say('/sessions');
    const { sessions } = await client.event('sessions');
    const others = (sessions as { id: string; current: boolean }[]).filter(({ current }) => !current);
    expect(others).toHaveLength(2);
    client.say(`/endsession ${others[0]?.id}`, '/endsession x');
    await client.event('sessions', (event) => (event['sessions'] as unknown[]).length === 2);
    expect((await client.event('error'))['code']).toBe('ARGUMENT_INVALID');
    client.say(`/password wrong ${next}`, `/password ${password} ${next}`);
    await client.event('error', ({ code }) => code === 'PASSWORD_WRONG');
    await client.event('password');
    expect((await call('POST', '/auth/login', { name, password: next })).status).toBe(200);
    client.say('/about away 🐴', '/language de', '/notify mentions', '/notify never', '/profile');
    await client.event('error', ({ message }) => String(message).startsWith('/notify needs'));
    await client.event(
      'settings',
      (event) => event['status_text'] === 'away 🐴' && event['notifications'] === 'mentions',
    );
    const bot = `${name}-bot`;
    client.say(`/bot ${bot} Büilds`, '/bots');
    const made = await client.event('bot');
    expect(made).toMatchObject({ name: bot, display_name: 'Büilds' });
    const { id } = made;
    expect((await client.event('bots'))['bots']).toEqual([{ id, name: bot, display_name: 'Büilds' }]);
    expect((await refresh(String(made['token']))).status).toBe(200);
    client.say(`/renew-bot @${bot}`);
    const renewed = await client.event('bot', (event) => event['token'] !== made['token']);
    expect((await refresh(String(made['token']))).status).toBe(401);
    expect((await refresh(String(renewed['token']))).status).toBe(200);
    client.say(`/close-bot ${bot}`, '/close-bot nobody-here', '/renew-bot');
    await client.event('closed');
    await client.event('error', (event) => event['code'] === 'USER_NOT_FOUND');
    expect((await refresh(String(renewed['token']))).status).toBe(401);
    client.say('/delete-account not my password', `/delete-account ${next} --retract`);
    expect(await client.event('closed', (event) => event['name'] === null)).toBeDefined();
    await client.exit();
    for (const each of [token, there.token])
      expect(await refusal(each)).toMatch(/ACCOUNT_CLOSED|TOKEN_REVOKED/);
  }, 60_000);
});
