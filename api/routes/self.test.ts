import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { ROOM } from '../testing/test-state.ts';

const AT_MS = 1_700_000_000_000;
const DRAFT = { conversation: String(ROOM), text: 'well', at: new Date(AT_MS).toISOString(), at_ms: AT_MS };

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
beforeEach(() => void api.state.asked.splice(0));
afterAll(() => api[Symbol.asyncDispose]());

test('GET /api/v1/users/me/state: mutes, drafts and settings on the first page', async () => {
  const first = await api.get('/api/v1/users/me/state');
  const reads = [{ conversation: String(ROOM), read_seq: 5, read_epoch: 0 }];
  expect([first.status, first.body]).toEqual([
    200,
    {
      reads,
      mutes: [{ conversation: String(ROOM), until_ms: AT_MS }],
      drafts: [DRAFT],
      settings: {
        version: 2,
        last_seen: 'everybody',
        invisible: true,
        receipts: true,
        notifications: 'all',
        language: '',
        status_text: '',
      },
      next: expect.any(String),
    },
  ]);
  const second = await api.get(`/api/v1/users/me/state?limit=9&after=${first.body.next}`);
  expect(second.body).toEqual({ reads, mutes: [], drafts: [], next: null });
  expect(api.state.asked.map(({ input }) => input)).toEqual([
    { after: '', limit: 500 },
    { after: '7', limit: 9 },
  ]);
});

test('PUT of read: the conversation with the cursor; 422 CURSOR_BEYOND_END', async () => {
  const path = `/api/v1/rooms/${ROOM}/read`;
  const read = await api.call('PUT', path, { seq: 7 });
  expect([read.status, read.body]).toMatchObject([200, { id: String(ROOM), read_seq: 7, read_epoch: 0 }]);
  const back = await api.call('PUT', path, { seq: 0, epoch: 1 });
  expect(back.body).toMatchObject({ read_seq: 0, read_epoch: 1 });
  const beyond = await api.call('PUT', path, { seq: 10 });
  expect([beyond.status, beyond.body.code]).toEqual([422, 'CURSOR_BEYOND_END']);
  for (const body of [{}, { seq: -1 }, { seq: 1.5 }, { seq: '7' }, { seq: 7, epoch: -1 }])
    expect((await api.call('PUT', path, body)).body.code).toBe('ARGUMENT_INVALID');
});

test('PUT and DELETE of mute: until a time, for good, no longer', async () => {
  const path = `/api/v1/rooms/${ROOM}/mute`;
  expect((await api.call('PUT', path, { until_ms: 5 })).body).toEqual({ status: 'ok' });
  await api.call('PUT', path);
  await api.call('DELETE', path);
  expect(api.state.asked.map(({ input }) => input)).toEqual([
    { untilMs: 5n },
    { untilMs: BigInt(Number.MAX_SAFE_INTEGER) },
    { untilMs: 0n },
  ]);
  expect((await api.call('PUT', '/api/v1/rooms/8/mute')).body.code).toBe('NOT_A_MEMBER');
  expect((await api.call('PUT', path, { until_ms: 0 })).status).toBe(400);
});

test('PUT and DELETE of draft', async () => {
  const path = `/api/v1/rooms/${ROOM}/draft`;
  expect((await api.call('PUT', path, { text: 'well' })).body).toEqual(DRAFT);
  expect((await api.call('DELETE', path)).body).toEqual({ status: 'ok' });
  expect(api.state.asked.map(({ input }) => input)).toEqual([{ text: 'well' }, { text: '' }]);
  expect((await api.call('PUT', path, {})).status).toBe(400);
});
