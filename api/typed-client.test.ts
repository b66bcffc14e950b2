/** A client in TypeScript whose types are made from docs/openapi.json: this file compiles, and its calls work. */
import createClient from 'openapi-fetch';
import { expect, test } from 'vitest';
import type { paths } from './testing/gen/openapi.ts';
import { startApi } from './testing/test-api.ts';
import { ROOM, TOKEN } from './testing/test-state.ts';

test('a typed client: logs in, lists, sends with a key, and reads a typed problem', async () => {
  await using api = await startApi({}, 12);
  const anonymous = createClient<paths>({ baseUrl: api.url });
  const login = await anonymous.POST('/auth/login', { body: { name: 'ann', password: '111111' } });
  const token: string | undefined = login.data?.token;
  expect(token).toBe(TOKEN);

  const rest = createClient<paths>({ baseUrl: api.url, headers: { authorization: `Bearer ${token}` } });
  const rooms = await rest.GET('/api/v1/rooms', { params: { query: { scope: 'public', limit: 10 } } });
  const names: string[] | undefined = rooms.data?.rooms.map((room) => room.name);
  expect(names).toEqual(['lobby']);

  const path = { id: String(ROOM) };
  const sent = await rest.POST('/api/v1/rooms/{id}/messages', {
    params: { path, header: { 'idempotency-key': 'k' } },
    body: { text: 'hi' },
  });
  const seq: number | undefined = sent.data?.seq;
  expect(seq).toBe(13);

  const page = await rest.GET('/api/v1/rooms/{id}/messages', { params: { path, query: { limit: 2 } } });
  expect(page.data?.messages.map((message) => message.text)).toEqual(['message 11', 'message 12']);

  const { error } = await rest.GET('/api/v1/rooms/{id}', { params: { path: { id: '8' } } });
  const code: string | undefined = error?.code;
  expect([code, error?.status, error?.request_id]).toEqual(['NOT_A_MEMBER', 403, expect.any(String)]);

  // @ts-expect-error -- a body without text does not compile
  await rest.POST('/api/v1/rooms/{id}/messages', { params: { path }, body: {} });
  // @ts-expect-error -- nor does a path that is not there
  await rest.GET('/api/v1/nothing', {});
});
