import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GochatError } from '../../common/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { TestClock } from '../../test/harness/test-clock.ts';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { REFRESH_TOKEN, TOKEN } from '../testing/test-state.ts';

let api: TestApi;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api[Symbol.asyncDispose]());

describe('POST /auth/signup', () => {
  test('a name and a password: 201 with the user, ids as strings', async () => {
    const answer = await api.post('/auth/signup', { name: 'ann', password: 'secret1' });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({ user: { id: '42', name: 'ann' } });
    expect(api.state.asked).toEqual([
      { method: 'Signup', input: { name: 'ann', password: 'secret1', address: '127.0.0.1' } },
    ]);
  });

  test.each([
    [{}, 'body.name'],
    [{ name: 'ann' }, 'body.password'],
    [{ name: 1, password: 'secret1' }, 'body.name'],
    [{ name: '', password: 'secret1' }, 'body.name'],
    [{ name: 'x'.repeat(300), password: 'secret1' }, 'body.name'],
    ['null', 'body'],
    ['[]', 'body'],
    ['', 'body'],
    ['{"name":', 'The request body'],
  ])('bad input %j: 400 ARGUMENT_INVALID that names %s', async (body, what) => {
    const answer = await api.post('/auth/signup', body);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ type: 'about:blank', title: 'Bad Request', status: 400 });
    expect(answer.body.code).toBe('ARGUMENT_INVALID');
    expect(answer.body.message.startsWith(what)).toBe(true);
    expect(api.state.asked).toEqual([]);
  });

  test("state's refusal: its code, sentence and status", async () => {
    api.state.failWith(new GochatError('NAME_TAKEN', { details: { name: 'ann' } }));
    const answer = await api.post('/auth/signup', { name: 'ann', password: 'secret1' });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      code: 'NAME_TAKEN',
      message: 'The name ann is taken. Choose another name.',
    });
  });

  test('too many requests: after a second 429 with the time to wait; others are answered meanwhile', async () => {
    using clock = new TestClock({ goesOn: false });
    api.state.failOnce(new GochatError('RATE_LIMITED', { retryAfterMs: 2500 }));
    const refused = api.post('/auth/signup', { name: 'ann', password: 'secret1' });
    let isAnswered = false;
    void refused.finally(() => (isAnswered = true));
    await eventually('the first request', () => api.state.asked.length === 1);
    expect((await api.post('/auth/signup', { name: 'bob', password: 'secret1' })).status).toBe(201);
    expect(isAnswered).toBe(false);
    const answer = await clock.until(refused);
    expect(answer.status).toBe(429);
    expect(answer.body).toMatchObject({ code: 'RATE_LIMITED', retry_after_ms: 2500 });
    expect(answer.headers.get('retry-after')).toBe('3');
  });

  test('no state node: 503 STATE_UNAVAILABLE with the time to wait', async () => {
    await api.state.stop();
    const answer = await api.post('/auth/signup', { name: 'ann', password: 'secret1' });
    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({ code: 'STATE_UNAVAILABLE', retry_after_ms: 1000 });
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});

describe('POST /auth/login', () => {
  test('the right password: a token with its expiry and user', async () => {
    const answer = await api.post('/auth/login', { name: 'ann', password: '111111' });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      token: TOKEN,
      expires_at: '2027-01-15T08:00:00.000Z',
      expires_at_ms: 1_800_000_000_000,
      refresh_token: REFRESH_TOKEN,
      refresh_expires_at: '2030-03-17T17:46:40.000Z',
      refresh_expires_at_ms: 1_900_000_000_000,
      session: '77',
      user: { id: '42', name: 'ann' },
    });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('set-cookie')).toBeNull();
  });

  test('the client: as it says, else its User-Agent', async () => {
    const credentials = { name: 'ann', password: '111111' };
    await api.post('/auth/login', { ...credentials, client: 'phone' });
    await api.post('/auth/login', credentials, { 'user-agent': 'curl/8' });
    const clients = api.state.asked.map(({ input }) => (input as { client: string }).client);
    expect(clients).toEqual(['phone', 'curl/8']);
  });

  test('a wrong password: 401 CREDENTIALS_WRONG', async () => {
    const answer = await api.post('/auth/login', { name: 'ann', password: 'nope' });
    expect(answer.status).toBe(401);
    expect(answer.body.code).toBe('CREDENTIALS_WRONG');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('bad input: 400 ARGUMENT_INVALID, and state is not called', async () => {
    expect((await api.post('/auth/login', { name: 'ann' })).body.code).toBe('ARGUMENT_INVALID');
    expect(api.state.asked).toEqual([]);
  });

  test('no state node: 503 STATE_UNAVAILABLE', async () => {
    await api.state.stop();
    const answer = await api.post('/auth/login', { name: 'ann', password: '111111' });
    expect([answer.status, answer.body.code]).toEqual([503, 'STATE_UNAVAILABLE']);
  });
});

describe("the caller's address", () => {
  const credentials = { name: 'ann', password: '111111' };
  const forwarded = { 'x-forwarded-for': '203.0.113.9' };
  const address = () => (api.state.asked.at(-1)?.input as { address?: string } | undefined)?.address;

  test('X-Forwarded-For: not believed by default', async () => {
    await api.post('/auth/login', credentials, forwarded);
    expect(address()).toBe('127.0.0.1');
  });

  test.each(['1', '127.0.0.0/8'])(
    'X-Forwarded-For from a trusted proxy (%s): what the proxy appended, not what the client wrote',
    async (trustProxy) => {
      await api[Symbol.asyncDispose]();
      api = await startApi({ trustProxy });
      for (const path of ['/auth/login', '/auth/signup']) {
        await api.post(path, credentials, { 'x-forwarded-for': '6.6.6.6, 203.0.113.9' });
        expect(address()).toBe('203.0.113.9');
      }
    },
  );
});

describe('POST /auth/logout', () => {
  test('one token, or all of the user', async () => {
    expect((await api.post('/auth/logout')).body).toEqual({ status: 'ok' });
    expect((await api.post('/auth/logout', { everywhere: true })).status).toBe(200);
    expect(api.state.asked.map(({ input }) => input)).toEqual([
      { everywhere: false, refreshToken: '' },
      { everywhere: true, refreshToken: '' },
    ]);
  });

  test('a refresh token, where there is no access token', async () => {
    const none = { authorization: '' };
    const request = (body: unknown) =>
      api.request('/auth/logout', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await request({ refresh_token: REFRESH_TOKEN })).status).toBe(200);
    expect((await request({ refresh_token: 'gcr_other' })).body.code).toBe('REFRESH_INVALID');
    expect((await api.post('/auth/logout', {}, none)).body.code).toBe('TOKEN_MISSING');
  });

  test('no token, or one that is refused: 401', async () => {
    expect((await api.post('/auth/logout', {}, { authorization: '' })).body.code).toBe('TOKEN_MISSING');
    const answer = await api.post('/auth/logout', {}, { authorization: 'Bearer forged' });
    expect([answer.status, answer.body.code]).toEqual([401, 'TOKEN_INVALID']);
  });

  test('bad input: 400 ARGUMENT_INVALID', async () => {
    expect((await api.post('/auth/logout', { everywhere: 'yes' })).body.code).toBe('ARGUMENT_INVALID');
  });
});

describe('POST /auth/refresh', () => {
  test('a refresh token: the next one in the body, and an access token', async () => {
    const answer = await api.post('/auth/refresh', { refresh_token: REFRESH_TOKEN });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ token: TOKEN, refresh_token: REFRESH_TOKEN, session: '77' });
    expect(answer.headers.get('set-cookie')).toBeNull();
  });

  test.each([
    [{}, 401, 'REFRESH_INVALID'],
    [undefined, 401, 'REFRESH_INVALID'],
    [{ refresh_token: 'gcr_other' }, 401, 'REFRESH_INVALID'],
    [{ refresh_token: "' or 1=1 --" }, 401, 'REFRESH_INVALID'],
    [{ refresh_token: '\u202e😀\0' }, 401, 'REFRESH_INVALID'],
    [{ refresh_token: 7 }, 400, 'ARGUMENT_INVALID'],
    [{ refresh_token: 'x'.repeat(1025) }, 400, 'ARGUMENT_INVALID'],
    [{ refresh_token: 'x'.repeat(1 << 20) }, 413, 'REQUEST_TOO_LARGE'],
  ])('bad input %.60j: %i %s', async (body, status, code) => {
    const answer = await api.post('/auth/refresh', body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });
});

describe('the cookie of a web page', () => {
  const credentials = { name: 'ann', password: '111111' };
  const own = () => ({ origin: api.url });

  test('log-in: HttpOnly, SameSite=Strict, and nothing in the body', async () => {
    const answer = await api.post('/auth/login', credentials, own());
    expect(answer.body).toMatchObject({ token: TOKEN, session: '77' });
    expect(answer.text).not.toContain(REFRESH_TOKEN);
    const [value, ...attributes] = answer.headers.get('set-cookie')?.split('; ') ?? [];
    expect(value).toBe(`gochat-refresh=${REFRESH_TOKEN}`);
    expect(attributes.filter((each) => !each.startsWith('Max-Age='))).toEqual([
      'Path=/auth',
      'HttpOnly',
      'SameSite=Strict',
    ]);
  });

  test('over TLS, as the origin says: Secure', async () => {
    const answer = await api.post('/auth/login', credentials, {
      origin: api.url.replace('http:', 'https:'),
    });
    expect(answer.headers.get('set-cookie')).toMatch(/; Secure$/);
  });

  test('refresh and log-out: by the cookie alone; log-out makes the browser forget it', async () => {
    const cookie = `other=1; gochat-refresh=${REFRESH_TOKEN}; more=2`;
    const fresh = await api.post('/auth/refresh', undefined, { ...own(), cookie });
    expect(fresh.status).toBe(200);
    expect(fresh.headers.get('set-cookie')).toContain(`gochat-refresh=${REFRESH_TOKEN};`);
    expect(fresh.text).not.toContain(REFRESH_TOKEN);
    const out = await api.request('/auth/logout', { method: 'POST', headers: { ...own(), cookie } });
    expect(out.status).toBe(200);
    expect(out.headers.get('set-cookie')).toContain('gochat-refresh=; Path=/auth; Max-Age=0;');
  });

  test.each([{ origin: 'https://evil.example' }, { origin: 'null' }, {}])(
    'a page of another origin, or none, with the cookie: ORIGIN_FORBIDDEN (%j)',
    async (headers) => {
      const cookie = `gochat-refresh=${REFRESH_TOKEN}`;
      for (const path of ['/auth/refresh', '/auth/logout']) {
        const answer = await api.request(path, { method: 'POST', headers: { ...headers, cookie } });
        expect([answer.status, answer.body.code]).toEqual([403, 'ORIGIN_FORBIDDEN']);
      }
      expect(api.state.asked).toEqual([]);
    },
  );

  test('a page of another origin that logs in: no refresh token at all, unless it is in cors_origins', async () => {
    const origin = 'https://chat.example';
    const answer = await api.post('/auth/login', credentials, { origin });
    expect(answer.text).not.toContain(REFRESH_TOKEN);
    expect(answer.headers.get('set-cookie')).toBeNull();
    await api[Symbol.asyncDispose]();
    api = await startApi({ corsOrigins: origin });
    const listed = await api.post('/auth/login', credentials, { origin });
    expect(listed.headers.get('set-cookie')).toContain('gochat-refresh=');
    expect(listed.headers.get('access-control-allow-credentials')).toBe('true');
  });
});
