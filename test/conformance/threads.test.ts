/** Tests of docs/protocol.md on threads, over TCP, WebSocket and HTTP. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conversation, roomOf } from './answers.ts';
import { newUser, startSystem, type System } from './system.ts';
import { type Frame, WireClient } from './wire-client.ts';

let system: System;
let annToken: string;
let ann: WireClient;
let bob: WireClient;

beforeAll(async () => {
  // Longer than any test: the connections that are shared send no PING.
  system = await startSystem(['--heartbeat-interval-ms', '600000']);
  annToken = await newUser(system, 'ann');
  ann = await WireClient.hello(system, annToken);
  bob = await WireClient.hello(system, await newUser(system, 'bob'), { wire: 'tcp' });
});

afterAll(() => system[Symbol.asyncDispose]());

async function http(method: string, path: string, body?: object): Promise<[number, Frame]> {
  const response = await fetch(system.api + path, {
    method,
    headers: {
      authorization: `Bearer ${annToken}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return [response.status, (await response.json()) as Frame];
}

/** Makes a room of both in which ann has said something: its seq is 1, the join is 2. */
async function makeRoom(): Promise<string> {
  const { id, name } = await roomOf(ann, ['root']);
  await bob.ask({ join_room: { room: name } });
  return id;
}

function say(client: WireClient, key: string, fields: object): Promise<Frame> {
  return client.put(key, { client_msg_id: crypto.randomUUID(), text: 'x', ...fields });
}

describe('threads', () => {
  test('a reply: pushed with its root, unread in its thread alone, and shown by the root in a page', async () => {
    const id = await makeRoom();
    expect(await say(bob, id, { thread: '1', text: 'first' })).toMatchObject({ type: 'SENT', seq: '3' });
    expect(await ann.next('MESSAGE', (frame) => frame['key'] === id && frame['seq'] === '3')).toMatchObject({
      text: 'first',
      thread: '1',
      kind: 'ENTRY_KIND_MESSAGE',
    });
    expect(conversation(await ann.ask({ get_conversation: {} }, id))).toMatchObject({
      last_seq: '3',
      unread: '0',
      threads_unread: '1',
    });
    const summary = {
      replies: '1',
      last_seq: '3',
      followed: true,
      unread: '1',
      read_seq: '0',
      read_epoch: '0',
    };
    expect(await ann.ask({ get_history: {} }, id)).toMatchObject({
      history: { messages: [{ seq: '1', thread: '0', thread_summary: summary }, {}, { thread: '1' }] },
    });
    expect(await ann.ask({ get_thread: { root: '1' } }, id)).toMatchObject({
      thread: {
        thread: { conversation: id, seq: '1', root: { text: 'root' }, summary },
        messages: [{ seq: '3', text: 'first', thread: '1' }],
        more: false,
        as_of: '3',
      },
    });
    expect(await ann.ask({ list_threads: {} }, id)).toMatchObject({
      threads: { threads: [{ seq: '1', root: { text: 'root' }, summary, last: { seq: '3' } }], next: '' },
    });
  });

  test('mark_read and RECEIPTS with thread: move its cursor alone, and SELF tells the other devices', async () => {
    const id = await makeRoom();
    await say(bob, id, { thread: '1' });
    await say(bob, id, { thread: '1' });
    await using phone = await WireClient.hello(system, annToken, { device: 'phone' });
    const read = (read_seq: string, read_epoch: string) =>
      ann.ask({ mark_read: { read_seq, read_epoch, thread: '1' } }, id);
    expect(conversation(await read('4', '0'))).toMatchObject({ read_seq: '0', threads_unread: '0' });
    expect(await phone.next('SELF')).toMatchObject({
      reads: [{ conversation: id, read_seq: '4', read_epoch: '0', thread: '1' }],
    });
    expect(conversation(await read('2', '1'))).toMatchObject({ threads_unread: '1' });
    expect(await read('4', '0')).toMatchObject({ type: 'NACK', code: 'CURSOR_EPOCH_OLD' });
    expect(await read('9', '1')).toMatchObject({ type: 'NACK', code: 'CURSOR_BEYOND_END' });
    ann.send({
      type: 'RECEIPTS',
      receipts: [{ conversation: id, read_seq: '4', read_epoch: '1', thread: '1' }],
    });
    await expect
      .poll(async () => conversation(await ann.ask({ get_conversation: {} }, id)))
      .toMatchObject({ read_seq: '0', threads_unread: '0' });
  });

  test('mark_all_read: timelines and threads, of one conversation or of all, and the other devices are told', async () => {
    const id = await makeRoom();
    await say(bob, id, {});
    await say(bob, id, { thread: '1' });
    await using phone = await WireClient.hello(system, annToken, { device: 'phone2' });
    expect(await ann.ask({ mark_all_read: {} }, id)).toMatchObject({ type: 'RESPONSE', done: {} });
    const read = { conversation: id, read_seq: '4', read_epoch: '0' };
    const [timeline, thread] = [
      { ...read, thread: '0' },
      { ...read, thread: '1' },
    ];
    for (const each of [timeline, thread])
      expect(
        await phone.next('SELF', ({ reads }) => (reads as Frame[])[0]?.['thread'] === each.thread),
      ).toMatchObject({ reads: [each] });
    expect(conversation(await ann.ask({ get_conversation: {} }, id))).toMatchObject({
      unread: '0',
      threads_unread: '0',
    });
    await say(bob, id, { thread: '1' });
    expect(await ann.ask({ mark_all_read: {} })).toMatchObject({ type: 'RESPONSE', done: {} });
    expect(await http('POST', '/api/v1/conversations/read-all')).toMatchObject([200, { status: 'ok' }]);
    expect(await http('POST', `/api/v1/rooms/${id}/read-all`)).toMatchObject([200, { status: 'ok' }]);
    expect(conversation(await ann.ask({ get_conversation: {} }, id))).toMatchObject({ threads_unread: '0' });
  });

  test('refused: a thread in a thread, of what is no message, of nothing; with a quote; cursors and lists that are none', async () => {
    const id = await makeRoom();
    await say(bob, id, { thread: '1' });
    const codes = [
      await say(bob, id, { thread: '3' }),
      await say(bob, id, { thread: '2' }),
      await say(bob, id, { thread: '99' }),
      await say(bob, id, { thread: '1', reply_to: '1' }),
      await say(bob, id, { kind: 'ENTRY_KIND_EDIT', target: '3', thread: '1' }),
      await say(bob, id, { thread: '1', text: '' }),
      await ann.ask({ get_thread: { root: '3' } }, id),
      await ann.ask({ get_thread: { root: '0' } }, id),
      await ann.ask({ get_thread: { root: '1', limit: 101 } }, id),
      await ann.ask({ get_thread: { root: '1', at: { date_ms: '5' } } }, id),
      await ann.ask({ get_thread: { root: '1' } }, '1'),
      await ann.ask({ follow_thread: { root: '2' } }, id),
      await ann.ask({ list_threads: { after: '1.2' } }, id),
      await ann.ask({ list_threads: { limit: 101 } }, id),
    ].map((frame) => frame['code']);
    expect(codes).toEqual([
      'THREAD_NESTED',
      'TARGET_INVALID',
      'TARGET_NOT_FOUND',
      'ARGUMENT_INVALID',
      'ARGUMENT_INVALID',
      'TEXT_EMPTY',
      'TARGET_NOT_FOUND',
      'TARGET_NOT_FOUND',
      'ARGUMENT_INVALID',
      'ARGUMENT_INVALID',
      'NOT_A_MEMBER',
      'TARGET_NOT_FOUND',
      'ARGUMENT_INVALID',
      'ARGUMENT_INVALID',
    ]);
    expect(conversation(await ann.ask({ get_conversation: {} }, id))).toMatchObject({ last_seq: '3' });
  });

  test('over HTTP: replies, pages, following, reading', async () => {
    const id = await makeRoom();
    await say(bob, id, { text: 'other root' });
    expect(await http('POST', `/api/v1/rooms/${id}/messages`, { text: 'mine', thread: 3 })).toMatchObject([
      201,
      { seq: 4 },
    ]);
    await say(bob, id, { thread: '3', text: 'his' });
    const thread = `/api/v1/rooms/${id}/threads/3`;
    expect(await http('GET', `${thread}?first_unread=true`)).toMatchObject([
      200,
      {
        conversation: id,
        seq: 3,
        root: { text: 'other root' },
        summary: { replies: 2, followed: true, unread: 1, read_seq: 4 },
        messages: [{ text: 'mine', thread: 3 }, { text: 'his' }],
        anchor_seq: 5,
      },
    ]);
    expect(await http('GET', `/api/v1/threads?room=${id}`)).toMatchObject([
      200,
      { threads: [{ seq: 3, last: { text: 'his' } }], next: null },
    ]);
    expect(await http('PUT', `${thread}/read`, { seq: 5 })).toMatchObject([200, { id, threads_unread: 0 }]);
    expect(await http('DELETE', `${thread}/follow`)).toMatchObject([200, { status: 'ok' }]);
    expect(await http('GET', `/api/v1/threads?room=${id}`)).toMatchObject([200, { threads: [] }]);
    expect(await http('PUT', `${thread}/read`, { seq: 5 })).toMatchObject([
      404,
      { code: 'TARGET_NOT_FOUND' },
    ]);
    expect(await http('GET', `/api/v1/rooms/${id}/threads/5`)).toMatchObject([
      404,
      { code: 'TARGET_NOT_FOUND' },
    ]);
    expect(await http('PUT', `${thread}/follow`)).toMatchObject([200, { status: 'ok' }]);
  });
});
