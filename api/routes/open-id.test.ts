import { afterEach, beforeEach, expect, test } from 'vitest';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { startProvider, type TestProvider } from '../testing/test-provider.ts';
import { REFRESH_TOKEN } from '../testing/test-state.ts';

const CALLBACK = 'http://127.0.0.1:1/auth/openid/callback';

let provider: TestProvider;
let api: TestApi;
beforeEach(async () => {
  provider = await startProvider();
  const { issuer } = provider;
  api = await startApi({
    openId: { issuer, clientId: 'gochat', clientSecret: 'a secret', redirectUrl: CALLBACK },
  });
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

/** Follows the log-in to the callback. Returns its query, and the cookie that the browser has. */
async function begin(): Promise<{ query: string; cookie: string }> {
  const start = await api.request('/auth/openid/login', { redirect: 'manual' });
  expect(start.status).toBe(302);
  const [cookie = '', ...attributes] = start.headers.get('set-cookie')?.split('; ') ?? [];
  expect(attributes).toEqual(['Path=/auth/openid', 'Max-Age=600', 'HttpOnly', 'SameSite=Lax']);
  const there = await fetch(start.headers.get('location') ?? '', { redirect: 'manual' });
  const back = new URL(there.headers.get('location') ?? '');
  expect(back.origin + back.pathname).toBe(CALLBACK);
  return { query: back.search, cookie };
}

const finish = (query: string, cookie: string) =>
  api.request(`/auth/openid/callback${query}`, { redirect: 'manual', headers: { cookie } });

test('a log-in: state gets issuer, subject and name; the browser gets the cookie with the refresh token, and the page', async () => {
  const { query, cookie } = await begin();
  const answer = await finish(query, cookie);
  expect([answer.status, answer.headers.get('location')]).toEqual([302, '/']);
  const cookies = answer.headers.getSetCookie();
  expect(cookies).toContainEqual(expect.stringContaining(`gochat-refresh=${REFRESH_TOKEN}; Path=/auth;`));
  expect(cookies).toContainEqual(expect.stringContaining('SameSite=Strict'));
  expect(cookies).toContainEqual(expect.stringContaining('gochat-openid=; Path=/auth/openid; Max-Age=0'));
  expect(api.state.asked.at(-1)).toMatchObject({
    method: 'LoginOpenId',
    input: { issuer: provider.issuer, subject: 'subject-1', name: 'Ann@example.org', address: '127.0.0.1' },
  });
});

test('a callback without its cookie, of another browser, with another state, or twice: OPENID_FAILED', async () => {
  const [first, second] = [await begin(), await begin()];
  const attempts = [
    finish(first.query, ''),
    finish(first.query, second.cookie),
    finish('', first.cookie),
    finish('?error=access_denied&state=x', first.cookie),
    finish(first.query.replace('state=', 'state=x'), first.cookie),
    finish(first.query, 'gochat-openid=a.b.c'),
    finish(`?${'x'.repeat(5000)}`, first.cookie),
  ];
  for (const { status, body } of await Promise.all(attempts))
    expect([status, body.code]).toEqual([401, 'OPENID_FAILED']);
  expect((await finish(second.query, second.cookie)).status).toBe(302);
  expect((await finish(second.query, second.cookie)).body.code).toBe('OPENID_FAILED');
  expect(api.state.asked).toHaveLength(1);
});

test.each([
  ['of another issuer', { iss: 'https://evil.example' }],
  ['for another client', { aud: 'another' }],
  ['that has expired', { exp: 1 }],
  ['with another nonce', { nonce: 'x' }],
])('an ID token %s: OPENID_FAILED', async (_, claims) => {
  provider.claims = claims;
  const { query, cookie } = await begin();
  expect((await finish(query, cookie)).body.code).toBe('OPENID_FAILED');
  expect(api.state.asked).toEqual([]);
});

test('a provider that cannot be reached: OPENID_UNREACHABLE, and again when it is back', async () => {
  await using lost = await startApi({
    openId: {
      issuer: 'http://127.0.0.1:1',
      clientId: 'gochat',
      clientSecret: undefined,
      redirectUrl: CALLBACK,
    },
  });
  const answer = await lost.get('/auth/openid/login');
  expect([answer.status, answer.body.code]).toEqual([503, 'OPENID_UNREACHABLE']);
});

test('without a provider: there is no such address', async () => {
  await using plain = await startApi();
  expect((await plain.get('/auth/openid/login')).body.code).toBe('ROUTE_NOT_FOUND');
});
