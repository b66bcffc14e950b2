import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { client } from '../../proto/mod.ts';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { ROOM } from '../testing/test-state.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, 12);
});
beforeEach(() => void api.state.asked.splice(0));
afterAll(() => api[Symbol.asyncDispose]());

const CONVERSATION = {
  id: String(ROOM),
  kind: 'room',
  name: 'lobby',
  role: 'moderator',
  last_seq: 9,
  read_seq: 5,
  read_epoch: 0,
  unread: 4,
  threads_unread: 0,
  visible_after_seq: 0,
  floor_seq: 0,
  pins_version: 0,
  muted_until_ms: 0,
  active_at: '2023-11-14T22:13:20.000Z',
  active_at_ms: 1_700_000_000_000,
};

/** Bad queries of a list with this largest limit. */
const badPages = (most: number) => ['limit=0', `limit=${most + 1}`, 'limit=x', 'limit=1.5', 'after='];

async function refused(path: string): Promise<void> {
  const answer = await api.get(path);
  expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
  expect(answer.body.message).toContain(`querystring.${path.split('?')[1]?.split('=')[0]}`);
  expect(api.state.asked).toEqual([]);
}

describe('GET /api/v1/conversations', () => {
  test('pages: rooms with their last message, direct conversations with the other user', async () => {
    const first = await api.get('/api/v1/conversations');
    expect(first.status).toBe(200);
    expect(first.body).toEqual({
      conversations: [
        { ...CONVERSATION, last_message: expect.objectContaining({ seq: 9, text: 'message 9' }) },
      ],
      next: expect.any(String),
    });
    const second = await api.get(`/api/v1/conversations?limit=500&after=${first.body.next}`);
    expect(second.body).toEqual({
      conversations: [{ ...CONVERSATION, kind: 'direct', name: 'bob', peer: '43' }],
      next: null,
    });
    expect(api.state.asked.map(({ input }) => input)).toEqual([
      { after: '', limit: 100 },
      { after: 'b', limit: 500 },
    ]);
  });

  test.each(badPages(500))('%s: 400 ARGUMENT_INVALID that names it', (query) =>
    refused(`/api/v1/conversations?${query}`),
  );
});

describe('GET /api/v1/rooms', () => {
  test('pages: rooms and the cursor of the next', async () => {
    const first = await api.get('/api/v1/rooms?scope=public');
    expect(first.body).toEqual({
      rooms: [{ id: '5', name: 'lobby', members: 3, joined: true, last_seq: 9, unread: 4 }],
      next: expect.any(String),
    });
    expect(
      (await api.get(`/api/v1/rooms?scope=public&limit=10&after=${first.body.next}`)).body.next,
    ).toBeNull();
    expect(api.state.asked.map(({ input }) => input)).toEqual([
      { after: '', limit: 50 },
      { after: '5', limit: 10 },
    ]);
  });

  test.each(['scope=', 'scope=secret', ...badPages(200).map((query) => `${query}&scope=public`)])(
    '%s: 400 ARGUMENT_INVALID that names it',
    (query) => refused(`/api/v1/rooms?${query}`),
  );

  test('no scope: told where the caller’s own are', async () => {
    const { body } = await api.get('/api/v1/rooms');
    expect(body.message).toContain('GET /api/v1/conversations');
  });
});

describe('GET /api/v1/rooms/:id/members', () => {
  test('pages: names, roles, who is online, and how many there are', async () => {
    const { body } = await api.get(`/api/v1/rooms/${ROOM}/members`);
    expect(body).toEqual({
      members: [{ id: '42', name: 'ann', display_name: 'Ann', role: 'moderator', online: true }],
      count: 2,
      next: expect.any(String),
    });
    const last = await api.get(`/api/v1/rooms/${ROOM}/members?limit=1000&after=${body.next}`);
    expect(last.body.next).toBeNull();
    expect(api.state.asked).toEqual([
      { method: 'getMembers', key: ROOM, input: { after: '', limit: 200 } },
      { method: 'getMembers', key: ROOM, input: { after: '42', limit: 1000 } },
    ]);
    expect((await api.get('/api/v1/rooms/8/members')).body.code).toBe('NOT_A_MEMBER');
  });

  test.each(badPages(1000))('%s: 400 ARGUMENT_INVALID that names it', (query) =>
    refused(`/api/v1/rooms/${ROOM}/members?${query}`),
  );
});

// The paths from before /api/v1 are the same routes.
describe.each(['/api/v1', ''])('%s/rooms', (base) => {
  test('POST: 201 with the room', async () => {
    const answer = await api.post(`${base}/rooms`, { name: 'kitchen' });
    expect([answer.status, answer.body]).toEqual([201, { ...CONVERSATION, name: 'kitchen' }]);
    await api.post(`${base}/rooms`, { name: 'kitchen', history: 'since-joined' });
    expect(api.state.asked.map(({ input }) => input)).toEqual([
      { name: 'kitchen', hideHistory: false },
      { name: 'kitchen', hideHistory: true },
    ]);
    for (const body of [{}, { name: 'kitchen', history: 'none' }])
      expect((await api.post(`${base}/rooms`, body)).body.code).toBe('ARGUMENT_INVALID');
  });

  test('GET of one: 200 with what is unread; 403 NOT_A_MEMBER', async () => {
    const answer = await api.get(`${base}/rooms/${ROOM}`);
    expect([answer.status, answer.body]).toEqual([200, CONVERSATION]);
    expect(api.state.asked).toEqual([{ method: 'getConversation', key: ROOM, input: {} }]);
    const refusal = await api.get(`${base}/rooms/8`);
    expect([refusal.status, refusal.body.code]).toEqual([403, 'NOT_A_MEMBER']);
  });

  test('join: 200 with the room; 404 ROOM_NOT_FOUND', async () => {
    const answer = await api.post(`${base}/rooms/${ROOM}/join`);
    expect([answer.status, answer.body]).toEqual([200, CONVERSATION]);
    const refusal = await api.post(`${base}/rooms/8/join`);
    expect([refusal.status, refusal.body.code]).toEqual([404, 'ROOM_NOT_FOUND']);
  });

  test.each(['lobby', '0', '07', '18446744073709551616', '1e3'])(
    'an id that is none, %s: 400 ARGUMENT_INVALID',
    async (id) => {
      for (const answer of [
        await api.get(`${base}/rooms/${id}`),
        await api.post(`${base}/rooms/${id}/join`),
        await api.get(`${base}/rooms/${id}/messages`),
      ]) {
        expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
        expect(answer.body.message).toContain('params.id');
      }
      expect(api.state.asked).toEqual([]);
    },
  );

  test('leaving, removing, deleting: 200, and what was given is passed on', async () => {
    for (const answer of [
      await api.post(`${base}/rooms/${ROOM}/leave`),
      await api.delete(`${base}/rooms/${ROOM}/members/bob`),
      await api.delete(`${base}/rooms/${ROOM}/members/77`),
      await api.delete(`${base}/rooms/${ROOM}`),
    ])
      expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }]);
    expect(api.state.asked).toEqual([
      { method: 'leaveRoom', key: ROOM, input: {} },
      { method: 'removeMember', key: ROOM, input: { user: 'bob' } },
      { method: 'removeMember', key: ROOM, input: { user: '77' } },
      { method: 'deleteRoom', key: ROOM, input: {} },
    ]);
  });

  test('refusals: 403 NOT_A_MEMBER and ROLE_TOO_LOW, 404 USER_NOT_FOUND', async () => {
    const codes = [
      await api.post(`${base}/rooms/8/leave`),
      await api.delete(`${base}/rooms/8`),
      await api.delete(`${base}/rooms/${ROOM}/members/nobody`),
    ].map(({ status, body }) => [status, body.code]);
    expect(codes).toEqual([
      [403, 'NOT_A_MEMBER'],
      [403, 'ROLE_TOO_LOW'],
      [404, 'USER_NOT_FOUND'],
    ]);
  });

  test('roles: 200, and each is passed on; an owner without other members: 409 LAST_OWNER', async () => {
    for (const role of ['member', 'moderator', 'owner'])
      expect((await api.put(`${base}/rooms/${ROOM}/members/bob`, { role })).body).toEqual({ status: 'ok' });
    const { ROLE_MEMBER, ROLE_MODERATOR, ROLE_OWNER } = client.Role;
    expect(api.state.asked).toEqual(
      [ROLE_MEMBER, ROLE_MODERATOR, ROLE_OWNER].map((role) => ({
        method: 'setRole',
        key: ROOM,
        input: { user: 'bob', role },
      })),
    );
    for (const body of [{ role: 'admin' }, { role: 3 }, {}])
      expect((await api.put(`${base}/rooms/${ROOM}/members/bob`, body)).body.code).toBe('ARGUMENT_INVALID');
    const answer = await api.put(`${base}/rooms/${ROOM}/members/ann`, { role: 'member' });
    expect([answer.status, answer.body.code]).toEqual([409, 'LAST_OWNER']);
  });

  test.each(['077', '0', '7x', '18446744073709551616'])(
    'a member who is neither a name nor an id, %s: 400 ARGUMENT_INVALID, state is not asked',
    async (user) => {
      for (const answer of [
        await api.put(`${base}/rooms/${ROOM}/members/${user}`, { role: 'member' }),
        await api.delete(`${base}/rooms/${ROOM}/members/${user}`),
      ]) {
        expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
        expect(answer.body.message).toContain('params.user');
      }
      expect(api.state.asked).toEqual([]);
    },
  );
});
