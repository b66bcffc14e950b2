import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GochatError } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { ROOM } from '../testing/test-state.ts';

let api: TestApi;
beforeEach(async () => {
  api = await startApi({}, 12);
});
afterEach(() => api[Symbol.asyncDispose]());

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}
const CALLS: readonly Call[] = [
  { method: 'GET', path: '/rooms' },
  { method: 'POST', path: '/rooms', body: { name: 'lobby' } },
  { method: 'GET', path: `/rooms/${ROOM}` },
  { method: 'POST', path: `/rooms/${ROOM}/join` },
  { method: 'POST', path: `/rooms/${ROOM}/leave` },
  { method: 'DELETE', path: `/rooms/${ROOM}` },
  { method: 'PUT', path: `/rooms/${ROOM}/members/bob`, body: { role: 'owner' } },
  { method: 'DELETE', path: `/rooms/${ROOM}/members/bob` },
  { method: 'GET', path: `/rooms/${ROOM}/messages` },
];
const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  method === 'GET'
    ? api.get(path, headers)
    : method === 'DELETE'
      ? api.delete(path, headers)
      : method === 'PUT'
        ? api.put(path, body, headers)
        : api.post(path, body, headers);

describe.each(CALLS)('$method $path', ({ method, path, body }) => {
  test('no token: 401 TOKEN_MISSING, and state is not called', async () => {
    const answer = await call(method, path, body, { authorization: '' });
    expect([answer.status, answer.body.code]).toEqual([401, 'TOKEN_MISSING']);
    expect(api.state.asked).toEqual([]);
  });

  test.each(['Basic YTpi', 'Bearer', 'Bearer a b', 'Bearer a;b'])(
    '%j: 401 TOKEN_MISSING',
    async (authorization) => {
      expect((await call(method, path, body, { authorization })).body.code).toBe('TOKEN_MISSING');
    },
  );

  test('a token that state refuses: 401 TOKEN_INVALID', async () => {
    const answer = await call(method, path, body, { authorization: 'Bearer forged' });
    expect([answer.status, answer.body.code]).toEqual([401, 'TOKEN_INVALID']);
  });

  test('no state node: 503 STATE_UNAVAILABLE', async () => {
    await api.state.stop();
    const answer = await call(method, path, body);
    expect([answer.status, answer.body.code]).toEqual([503, 'STATE_UNAVAILABLE']);
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});

test.each(CALLS)('$method $path: safe to repeat, so it is retried', async ({ method, path, body }) => {
  api.state.failOnce(new GochatError('STORE_UNAVAILABLE'));
  const answer = await call(method, path, body);
  expect([answer.status, api.state.asked.length]).toEqual([
    method === 'POST' && path === '/rooms' ? 201 : 200,
    2,
  ]);
});

describe('GET /rooms', () => {
  test('the first page: rooms and the cursor of the next', async () => {
    const answer = await api.get('/rooms');
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      rooms: [{ id: '5', name: 'lobby', members: 3, joined: true, last_seq: 9, unread: 4 }],
      next_after: '5',
    });
    expect(api.state.asked[0]?.input).toEqual({ after: 0n, limit: 50 });
  });

  test('the last page: no cursor', async () => {
    const answer = await api.get('/rooms?after=5&limit=10');
    expect(answer.body.next_after).toBeNull();
    expect(api.state.asked[0]?.input).toEqual({ after: 5n, limit: 10 });
  });

  test.each([
    'limit=0',
    'limit=201',
    'limit=x',
    'limit=1.5',
    'after=-1',
    'after=x',
    'after=18446744073709551616',
  ])('%s: 400 ARGUMENT_INVALID that names it', async (query) => {
    const answer = await api.get(`/rooms?${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(answer.body.message).toContain(`querystring.${query.split('=')[0]}`);
    expect(api.state.asked).toEqual([]);
  });
});

describe('POST /rooms', () => {
  test('a name: 201 with the room', async () => {
    const answer = await api.post('/rooms', { name: 'kitchen' });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      id: String(ROOM),
      name: 'kitchen',
      last_seq: 9,
      unread: 4,
      role: 'moderator',
    });
    expect(api.state.asked[0]?.input).toEqual({ name: 'kitchen', hideHistory: false });
  });

  test('no name: 400 ARGUMENT_INVALID', async () => {
    expect((await api.post('/rooms', {})).body.code).toBe('ARGUMENT_INVALID');
  });
});

describe('GET /rooms/:id', () => {
  test('a conversation of the caller: 200 with its unread count', async () => {
    const answer = await api.get(`/rooms/${ROOM}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      id: String(ROOM),
      name: 'lobby',
      last_seq: 9,
      unread: 4,
      role: 'moderator',
    });
    expect(api.state.asked).toEqual([{ method: 'getConversation', key: ROOM, input: {} }]);
  });

  test('a conversation that the caller is not in: 403 NOT_A_MEMBER', async () => {
    const answer = await api.get('/rooms/8');
    expect([answer.status, answer.body.code]).toEqual([403, 'NOT_A_MEMBER']);
  });

  test('a malformed id: 400 ARGUMENT_INVALID', async () => {
    expect((await api.get('/rooms/lobby')).body.code).toBe('ARGUMENT_INVALID');
  });
});

describe('POST /rooms/:id/join', () => {
  test('a room: 200 with the room', async () => {
    const answer = await api.post(`/rooms/${ROOM}/join`);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      id: String(ROOM),
      name: 'lobby',
      last_seq: 9,
      unread: 4,
      role: 'moderator',
    });
  });

  test('a missing room: 404 ROOM_NOT_FOUND', async () => {
    const answer = await api.post('/rooms/8/join');
    expect([answer.status, answer.body.code]).toEqual([404, 'ROOM_NOT_FOUND']);
  });

  test('a malformed id: 400 ARGUMENT_INVALID', async () => {
    const answer = await api.post('/rooms/lobby/join');
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(answer.body.message).toContain('params.id');
  });
});

describe('a room that hides its history', () => {
  test('history=since-joined: is passed on', async () => {
    await api.post('/rooms', { name: 'kitchen', history: 'since-joined' });
    expect(api.state.asked[0]?.input).toEqual({ name: 'kitchen', hideHistory: true });
    expect((await api.post('/rooms', { name: 'kitchen', history: 'none' })).body.code).toBe(
      'ARGUMENT_INVALID',
    );
  });
});

describe('leaving, removing, deleting', () => {
  test('all three: 200, and their arguments are passed on', async () => {
    for (const answer of [
      await api.post(`/rooms/${ROOM}/leave`),
      await api.delete(`/rooms/${ROOM}/members/bob`),
      await api.delete(`/rooms/${ROOM}/members/77`),
      await api.delete(`/rooms/${ROOM}`),
    ])
      expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }]);
    expect(api.state.asked).toEqual([
      { method: 'leaveRoom', key: ROOM, input: {} },
      { method: 'removeMember', key: ROOM, input: { user: 'bob' } },
      { method: 'removeMember', key: ROOM, input: { user: '77' } },
      { method: 'deleteRoom', key: ROOM, input: {} },
    ]);
  });

  test('refusals: 403 NOT_A_MEMBER and NOT_OWNER, 404 USER_NOT_FOUND', async () => {
    const codes = [
      await api.post('/rooms/8/leave'),
      await api.delete('/rooms/8'),
      await api.delete(`/rooms/${ROOM}/members/nobody`),
    ].map(({ status, body }) => [status, body.code]);
    expect(codes).toEqual([
      [403, 'NOT_A_MEMBER'],
      [403, 'NOT_OWNER'],
      [404, 'USER_NOT_FOUND'],
    ]);
  });
});

describe('PUT /rooms/:id/members/:user', () => {
  test('each role: 200, and is passed on', async () => {
    for (const role of ['member', 'moderator', 'owner']) {
      const answer = await api.put(`/rooms/${ROOM}/members/bob`, { role });
      expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }]);
    }
    const { ROLE_MEMBER, ROLE_MODERATOR, ROLE_OWNER } = client.Role;
    expect(api.state.asked).toEqual(
      [ROLE_MEMBER, ROLE_MODERATOR, ROLE_OWNER].map((role) => ({
        method: 'setRole',
        key: ROOM,
        input: { user: 'bob', role },
      })),
    );
  });

  test('an invalid role: 400 ARGUMENT_INVALID; an owner without other members: 409 LAST_OWNER', async () => {
    for (const body of [{ role: 'admin' }, { role: 3 }, {}])
      expect((await api.put(`/rooms/${ROOM}/members/bob`, body)).body.code).toBe('ARGUMENT_INVALID');
    const answer = await api.put(`/rooms/${ROOM}/members/ann`, { role: 'member' });
    expect([answer.status, answer.body.code]).toEqual([409, 'LAST_OWNER']);
  });
});

describe('GET /rooms/:id/messages', () => {
  test('pages by cursor: newest page first, each message once, then no cursor', async () => {
    const pages: number[][] = [];
    let query = 'limit=5';
    for (;;) {
      const { body } = await api.get(`/rooms/${ROOM}/messages?${query}`);
      pages.push(body.messages.map((message: { seq: number }) => message.seq));
      if (body.next_before === null) break;
      query = `limit=5&before=${body.next_before}`;
    }
    expect(pages).toEqual([
      [8, 9, 10, 11, 12],
      [3, 4, 5, 6, 7],
      [1, 2],
    ]);
  });

  test('a message: all its fields, ids as strings', async () => {
    const { body } = await api.get(`/rooms/${ROOM}/messages?limit=1`);
    expect(body.messages).toEqual([
      {
        seq: 12,
        id: String(ROOM + 12n),
        sender: '42',
        from: 'ann',
        client_msg_id: 'c12',
        text: 'message 12',
        at: '2023-11-14T22:13:20.000Z',
        at_ms: 1_700_000_000_000,
      },
    ]);
  });

  test.each(['before=0', 'before=x', 'before=-1', 'before=1e20', 'limit=1000'])(
    '%s: 400 ARGUMENT_INVALID',
    async (query) => {
      const answer = await api.get(`/rooms/${ROOM}/messages?${query}`);
      expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    },
  );
});
