import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { ROOM } from '../testing/test-state.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, 12);
});
beforeEach(() => void api.state.asked.splice(0));
afterAll(() => api[Symbol.asyncDispose]());

describe('GET /rooms', () => {
  test('pages: rooms and the cursor of the next', async () => {
    const first = await api.get('/rooms');
    expect(first.body).toEqual({
      rooms: [{ id: '5', name: 'lobby', members: 3, joined: true, last_seq: 9, unread: 4 }],
      next_after: expect.any(String),
    });
    expect((await api.get(`/rooms?limit=10&after=${first.body.next_after}`)).body.next_after).toBeNull();
    expect(api.state.asked.map(({ input }) => input)).toEqual([
      { after: '', limit: 50 },
      { after: '5', limit: 10 },
    ]);
  });
});

describe('GET /rooms/:id/messages', () => {
  test('paging by cursor: newest page first, each message once, then no cursor', async () => {
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

  test.each(['before=0', 'before=x', 'before=-1', 'before=1e20', 'limit=1000'])(
    '%s: 400 ARGUMENT_INVALID',
    async (query) => {
      const answer = await api.get(`/rooms/${ROOM}/messages?${query}`);
      expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    },
  );
});
