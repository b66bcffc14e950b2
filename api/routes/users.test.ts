import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startApi, type TestApi } from '../testing/test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
beforeEach(() => void api.state.asked.splice(0));
afterAll(() => api[Symbol.asyncDispose]());

test('GET /api/v1/users: those who were asked for', async () => {
  const { status, body } = await api.get('/api/v1/users?ids=43,18446744073709551615');
  expect([status, body]).toEqual([
    200,
    {
      users: [
        { id: '43', name: 'u43', display_name: 'Ann' },
        { id: '18446744073709551615', name: 'u18446744073709551615', display_name: 'Ann' },
      ],
    },
  ]);
  expect(api.state.asked).toEqual([
    { method: 'getUsers', key: 0n, input: { users: [43n, 18_446_744_073_709_551_615n] } },
  ]);
});

test('GET /api/v1/users: up to 200 ids', async () => {
  const ids = Array.from({ length: 201 }, (_, i) => String(i + 1));
  expect((await api.get(`/api/v1/users?ids=${ids.slice(1).join(',')}`)).body.users).toHaveLength(200);
  expect((await api.get(`/api/v1/users?ids=${ids.join(',')}`)).body.code).toBe('ARGUMENT_INVALID');
});

test.each(['', '?ids=', '?ids=ann', '?ids=1,,2', '?ids=01', '?ids=18446744073709551616', '?ids=1&ids=2'])(
  'GET /api/v1/users%s: 400 ARGUMENT_INVALID that names it',
  async (query) => {
    const answer = await api.get(`/api/v1/users${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(answer.body.message).toContain('querystring.ids');
    expect(api.state.asked).toEqual([]);
  },
);

test('GET /api/v1/users/presence: how they are; one who is not visible: 404', async () => {
  const { body } = await api.get('/api/v1/users/presence?ids=42,43');
  const last_seen_ms = 1_700_000_000_000;
  expect(body).toEqual({
    users: [
      { id: '42', status: 'offline', last_seen: new Date(last_seen_ms).toISOString(), last_seen_ms },
      { id: '43', status: 'offline' },
    ],
  });
  const { status, body: refusal } = await api.get('/api/v1/users/presence?ids=42,9');
  expect([status, refusal.code]).toEqual([404, 'NOT_VISIBLE']);
});

test('GET /api/v1/users/me: the caller', async () => {
  const { status, body } = await api.get('/api/v1/users/me');
  expect([status, body]).toEqual([200, { id: '42', name: 'u42', display_name: 'Ann' }]);
  expect(api.state.asked).toEqual([{ method: 'getUsers', key: 0n, input: { users: [] } }]);
});

test('PATCH /api/v1/users/me: a display name, and none', async () => {
  const named = await api.call('PATCH', '/api/v1/users/me', { display_name: 'Änn 🌱' });
  expect([named.status, named.body]).toEqual([200, { id: '42', name: 'u42', display_name: 'Änn 🌱' }]);
  for (const none of [null, ''])
    expect((await api.call('PATCH', '/api/v1/users/me', { display_name: none })).body.display_name).toBe(
      'ann',
    );
  expect(api.state.asked.map(({ input }) => input)).toEqual([
    { displayName: 'Änn 🌱', ifDisplayName: '' },
    { displayName: '', ifDisplayName: '' },
    { displayName: '', ifDisplayName: '' },
  ]);
});

test('PATCH /api/v1/users/me: bad ones', async () => {
  for (const body of [{}, { display_name: 7 }, { display_name: 'x'.repeat(2000) }, [], 'null']) {
    const answer = await api.call('PATCH', '/api/v1/users/me', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
  }
  const refusal = await api.call('PATCH', '/api/v1/users/me', { display_name: 'bad' });
  expect([refusal.status, refusal.body.code]).toEqual([400, 'DISPLAY_NAME_INVALID']);
});

test('ETag: of the profile, If-None-Match answers 304, If-Match refuses a change of another one', async () => {
  const path = '/api/v1/users/me';
  const read = await api.get(path);
  const etag = read.headers.get('etag') ?? '';
  expect(etag).toMatch(/^"[\w-]{22}"$/);
  const again = await api.get(path, { 'if-none-match': `"x", W/${etag}` });
  expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag]);
  api.state.asked.length = 0;
  const patch = (ifMatch: string) =>
    api.call('PATCH', path, { display_name: 'Ännchen' }, { 'if-match': ifMatch });
  for (const other of ['"x"', `W/${etag}`]) {
    const refused = await patch(other);
    expect([refused.status, refused.body.code]).toEqual([412, 'PRECONDITION_FAILED']);
  }
  expect(api.state.asked.map(({ method }) => method)).toEqual(['getUsers', 'getUsers']);
  const changed = await patch(etag);
  expect([changed.status, changed.headers.get('etag') === etag]).toEqual([200, false]);
  // State is told what was there, for whoever changed it in between.
  expect(api.state.asked.at(-1)?.input).toEqual({ displayName: 'Ännchen', ifDisplayName: 'Ann' });
});
