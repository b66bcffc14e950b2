/** Tests of docs/protocol.md on frames: on each wire, refs, refusals, the room of HELLO. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../harness/eventually.ts';
import { conversation, historyOf, roomOf, seqsOf } from './answers.ts';
import { logIn, newUser, startSystem, type System } from './system.ts';
import { encode, type Frame, repeat, WIRES, WireClient } from './wire-client.ts';

let system: System;
/** Tokens of users that all tests share; each test makes rooms of its own. */
let annToken: string;
let bobToken: string;
let ann: WireClient;

beforeAll(async () => {
  // Longer than any test: the connections that are shared send no PING.
  system = await startSystem(['--heartbeat-interval-ms', '600000']);
  [annToken, bobToken] = [await newUser(system, 'ann'), await newUser(system, 'bob')];
  ann = await WireClient.hello(system, annToken);
});

afterAll(() => system[Symbol.asyncDispose]());

async function logOut(token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  expect((await fetch(`${system.api}/auth/logout`, { method: 'POST', headers })).status).toBe(200);
}

describe.each(WIRES)('on %s', (wire) => {
  test('a session: HELLO, send, receive, sync, CLOSE', async () => {
    await using client = await WireClient.hello(system, bobToken, { wire });
    expect(client.welcome).toMatchObject({
      version: 2,
      user_name: 'bob',
      display_name: 'bob',
      max_frame_bytes: 262_144,
    });
    expect(Number(client.welcome['token_expires_at_ms'])).toBeGreaterThan(Date.now());
    const { id, name } = await roomOf(ann, ['before']);
    conversation(await client.ask({ join_room: { room: name } }));
    expect(await client.say(id, 'from bob')).toMatchObject({
      type: 'SENT',
      key: id,
      seq: '3',
      duplicate: false,
    });
    await ann.say(id, 'from ann');
    expect(await client.next('MESSAGE', ({ key, text }) => key === id && text === 'from ann')).toMatchObject({
      seq: '4',
      from: 'ann',
    });
    expect(seqsOf(await client.ask({ sync: { cursors: [{ conversation: id, seq: '1' }] } }), id)).toEqual([
      2, 3, 4,
    ]);
    client.send({ type: 'CLOSE', code: 'CLIENT_GOODBYE' });
    expect(await client.ended()).toBe(wire === 'tcp' ? 0 : 1000);
  });

  test('ref 0: is answered like any other, with ref 0', async () => {
    await using client = await WireClient.hello(system, annToken, { wire });
    const { id } = await roomOf(ann, []);
    client.send({ type: 'REQUEST', get_conversation: {}, key: id });
    expect(await client.answer(0)).toMatchObject({ type: 'RESPONSE' });
    client.send({ type: 'SEND', key: id, client_msg_id: 'zero', text: 'x' });
    const sent = await client.next('SENT');
    expect([sent['ref'] ?? 0, sent['client_msg_id']]).toEqual([0, 'zero']);
    client.send({ type: 'PING' });
    expect((await client.next('PONG'))['ref'] ?? 0).toBe(0);
  });

  test('PING: PONG has its ref', async () => {
    await using client = await WireClient.hello(system, bobToken, { wire });
    client.send({ type: 'PING', ref: 65_535 });
    expect(await client.next('PONG')).toMatchObject({ ref: 65_535 });
  });

  test('frames between HELLO and WELCOME: end the connection', async () => {
    // Where WELCOME was sent before the PING came, PONG follows: once more.
    await eventually('a PING between HELLO and WELCOME', async () => {
      await using client = await WireClient.open(system, wire);
      client.send({ type: 'HELLO', version_min: 2, version_max: 2, token: annToken });
      client.send({ type: 'PING' });
      await eventually('CLOSE or PONG', () =>
        client.frames.some(({ type }) => type === 'CLOSE' || type === 'PONG'),
      );
      return client.frames.some(({ code, retryable }) => code === 'HELLO_EXPECTED' && retryable === false);
    });
  });
});

describe('a connection', () => {
  test('version 1: VERSION_UNSUPPORTED, which names version 2', async () => {
    await using client = await WireClient.open(system, 'tcp');
    client.send({ type: 'HELLO', version_min: 1, version_max: 1, token: annToken });
    const { code, reason, retryable } = await client.next('CLOSE');
    expect([code, retryable]).toEqual(['VERSION_UNSUPPORTED', false]);
    expect(reason).toContain('the server 2');
  });

  test.each([[['gochat.v1.json']], [['gochat.v1.json', 'gochat.v1.proto']]])(
    'a WebSocket that offers the subprotocols %j: HTTP 400, with a code in JSON',
    async (offered) => {
      for (const target of ['/ws', `/ws?token=${annToken}`]) {
        const answer = await new Promise<string>((resolve, reject) => {
          const socket = new WebSocket(`ws://${system.ws}${target}`, offered);
          socket.on('error', () => undefined);
          socket.on('open', () => reject(new Error('it was opened')));
          socket.on('unexpected-response', (_, response) => {
            let body = '';
            response.on('data', (chunk) => (body += String(chunk)));
            response.on('end', () => resolve(`${response.statusCode} ${body}`));
          });
        });
        expect(answer).toMatch(/^400 \{.*"code":"SUBPROTOCOL_MISSING"/);
      }
    },
  );

  test.each(WIRES)(
    'AUTH on %s: a newer token lives longer; NACK for what is not one of the user',
    async (wire) => {
      await using client = await WireClient.hello(system, annToken, { wire });
      const expires = BigInt(client.welcome['token_expires_at_ms'] as string);
      client.send({ type: 'AUTH', ref: 5, token: await logIn(system, 'ann') });
      const authed = await client.next('AUTHED');
      expect(authed).toMatchObject({ ref: 5 });
      expect(BigInt(authed['token_expires_at_ms'] as string)).toBeGreaterThanOrEqual(expires);
      for (const token of [bobToken, 'nonsense']) {
        client.send({ type: 'AUTH', ref: 6, token });
        expect(await client.next('NACK')).toMatchObject({ ref: 6, code: 'TOKEN_INVALID', client_msg_id: '' });
      }
      client.send({ type: 'PING', ref: 7 });
      expect(await client.next('PONG')).toMatchObject({ ref: 7 });
    },
  );

  test('logout with the newest token: ends the connection, and not with the one before', async () => {
    const cid = await newUser(system, 'cid');
    await using client = await WireClient.hello(system, cid);
    const newer = await logIn(system, 'cid');
    client.send({ type: 'AUTH', ref: 1, token: newer });
    await client.next('AUTHED');
    await logOut(cid);
    client.send({ type: 'PING', ref: 2 });
    await client.next('PONG');
    await logOut(newer);
    expect(await client.next('CLOSE')).toMatchObject({ code: 'LOGGED_OUT', retryable: false });
  });
});

describe('frames and messages', () => {
  test('a message of gochat.v2.proto with two frames is refused as a whole, by a NACK with ref and key 0', async () => {
    await using client = await WireClient.hello(system, annToken, { wire: 'gochat.v2.proto' });
    const pings = [1, 2].map((ref) => encode({ type: 'PING', ref }));
    client.sendRaw(Buffer.concat(pings));
    const { code, ref = 0, key = 0 } = await client.next('NACK');
    expect([code, ref, key]).toEqual(['FRAME_INVALID', 0, 0]);
    client.sendRaw(pings[1] as Uint8Array);
    expect(await client.next('PONG')).toMatchObject({ ref: 2 });
    expect(client.frames).toEqual([]);
  });

  test('a message of gochat.v2.json with a list of frames, or two of them, is refused as JSON_INVALID', async () => {
    const ping = '{"type":"PING","ref":1}';
    await using client = await WireClient.hello(system, annToken);
    for (const message of [`[${ping},${ping}]`, ping + ping, '']) {
      client.sendRaw(message);
      expect(await client.next('NACK')).toMatchObject({ code: 'JSON_INVALID', retryable: false });
    }
    client.sendRaw(ping);
    expect(await client.next('PONG')).toMatchObject({ ref: 1 });
    expect(client.frames).toEqual([]);
  });

  test('TCP: frames may be split and joined at any byte', async () => {
    await using client = await WireClient.hello(system, annToken, { wire: 'tcp' });
    const bytes = Buffer.concat([1, 2, 3].map((ref) => encode({ type: 'PING', ref })));
    for (const part of [bytes.subarray(0, 3), bytes.subarray(3, 30), bytes.subarray(30)])
      client.sendRaw(part);
    for (const ref of [1, 2, 3]) expect(await client.next('PONG')).toMatchObject({ ref });
  });

  test('WebSocket: a ping is answered by a pong with its data', async () => {
    await using client = await WireClient.hello(system, annToken);
    const pong = new Promise((resolve) =>
      client.webSocket?.once('pong', (data: Buffer) => resolve(data.toString())),
    );
    // One that comes while the account is over its rate is not answered.
    repeat(() => client.webSocket?.ping('hey'));
    expect(await pong).toBe('hey');
  });
});

describe('NACK', () => {
  test('for a REQUEST: has its ref and key, and no client_msg_id', async () => {
    expect(await ann.ask({ get_members: {} }, '12345')).toMatchObject({
      type: 'NACK',
      key: '12345',
      code: 'NOT_A_MEMBER',
      client_msg_id: '',
    });
  });

  test('for a SEND whose client_msg_id could not be read: has only its ref', async () => {
    await using client = await WireClient.hello(system, annToken);
    const { id } = await roomOf(ann, []);
    const refusals: readonly [Frame, string][] = [
      [{ client_msg_id: '', text: 'x' }, 'CLIENT_MSG_ID_INVALID'],
      [{ client_msg_id: 'x'.repeat(65), text: 'x' }, 'CLIENT_MSG_ID_INVALID'],
      [{ client_msg_id: 5, text: 'x' }, 'JSON_INVALID'],
    ];
    for (const [fields, code] of refusals) {
      client.send({ type: 'SEND', ref: 77, key: id, ...fields });
      expect(await client.next('NACK')).toMatchObject({ ref: 77, key: id, code, client_msg_id: '' });
    }
    expect(await client.say(id, '', 'known')).toMatchObject({ code: 'TEXT_EMPTY', client_msg_id: 'known' });
    client.send({ type: 'SEND', ref: 78, key: id, client_msg_id: 'known', text: 5 });
    expect(await client.next('NACK')).toMatchObject({
      ref: 78,
      key: id,
      code: 'JSON_INVALID',
      client_msg_id: 'known',
    });
  });

  test('for RECEIPTS, and for a type that clients do not send: has their ref', async () => {
    await using client = await WireClient.hello(system, annToken);
    client.send({ type: 'RECEIPTS', ref: 5, receipts: [{ conversation: '0', read_seq: '1' }] });
    expect(await client.next('NACK')).toMatchObject({ ref: 5, code: 'ARGUMENT_INVALID' });
    for (const type of ['HELLO', 'WELCOME', 'NEXT']) {
      client.send({ type, ref: 6 });
      expect(await client.next('NACK')).toMatchObject({ ref: 6, code: 'FRAME_UNKNOWN' });
    }
  });

  test('for a SEND by a non-member: is the answer also after joining; another id is accepted', async () => {
    await using client = await WireClient.hello(system, bobToken);
    const { id, name } = await roomOf(ann, []);
    const refused = { code: 'NOT_A_MEMBER', retryable: false };
    expect(await client.say(id, 'a', 'early')).toMatchObject(refused);
    await client.ask({ join_room: { room: name } });
    expect(await client.say(id, 'a', 'early')).toMatchObject(refused);
    expect(await client.say(id, 'a', 'new')).toMatchObject({ type: 'SENT', duplicate: false });
  });
});

describe('a room in HELLO', () => {
  test('default room: SEND, TYPING, get_history, get_members and list_pins without a key go there, and no other frame', async () => {
    const { id, name } = await roomOf(ann, ['a']);
    await using client = await WireClient.hello(system, bobToken, { room: name });
    expect(client.welcome['conversation']).toMatchObject({ id, name, last_seq: '2', role: 'ROLE_MEMBER' });
    expect(await client.say('0', 'b')).toMatchObject({ type: 'SENT', key: id, seq: '3' });
    expect(historyOf(await client.ask({ get_history: {} })).seqs).toEqual([1, 2, 3]);
    expect(await client.ask({ get_members: {} })).toMatchObject({ key: id, members: {} });
    expect(await client.ask({ list_pins: {} })).toMatchObject({ key: id, pins: {} });
    repeat(() => client.send({ type: 'TYPING' }));
    expect(await ann.next('TYPING', ({ key }) => key === id)).toMatchObject({ name: 'bob' });
    expect(await client.ask({ get_conversation: {} })).toMatchObject({ code: 'NOT_A_MEMBER' });
    expect(await client.ask({ leave_room: {} })).toMatchObject({ code: 'ROOM_NOT_FOUND' });
  });
});
