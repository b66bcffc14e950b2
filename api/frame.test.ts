/** What holds for every answer: one error shape, request ids, the limit by address, cursors, Idempotency-Key. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { within } from '../test/harness/eventually.ts';
import { startApi, type TestApi } from './testing/test-api.ts';
import { ROOM } from './testing/test-state.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

const JSON_TYPE = { 'content-type': 'application/json' };

describe('errors: problem details, whoever makes them', () => {
  test.each([
    ['an unknown path', 'GET', '/nothing', undefined, {}, 404, 'ROUTE_NOT_FOUND'],
    ['an unknown path below /api/v1', 'POST', '/api/v1/nothing', '{}', JSON_TYPE, 404, 'ROUTE_NOT_FOUND'],
    ['another method', 'DELETE', '/api/v1/conversations', undefined, {}, 405, 'METHOD_NOT_ALLOWED'],
    ['malformed JSON', 'POST', '/auth/login', '{"name":', JSON_TYPE, 400, 'ARGUMENT_INVALID'],
    [
      'another media type',
      'POST',
      '/auth/login',
      'x',
      { 'content-type': 'text/plain' },
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['a large body', 'POST', '/auth/login', 'x'.repeat(200_000), JSON_TYPE, 413, 'REQUEST_TOO_LARGE'],
    ['an address with a bad encoding', 'GET', '/api/v1/rooms/%zz', undefined, {}, 400, 'ARGUMENT_INVALID'],
    ['a value that is not valid', 'GET', '/api/v1/rooms/x', undefined, {}, 400, 'ARGUMENT_INVALID'],
    ['no token', 'GET', '/api/v1/conversations', undefined, { authorization: '' }, 401, 'TOKEN_MISSING'],
    ['what the caller may not', 'GET', '/api/v1/rooms/8', undefined, {}, 403, 'NOT_A_MEMBER'],
    [
      'an encoded body',
      'POST',
      '/auth/login',
      '{}',
      { ...JSON_TYPE, 'content-encoding': 'gzip' },
      400,
      'ARGUMENT_INVALID',
    ],
  ] as const)('%s', async (_, method, path, body, headers, status, code) => {
    const answer = await api.call(method, path, body, headers);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ type: 'about:blank', status, code });
    expect([answer.status, Object.keys(answer.body)]).toEqual([
      status,
      expect.arrayContaining(['type', 'title', 'status', 'code', 'message', 'request_id']),
    ]);
    expect(answer.headers.get('x-request-id')).toBe(answer.body.request_id);
    expect(answer.headers.get('ratelimit')).toMatch(/^"address";r=\d+;t=\d+$/);
    if (status === 405) expect(answer.headers.get('allow')).toBe('GET, HEAD, OPTIONS, POST');
  });

  test('bytes that are no HTTP: the same body, without a request id', async () => {
    const socket = connect(Number(api.server.address.split(':')[1]), '127.0.0.1');
    socket.end('NONSENSE\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await within('the answer', new Promise((resolve) => socket.once('close', resolve)));
    expect(text).toMatch(/^HTTP\/1\.1 400 .*content-type: application\/problem\+json/s);
    expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      type: 'about:blank',
      title: 'Bad Request',
      status: 400,
      code: 'ARGUMENT_INVALID',
    });
  });

  test('several values that are not valid: each is named', async () => {
    const { body } = await api.post('/auth/signup', { name: 7 });
    expect(body.errors).toEqual([
      { path: 'body.name', code: 'invalid_type', message: expect.any(String) },
      { path: 'body.password', code: 'invalid_type', message: expect.any(String) },
    ]);
  });
});

test('X-Request-Id: the caller’s, if it is one, else a new one', async () => {
  const given = await api.get('/healthz', { 'x-request-id': 'trace-1' });
  expect(given.headers.get('x-request-id')).toBe('trace-1');
  const other = await api.get('/healthz', { 'x-request-id': 'x'.repeat(65) });
  expect(other.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
});

describe('the limit by address', () => {
  test('told on each answer; beyond it 429 RATE_LIMITED with Retry-After', async () => {
    await using strict = await startApi({ ratePerSecond: 0.001, rateBurst: 2 });
    const first = await strict.get('/api/v1/conversations');
    expect(first.headers.get('ratelimit-policy')).toBe('"address";q=2;w=2000');
    expect(first.headers.get('ratelimit')).toBe('"address";r=1;t=1000');
    expect((await strict.get('/nothing')).headers.get('ratelimit')).toBe('"address";r=0;t=2000');
    const refused = await strict.get('/api/v1/conversations');
    expect([refused.status, refused.body.code]).toEqual([429, 'RATE_LIMITED']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(900);
    expect(strict.state.asked).toHaveLength(1);
    expect((await strict.get('/healthz')).status).toBe(200);
  });

  test('behind a trusted proxy: that of the client', async () => {
    await using strict = await startApi({ ratePerSecond: 0.001, rateBurst: 1, trustProxy: '1' });
    const from = (address: string) => strict.get('/api/v1/conversations', { 'x-forwarded-for': address });
    expect([(await from('192.0.2.1')).status, (await from('192.0.2.2')).status]).toEqual([200, 200]);
    expect((await from('192.0.2.1')).status).toBe(429);
  });

  test('0: none, and no headers', async () => {
    await using open = await startApi({ ratePerSecond: 0 });
    const answer = await open.get('/api/v1/conversations');
    expect([answer.status, answer.headers.get('ratelimit')]).toEqual([200, null]);
  });
});

describe('cursors', () => {
  test('Link: the next page, with the rest of the query', async () => {
    const page = await api.get('/api/v1/rooms?scope=public&limit=10');
    const [, next = ''] = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '') ?? [];
    expect(new URL(next, api.url).searchParams.get('limit')).toBe('10');
    const last = await api.get(next);
    expect([last.status, last.body.next, last.headers.get('link')]).toEqual([200, null, null]);
  });

  test('of another list, or altered: 400, and state is not asked', async () => {
    const { next } = (await api.get('/api/v1/conversations')).body;
    api.state.asked.length = 0;
    for (const after of [next, 'AAAA', `${next}x`.slice(3)]) {
      const answer = await api.get(`/api/v1/rooms?scope=public&after=${after}`);
      expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    }
    expect(api.state.asked).toEqual([]);
  });
});

test('Idempotency-Key: state gets it with a hash of method, path and body', async () => {
  const rooms = '/api/v1/rooms';
  const once = async (method: string, path: string, body: object | undefined, key: string) => {
    api.state.asked.length = 0;
    await api.call(method, path, body, { 'idempotency-key': key });
    return api.state.asked[0]?.once;
  };
  const first = await once('POST', rooms, { name: 'a' }, 'k');
  expect(first).toEqual({ key: 'k', request: expect.stringMatching(/^[\w-]{43}$/) });
  expect(await once('POST', rooms, { name: 'a' }, 'k')).toEqual(first);
  expect(await once('POST', rooms, { name: 'a' }, 'l')).toEqual({ ...first, key: 'l' });
  const others = [
    await once('POST', rooms, { name: 'b' }, 'k'),
    await once('POST', `${rooms}/${ROOM}/join`, undefined, 'k'),
    await once('POST', `${rooms}/${ROOM}/leave`, undefined, 'k'),
    await once('DELETE', `${rooms}/${ROOM}`, undefined, 'k'),
  ];
  expect(new Set([first, ...others].map((each) => each?.request)).size).toBe(5);
  expect(await once('GET', `${rooms}/${ROOM}`, undefined, 'k')).toBeUndefined();
  for (const key of ['', 'x'.repeat(257)])
    expect((await api.post(rooms, { name: 'a' }, { 'idempotency-key': key })).status).toBe(400);
});
