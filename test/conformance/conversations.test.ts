/** Tests of docs/protocol.md on conversations: cursors, members, direct ones, HTTP, numbers out of range. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conversation, historyOf, roomOf, seqsOf } from './answers.ts';
import { newUser, startSystem, type System } from './system.ts';
import { type Frame, repeat, WireClient } from './wire-client.ts';

let system: System;
/** Tokens of users that all tests share; each test makes rooms of its own. */
let annToken: string;
let bobToken: string;
let ann: WireClient;
let bob: WireClient;

beforeAll(async () => {
  // Longer than any test: the connections that are shared send no PING.
  system = await startSystem(['--heartbeat-interval-ms', '600000']);
  [annToken, bobToken] = [await newUser(system, 'ann'), await newUser(system, 'bob')];
  ann = await WireClient.hello(system, annToken);
  bob = await WireClient.hello(system, bobToken, { wire: 'tcp' });
});

afterAll(() => system[Symbol.asyncDispose]());

async function http(method: string, path: string, token: string, body?: unknown): Promise<[number, Frame]> {
  const response = await fetch(system.api + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return [response.status, (await response.json()) as Frame];
}

describe('where a conversation begins', () => {
  test('create: it is empty, and MEMBERS_CHANGED goes to each connection of the user, this one included', async () => {
    await using phone = await WireClient.hello(system, annToken, { device: 'phone' });
    const answer = conversation(await ann.ask({ create_room: { name: 'fresh' } }));
    expect(answer).toMatchObject({ last_seq: '0', delivered_seq: '0', unread: '0', role: 'ROLE_OWNER' });
    for (const client of [ann, phone])
      expect(await client.next('MEMBERS_CHANGED', ({ key }) => key === answer['id'])).toMatchObject({
        change: 'MEMBER_CHANGE_JOINED',
        name: 'ann',
        after_seq: '0',
      });
  });

  test('join: the answer has last_seq and no cursor, and a sync without a cursor begins at the first message', async () => {
    const { id, name } = await roomOf(ann, ['a', 'b', 'c']);
    const answer = conversation(await bob.ask({ join_room: { room: name } }));
    expect(answer).toMatchObject({
      // The join is an entry, and none that is unread.
      last_seq: '4',
      delivered_seq: '0',
      read_seq: '0',
      unread: '3',
      role: 'ROLE_MEMBER',
      visible_after_seq: '0',
    });
    expect(seqsOf(await bob.ask({ sync: {} }), id)).toEqual([1, 2, 3, 4]);
    expect(
      seqsOf(await bob.ask({ sync: { cursors: [{ conversation: id, seq: '4' }] } }), id),
    ).toBeUndefined();
  });

  test('a room that hides its history: the page of a sync begins where the user joined, even beyond the cursor', async () => {
    const { id, name } = await roomOf(ann, ['a', 'b', 'c'], true);
    const joined = conversation(await bob.ask({ join_room: { room: name } }));
    expect(joined).toMatchObject({
      last_seq: '4',
      visible_after_seq: '4',
      delivered_seq: '0',
      unread: '0',
    });
    await ann.say(id, 'd');
    const sync = { sync: { cursors: [{ conversation: id, seq: '0' }] } };
    expect(seqsOf(await bob.ask(sync), id)).toEqual([5]);
    expect(historyOf(await bob.ask({ get_history: {} }, id))).toEqual({ seqs: [5], more: false });
    await bob.ask({ leave_room: {} }, id);
    await ann.say(id, 'e');
    await bob.ask({ join_room: { room: name } });
    await ann.say(id, 'f');
    expect(seqsOf(await bob.ask(sync), id)).toEqual([9]);
  });

  test('join again: the cursors are those of the earlier membership', async () => {
    const { id, name } = await roomOf(ann, ['a', 'b']);
    await bob.ask({ join_room: { room: name } });
    bob.send({ type: 'RECEIPTS', receipts: [{ conversation: id, delivered_seq: '2', read_seq: '2' }] });
    await expect
      .poll(async () => conversation(await bob.ask({ get_conversation: {} }, id)))
      .toMatchObject({ delivered_seq: '2', read_seq: '2', unread: '0' });
    await bob.ask({ leave_room: {} }, id);
    expect(conversation(await bob.ask({ join_room: { room: name } }))).toMatchObject({
      last_seq: '5',
      delivered_seq: '2',
      read_seq: '2',
      unread: '0',
    });
  });

  test('mark_read: answers with what is unread; back under a greater epoch, which RECEIPTS of before do not undo', async () => {
    const { id, name } = await roomOf(ann, ['a', 'b']);
    await bob.ask({ join_room: { room: name } });
    const read = (read_seq: string, read_epoch: string) =>
      bob.ask({ mark_read: { read_seq, read_epoch } }, id);
    expect(conversation(await read('2', '0'))).toMatchObject({ read_seq: '2', read_epoch: '0', unread: '0' });
    expect(conversation(await read('0', '1'))).toMatchObject({ read_seq: '0', read_epoch: '1', unread: '2' });
    expect(await read('3', '0')).toMatchObject({ type: 'NACK', code: 'CURSOR_EPOCH_OLD' });
    expect(await read('99', '1')).toMatchObject({ type: 'NACK', code: 'CURSOR_BEYOND_END' });
    bob.send({
      type: 'RECEIPTS',
      receipts: [
        { conversation: id, read_seq: '3' },
        { conversation: id, delivered_seq: '1' },
      ],
    });
    await expect
      .poll(async () => conversation(await bob.ask({ get_conversation: {} }, id)))
      .toMatchObject({ delivered_seq: '1', read_seq: '0', read_epoch: '1', unread: '2' });
    expect(await ann.ask({ mark_read: { read_seq: '1', read_epoch: '1' } }, '1')).toMatchObject({
      type: 'NACK',
      code: 'NOT_A_MEMBER',
    });
  });

  test('a new named device: begins where the unnamed devices are, not where another named one is', async () => {
    const { id, name } = await roomOf(ann, ['a', 'b', 'c']);
    await bob.ask({ join_room: { room: name } });
    await using desk = await WireClient.hello(system, bobToken, { device: 'desk' });
    const receipts = (seq: string) => ({
      type: 'RECEIPTS',
      receipts: [{ conversation: id, delivered_seq: seq }],
    });
    const cursor = async (client: WireClient) =>
      conversation(await client.ask({ get_conversation: {} }, id))['delivered_seq'];
    desk.send(receipts('3'));
    await expect.poll(() => cursor(desk)).toBe('3');
    await using tablet = await WireClient.hello(system, bobToken, { device: 'tablet' });
    expect(await cursor(tablet)).toBe('0');
    expect(seqsOf(await tablet.ask({ sync: {} }), id)).toEqual([1, 2, 3, 4]);
    bob.send(receipts('2'));
    await expect.poll(() => cursor(bob)).toBe('2');
    expect([await cursor(tablet), await cursor(desk)]).toEqual(['2', '3']);
    expect(seqsOf(await tablet.ask({ sync: {} }), id)).toEqual([3, 4]);
  });

  test('RECEIPTS: count up to the last message, and are ignored for conversations that the user is not in', async () => {
    const { id, name } = await roomOf(ann, ['a']);
    const receipts = [{ conversation: id, delivered_seq: '1000', read_seq: '1000' }];
    bob.send({ type: 'RECEIPTS', ref: 3, receipts });
    await bob.ask({ join_room: { room: name } });
    await ann.say(id, 'b');
    bob.send({ type: 'RECEIPTS', ref: 3, receipts });
    await expect
      .poll(async () => conversation(await bob.ask({ get_conversation: {} }, id)))
      .toMatchObject({ delivered_seq: '3', read_seq: '3' });
    expect(bob.frames.filter(({ type, ref }) => type === 'NACK' && ref === 3)).toEqual([]);
  });
});

describe('a user who has left a room', () => {
  test('reads its history up to the departure, and neither its members nor later messages', async () => {
    const { id, name } = await roomOf(ann, ['a', 'b']);
    await bob.ask({ join_room: { room: name } });
    await bob.ask({ leave_room: {} }, id);
    await ann.say(id, 'c');
    expect(historyOf(await bob.ask({ get_history: {} }, id))).toEqual({ seqs: [1, 2, 3], more: false });
    for (const call of ['get_members', 'get_conversation', 'list_pins'])
      expect(await bob.ask({ [call]: {} }, id)).toMatchObject({ code: 'NOT_A_MEMBER' });
    const page = await bob.ask({ sync: { cursors: [{ conversation: id, seq: '1' }] } });
    expect(seqsOf(page, id)).toEqual([2, 3]);
    expect((page['sync'] as Frame)['gone']).toEqual([
      { conversation: id, reason: 'MEMBER_CHANGE_LEFT', last_seq: '3' },
    ]);
    expect(await bob.ask({ leave_room: {} }, id)).toMatchObject({ done: {} });
  });

  test('a deleted room: cannot be read; a conversation that never existed is gone as deleted', async () => {
    const { id } = await roomOf(ann, ['a']);
    expect(await ann.ask({ delete_room: {} }, id)).toMatchObject({ done: {} });
    expect(await ann.ask({ get_history: {} }, id)).toMatchObject({ code: 'NOT_A_MEMBER' });
    const never = '4242';
    const page = await ann.ask({
      sync: { cursors: [id, never].map((conversation) => ({ conversation, seq: '1' })) },
    });
    expect((page['sync'] as Frame)['gone']).toEqual(
      expect.arrayContaining([
        { conversation: id, reason: 'MEMBER_CHANGE_DELETED', last_seq: '0' },
        { conversation: never, reason: 'MEMBER_CHANGE_DELETED', last_seq: '0' },
      ]),
    );
  });
});

describe('roles', () => {
  const role = (user: string, name: string) => ({ set_role: { user, role: name } });

  test('roles: are given on each transport and over HTTP, announced to all members, and shown in answers', async () => {
    const cidToken = await newUser(system, 'cid');
    await using cid = await WireClient.hello(system, cidToken, { wire: 'gochat.v2.proto' });
    const { id, name } = await roomOf(ann, []);
    for (const client of [bob, cid]) await client.ask({ join_room: { room: name } });
    // JSON on a WebSocket, TCP, protobuf on a WebSocket.
    const told = async (what: object) => {
      for (const client of [ann, bob, cid]) {
        const changed = await client.next('MEMBERS_CHANGED', ({ change }) => change === 'MEMBER_CHANGE_ROLE');
        expect(changed).toMatchObject({ key: id, ...what });
      }
    };
    expect(await ann.ask(role('bob', 'ROLE_OWNER'), id)).toMatchObject({ done: {} });
    await told({ name: 'bob', by: 'ann', role: 'ROLE_OWNER' });
    expect(await bob.ask(role('cid', 'ROLE_MODERATOR'), id)).toMatchObject({ done: {} });
    await told({ name: 'cid', by: 'bob', role: 'ROLE_MODERATOR' });
    expect(await cid.ask(role('cid', 'ROLE_MEMBER'), id)).toMatchObject({ done: {} });
    await told({ name: 'cid', by: '', role: 'ROLE_MEMBER' });
    const member = `/rooms/${id}/members/cid`;
    expect(await http('PUT', member, annToken, { role: 'moderator' })).toEqual([200, { status: 'ok' }]);
    await told({ name: 'cid', by: 'ann', role: 'ROLE_MODERATOR' });
    expect(await http('GET', `/rooms/${id}`, cidToken)).toMatchObject([200, { role: 'moderator' }]);
    expect(conversation(await bob.ask({ get_conversation: {} }, id))).toMatchObject({
      role: 'ROLE_OWNER',
    });
    const { members } = (await ann.ask({ get_members: {} }, id))['members'] as { members: readonly Frame[] };
    expect(members.map(({ name: who, role: as }) => `${String(who)} ${String(as)}`)).toEqual([
      'ann ROLE_OWNER',
      'bob ROLE_OWNER',
      'cid ROLE_MODERATOR',
    ]);
  });

  test('what rank does not allow is ROLE_TOO_LOW; the last owner hands over by stepping down, and not when alone', async () => {
    const { id, name } = await roomOf(ann, []);
    const code = async (answer: Promise<Frame>) => (await answer)['code'];
    expect(await code(ann.ask(role('ann', 'ROLE_MEMBER'), id))).toBe('LAST_OWNER');
    await bob.ask({ join_room: { room: name } });
    expect(await code(bob.ask(role('bob', 'ROLE_MODERATOR'), id))).toBe('ROLE_TOO_LOW');
    expect(await code(bob.ask({ remove_member: { user: 'ann' } }, id))).toBe('ROLE_TOO_LOW');
    expect(await http('PUT', `/rooms/${id}/members/ann`, bobToken, { role: 'member' })).toMatchObject([
      403,
      { code: 'ROLE_TOO_LOW' },
    ]);
    expect(await code(ann.ask({ set_role: { user: 'bob' } }, id))).toBe('ARGUMENT_INVALID');
    expect(await ann.ask(role('ann', 'ROLE_MEMBER'), id)).toMatchObject({ done: {} });
    const owns = ({ key, role: as }: Frame) => key === id && as === 'ROLE_OWNER';
    expect(await ann.next('MEMBERS_CHANGED', owns)).toMatchObject({ name: 'bob', by: '' });
    expect(await code(ann.ask({ delete_room: {} }, id))).toBe('ROLE_TOO_LOW');
    expect(await bob.ask({ remove_member: { user: 'ann' } }, id)).toMatchObject({ done: {} });
  });
});

describe('direct conversations', () => {
  test('opening one: is not announced to the other user; list_conversations has it, a sync only once it has a message', async () => {
    const { id } = await roomOf(ann, []);
    const carol = await newUser(system, 'carol');
    await using other = await WireClient.hello(system, carol);
    const opened = conversation(await ann.ask({ open_direct: { user_name: 'carol' } }));
    const direct = opened['id'] as string;
    expect(opened).toMatchObject({ kind: 'CONVERSATION_KIND_DIRECT', name: 'carol', last_seq: '0' });
    expect(seqsOf(await other.ask({ sync: {} }), direct)).toBeUndefined();
    const list = (await other.ask({ list_conversations: {} }))['conversations'] as Frame;
    expect(list['conversations']).toEqual([expect.objectContaining({ id: direct, name: 'ann' })]);
    expect(other.frames).toEqual([]);
    await ann.say(direct, 'hello');
    expect(await other.next('MESSAGE')).toMatchObject({ key: direct, seq: '1' });
    expect(seqsOf(await other.ask({ sync: {} }), direct)).toEqual([1]);
    expect(conversation(await other.ask({ open_direct: { user_name: 'ann' } }))['id']).toBe(direct);
    expect(seqsOf(await ann.ask({ sync: {} }), id)).toEqual([]);
  });

  test('membership: nobody can leave, delete or join one, or remove its other member', async () => {
    const { id } = conversation(await ann.ask({ open_direct: { user_name: 'bob' } }));
    for (const call of [{ leave_room: {} }, { delete_room: {} }, { remove_member: { user: 'bob' } }])
      expect(await ann.ask(call, id as string)).toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect(await ann.ask({ join_room: { room: id } })).toMatchObject({ code: 'ARGUMENT_INVALID' });
    await using stranger = await WireClient.hello(system, await newUser(system, 'stranger'));
    expect(await stranger.ask({ leave_room: {} }, id as string)).toMatchObject({ code: 'ROOM_NOT_FOUND' });
  });

  test('with oneself: has one member, and the other devices get the messages', async () => {
    await using phone = await WireClient.hello(system, annToken, { device: 'phone' });
    const { id, name } = conversation(await ann.ask({ open_direct: { user_name: 'ann' } }));
    expect(name).toBe('ann');
    expect(await ann.say(id, 'note')).toMatchObject({ type: 'SENT' });
    expect(await phone.next('MESSAGE')).toMatchObject({ key: id, text: 'note', from: 'ann' });
    expect((await ann.ask({ get_members: {} }, id as string))['members']).toMatchObject({
      members: [{ name: 'ann', online: true }],
    });
  });

  test("TYPING: goes to the other member, not to the user's own devices", async () => {
    await using phone = await WireClient.hello(system, annToken, { device: 'phone' });
    const { id } = conversation(await ann.ask({ open_direct: { user_name: 'bob' } }));
    repeat(() => ann.send({ type: 'TYPING', key: id }));
    expect(await bob.next('TYPING')).toMatchObject({ key: id, name: 'ann', stopped: false });
    await ann.say(id, 'typed');
    await phone.next('MESSAGE');
    for (const own of [ann, phone]) expect(own.frames.filter(({ type }) => type === 'TYPING')).toEqual([]);
  });
});

describe('numbers out of range', () => {
  const BEYOND_INT64 = '9223372036854775808';
  const BEYOND_SAFE = '9007199254740992';

  test('an id that no conversation can have: NOT_A_MEMBER, ROOM_NOT_FOUND, or ARGUMENT_INVALID among cursors', async () => {
    await using client = await WireClient.hello(system, bobToken);
    for (const key of ['0', BEYOND_INT64, '18446744073709551615']) {
      for (const call of ['get_history', 'get_members', 'get_conversation'])
        expect(await client.ask({ [call]: {} }, key)).toMatchObject({ code: 'NOT_A_MEMBER' });
      for (const call of ['leave_room', 'delete_room'])
        expect(await client.ask({ [call]: {} }, key)).toMatchObject({ code: 'ROOM_NOT_FOUND' });
      for (const list of ['cursors', 'pushed'])
        expect(await client.ask({ sync: { [list]: [{ conversation: key }] } })).toMatchObject({
          code: 'ARGUMENT_INVALID',
        });
      expect(await client.say(key, 'x')).toMatchObject({ code: 'NOT_A_MEMBER' });
    }
    expect(await client.ask({ join_room: { room: '99999999999999999999' } })).toMatchObject({
      code: 'ROOM_NOT_FOUND',
    });
  });

  test('a limit or a seq beyond its bound: ARGUMENT_INVALID', async () => {
    const { id } = await roomOf(ann, ['a']);
    const calls = [
      { sync: { limit: 1001 } },
      { sync: { cursors: [{ conversation: id, seq: BEYOND_SAFE }] } },
      { list_rooms: { limit: 201 } },
      { get_history: { limit: 201 } },
      { get_history: { at: { before_seq: BEYOND_SAFE } } },
      { get_members: { limit: 1001 } },
      { list_conversations: { limit: 501 } },
      { get_users: { users: Array.from({ length: 201 }, (_, i) => String(i + 1)) } },
      {
        sync: {
          cursors: Array.from({ length: 1001 }, (_, i) => ({ conversation: String(i + 1), seq: '1' })),
        },
      },
      ...['list_rooms', 'list_conversations', 'get_members', 'list_pins'].map((list) => ({
        [list]: { after: 'nonsense' },
      })),
    ];
    for (const call of calls) expect(await ann.ask(call, id)).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test('a seq beyond the last message: history begins at the newest, a sync has nothing', async () => {
    const { id } = await roomOf(ann, ['a', 'b', 'c']);
    expect(historyOf(await ann.ask({ get_history: { at: { before_seq: '1000' }, limit: 2 } }, id))).toEqual({
      seqs: [2, 3],
      more: true,
    });
    expect(historyOf(await ann.ask({ get_history: { at: { before_seq: '1' } } }, id))).toEqual({
      seqs: [],
      more: false,
    });
    expect(
      seqsOf(await ann.ask({ sync: { cursors: [{ conversation: id, seq: '1000' }] } }), id),
    ).toBeUndefined();
  });
});

describe('rooms over HTTP', () => {
  test('create, join, read, leave, delete: creator and new member get MEMBERS_CHANGED on their connections', async () => {
    const [created, room] = await http('POST', '/rooms', annToken, { name: 'http' });
    const id = room['id'] as string;
    expect(created).toBe(201);
    expect(await ann.next('MEMBERS_CHANGED', ({ key }) => key === id)).toMatchObject({ name: 'ann' });
    expect(await http('POST', `/rooms/${id}/join`, bobToken)).toMatchObject([200, { id, last_seq: 1 }]);
    expect(await bob.next('MEMBERS_CHANGED', ({ key }) => key === id)).toMatchObject({ name: 'bob' });
    await ann.say(id, 'hello');
    expect(await http('GET', `/rooms/${id}/messages`, bobToken)).toMatchObject([
      200,
      { messages: expect.arrayContaining([expect.objectContaining({ seq: 2, text: 'hello' })]) as unknown },
    ]);
    expect(await http('POST', `/rooms/${id}/leave`, bobToken)).toEqual([200, { status: 'ok' }]);
    expect(await http('DELETE', `/rooms/${id}`, annToken)).toEqual([200, { status: 'ok' }]);
    expect(await ann.next('MEMBERS_CHANGED', ({ key, user }) => key === id && user === '0')).toMatchObject({
      change: 'MEMBER_CHANGE_DELETED',
    });
  });

  test('ids: a room is joined by its id, not its name; a direct conversation can be read by its id', async () => {
    const { name } = await roomOf(ann, []);
    expect(await http('POST', `/rooms/${name}/join`, bobToken)).toMatchObject([
      400,
      { code: 'ARGUMENT_INVALID' },
    ]);
    const { id } = conversation(await ann.ask({ open_direct: { user_name: 'bob' } }));
    expect(await http('GET', `/rooms/${id as string}`, annToken)).toMatchObject([200, { id, name: 'bob' }]);
    expect(await http('POST', `/rooms/${id as string}/leave`, annToken)).toMatchObject([
      400,
      { code: 'ARGUMENT_INVALID' },
    ]);
  });
});
