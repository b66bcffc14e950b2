/** The simple forms of the WebSocket, on a gateway and on api, line by line as people's clients write them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, JsonClient } from '../../gateway/testing/test-json-client.ts';
import { newUser, startSystem, type System } from './system.ts';

let system: System;
let ann: string;
let bob: string;
let annId: string;
let bobId: string;
const clients: JsonClient[] = [];

beforeAll(async () => {
  system = await startSystem([]);
  ann = await newUser(system, 'ann');
  bob = await newUser(system, 'bob');
  annId = (await rest(ann, 'GET', '/users/me')).id;
  bobId = (await rest(bob, 'GET', '/users/me')).id;
}, 120_000);
afterAll(async () => {
  for (const client of clients) client.destroy();
  await system[Symbol.asyncDispose]();
});

// oxlint-disable-next-line typescript/no-explicit-any -- answers have many shapes.
async function rest(token: string, method: string, path: string, body?: object): Promise<any> {
  const response = await fetch(`${system.api}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  return await response.json();
}

/** Makes a room of ann and returns its id. */
async function room(name: string): Promise<string> {
  return (await rest(ann, 'POST', '/rooms', { name })).id;
}

describe.each(['gateway', 'api'])('%s', (face) => {
  const open = async (target = '/ws'): Promise<JsonClient> => {
    const address = face === 'gateway' ? system.ws : new URL(system.api).host;
    const client = await JsonClient.open(address, target, []);
    clients.push(client);
    return client;
  };
  /** A client that has joined a room by the query. */
  const joined = async (token: string, id: string) => {
    const client = await open(`/ws?token=${token}&room_id=${id}`);
    await client.next('join', ({ room_id }) => room_id === id);
    return client;
  };

  test('auth, join_room, send_message, leave_room', async () => {
    const id = await room(`c-${face}`);
    const other = await joined(bob, id);
    const client = await open();
    client.socket.send(`{"type":"auth","token":"${ann}"}`);
    // At once: it waits for the answer to auth.
    client.socket.send(`{"type":"join_room","room_id":"${id}"}`);
    expect(await client.next('auth')).toEqual({ type: 'auth', user_id: annId, user_name: 'ann' });
    expect(await client.next('join')).toMatchObject({ user_id: annId, room_id: id });
    client.socket.send('{"type":"send_message","content":"Hello!"}');
    const sent = await client.next('sent');
    expect(sent).toMatchObject({ room_id: id, message_id: expect.any(Number) });
    expect(await other.next('message')).toEqual({
      type: 'message',
      user_id: annId,
      user_name: 'ann',
      room_id: id,
      content: 'Hello!',
      message_id: sent['message_id'],
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    client.socket.send('{"type":"leave_room"}');
    expect(await client.next('leave')).toMatchObject({ user_id: annId, room_id: id });
    // The subscription has ended, the membership has not.
    await rest(bob, 'POST', `/rooms/${id}/messages`, { text: 'to whom?' });
    client.socket.send('{"type":"send_message","content":"where?"}');
    expect(await client.next('error')).toMatchObject({ code: 'JSON_INVALID' });
    expect(client.received.filter(({ type }) => type === 'message')).toEqual([]);
    expect((await rest(ann, 'GET', `/rooms/${id}`)).id).toBe(id);
  });

  test('GET /ws?token=<jwt>&room_id=<id>, then message, typing, read, join and leave', async () => {
    const id = await room(`d-${face}`);
    const client = await joined(ann, id);
    const other = await joined(bob, id);
    expect(await client.next('join')).toMatchObject({ user_id: bobId, room_id: id, content: '' });
    const { message_id } = await say(client, id, 'hi');
    expect(await other.next('message')).toMatchObject({ content: 'hi', message_id });
    client.send({ type: 'typing', room_id: id });
    expect(await other.next('typing')).toMatchObject({ user_id: annId, user_name: 'ann', room_id: id });
    other.send({ type: 'read', room_id: id, message_id });
    await expect
      .poll(async () => (await rest(bob, 'GET', `/rooms/${id}`)).read_seq)
      .toBeGreaterThanOrEqual(message_id as number);
    // What was read before the gateway watches the room is no news.
    await expect
      .poll(async () => {
        const { message_id: next } = await say(client, id, 'read this');
        other.send({ type: 'read', room_id: id, message_id: next });
        return client.received.find(({ type }) => type === 'read');
      })
      .toMatchObject({ user_id: bobId, room_id: id, message_id: expect.any(Number) });
    const second = await room(`d2-${face}`);
    client.send({ type: 'join', room_id: second });
    await client.next('join', ({ room_id }) => room_id === second);
    await rest(bob, 'POST', `/rooms/${second}/join`);
    await client.next('join', ({ user_id, room_id }) => user_id === bobId && room_id === second);
    await rest(bob, 'POST', `/rooms/${second}/leave`);
    await client.next('leave', ({ user_id, room_id }) => user_id === bobId && room_id === second);
    client.send({ type: 'leave', room_id: second });
    await client.next('leave', ({ user_id }) => user_id === annId);
  });

  test('ids: numbers are taken too, as far as JSON keeps their digits; a name joins a room', async () => {
    await room(`named-${face}`);
    const client = await open(`/ws?token=${ann}`);
    client.send({ type: 'join', room_id: `named-${face}` });
    const { room_id } = await client.next('join');
    expect(room_id).toMatch(/^\d+$/);
    client.send({ type: 'join', room_id: 7 });
    expect(await client.next('error')).toMatchObject({ code: 'ROOM_NOT_FOUND' });
  });

  test('a direct conversation: its members follow it', async () => {
    const direct = (await rest(ann, 'POST', '/conversations', { user: 'bob' })).id as string;
    const client = await open(`/ws?token=${bob}`);
    client.send({ type: 'join', room_id: direct });
    await client.next('join', ({ room_id }) => room_id === direct);
    await rest(ann, 'POST', `/rooms/${direct}/messages`, { text: 'psst' });
    expect(await client.next('message')).toMatchObject({ user_id: annId, content: 'psst' });
  });

  test.each([
    ['no JSON', 'hello'],
    ['an unknown type', '{"type":"shout"}'],
    ['no content', '{"type":"message","room_id":"5"}'],
    ['an id that is none', '{"type":"typing","room_id":"abc"}'],
    ['a message_id that is a text', '{"type":"read","room_id":"5","message_id":"7"}'],
  ])('%s: an error, and the connection lives', async (_, text) => {
    const client = await open(`/ws?token=${ann}`);
    client.socket.send(text);
    expect(await client.next('error')).toMatchObject({ code: 'JSON_INVALID', message: expect.any(String) });
    client.send({ type: 'message', room_id: '5', content: 'x' });
    expect(await client.next('error')).toMatchObject({ code: 'NOT_A_MEMBER' });
  });

  test('a token that is none: an error, then the end', async () => {
    const client = await open();
    client.send({ type: 'auth', token: 'x' });
    expect(await client.next('error')).toMatchObject({ code: 'TOKEN_INVALID' });
    expect(await client.closed).toBe(4020);
    const early = await open();
    early.send({ type: 'join', room_id: '5' });
    expect(await early.next('error')).toMatchObject({ code: 'HELLO_EXPECTED' });
  });

  async function say(client: JsonClient, id: string, content: string): Promise<Json> {
    client.send({ type: 'message', room_id: id, content });
    return await client.next('sent');
  }
});

test('with a subprotocol api carries frames, too', async () => {
  const client = await JsonClient.open(new URL(system.api).host, '/ws');
  clients.push(client);
  expect(await client.login(ann)).toMatchObject({ user: annId });
});

test('GET /ws of api without an upgrade: 426; an upgrade elsewhere is an ordinary request', async () => {
  const answer = await fetch(`${system.api}/ws`);
  expect([answer.status, ((await answer.json()) as Json)['code']]).toEqual([426, 'UPGRADE_REQUIRED']);
});
