import pino from 'pino';
import type { WebSocket as WsWebSocket } from 'ws';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CATALOGUE } from '../../common/mod.ts';
import { client as wire, encodeFrame, FrameType } from '../../proto/mod.ts';
import { JsonClient } from '../testing/test-json-client.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';

let tokens: TokenMaker;
let state: FakeState;

beforeAll(async () => {
  tokens = await TokenMaker.make();
  state = await FakeState.start();
});

beforeEach(() => {
  state.answersJoin = true;
  state.frames.length = 0;
});

afterAll(async () => {
  await state.stop();
});

async function open(node: TestNode, ...target: [string?, string[]?]): Promise<JsonClient> {
  const client = await JsonClient.open(node.wsAddress, ...target);
  node.clients.push(client);
  return client;
}

/** Hands a frame to all connections, from every stream. */
function deliver(...frames: Uint8Array[]): void {
  for (const stream of state.streams)
    for (const frame of frames) stream.deliver([...stream.attached.keys()], frame);
}

describe('JSON', () => {
  test('a login, a message and a ping', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node);
    expect(client.socket.protocol).toBe('gochat.v2.json');
    expect(await client.login(await tokens.token(3n))).toMatchObject({
      user: '3',
      user_name: 'user-3',
      version: 2,
      resumed: false,
      connection: expect.stringMatching(/^\d+$/) as string,
    });
    client.send({ type: 'SEND', ref: 9, key: '18446744073709551615', client_msg_id: 'm1', text: 'Grüße 👋' });
    expect(await client.next('SENT')).toMatchObject({
      ref: 9,
      key: '18446744073709551615',
      client_msg_id: 'm1',
      duplicate: false,
    });
    client.send({ type: 'PING', ref: 5 });
    expect(await client.next('PONG')).toEqual({ type: 'PONG', ref: 5 });
    expect(node.node.stats.connections).toEqual({ tcp: 0, ws: 1 });
    client.send({ type: 'CLOSE' });
    expect(await client.closed).toBe(1000);
  });

  test('TCP, WebSocket with protobuf and with JSON: all read each other', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const [tcp, ws, json] = [await node.tcp(), await node.ws(), await open(node)];
    await tcp.login(await tokens.token(1n));
    await ws.login(await tokens.token(2n));
    await json.login(await tokens.token(3n));
    tcp.send(1, 42n, 'from TCP');
    expect((await ws.nextMessage()).text).toBe('from TCP');
    expect(await json.next('MESSAGE')).toMatchObject({ key: '42', text: 'from TCP', from: 'user-1' });
    json.send({ type: 'SEND', ref: 1, key: '42', client_msg_id: 'a', text: 'from JSON' });
    for (const client of [tcp, ws])
      expect(await client.nextMessage()).toMatchObject({ text: 'from JSON', sender: 3n });
    ws.send(1, 42n, 'from WebSocket');
    expect((await tcp.nextMessage()).text).toBe('from WebSocket');
    expect(await json.next('MESSAGE')).toMatchObject({ text: 'from WebSocket', sender: '2' });
  });

  test.each([0, 60, 125, 126, 200, 65_400, 65_535, 70_000])(
    'a text of %i characters: arrives whole',
    async (length) => {
      await using node = await TestNode.start(tokens, [state]);
      const client = await open(node);
      await client.login(await tokens.token(3n));
      const message = wire.Message.fromPartial({ seq: 1n, text: 'ü'.repeat(length) });
      deliver(encodeFrame(FrameType.MESSAGE, 0, 1n, wire.Message.encode(message).finish()));
      expect((await client.next('MESSAGE'))['text']).toBe(message.text);
    },
  );

  test('several frames of a tick: a message each, in order', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node);
    await client.login(await tokens.token(3n));
    const frames = [1n, 2n, 3n].map((seq) =>
      encodeFrame(FrameType.MESSAGE, 0, 1n, wire.Message.encode(wire.Message.fromPartial({ seq })).finish()),
    );
    deliver(...frames);
    await client.next('MESSAGE', ({ seq }) => seq === '3');
    expect(client.received.map(({ seq }) => seq)).toEqual(['1', '2']);
  });

  test.each([
    ['no JSON', 'hello', 'JSON_INVALID', undefined],
    [
      'a wrong field',
      '{"type":"SEND","ref":7,"key":"5","client_msg_id":"a","text":1}',
      'JSON_INVALID',
      7,
      'a',
    ],
    ['an id that is none', '{"type":"SEND","ref":7,"key":"5","client_msg_id":{}}', 'JSON_INVALID', 7],
    ['an unknown type', '{"type":"SHOUT","ref":8}', 'FRAME_UNKNOWN', 8],
    ["a server's type", '{"type":"WELCOME","ref":9}', 'FRAME_UNKNOWN', 9],
    ['binary', Uint8Array.of(1, 2, 3), 'JSON_INVALID', undefined],
  ])('%s: NACK, and the connection lives', async (_, data, code, ref, clientMsgId = '') => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node);
    await client.login(await tokens.token(3n));
    client.socket.send(data);
    const nack = await client.next('NACK');
    expect(nack).toMatchObject({ code, retryable: false, client_msg_id: clientMsgId });
    expect(nack['ref']).toBe(ref);
    client.send({ type: 'PING' });
    await client.next('PONG');
  });

  test.each([
    ['no JSON first', 'hello', 'JSON_INVALID'],
    ['something else first', '{"type":"PING"}', 'HELLO_EXPECTED'],
    ['an unknown type first', '{"type":"HI"}', 'HELLO_EXPECTED'],
    ['a large HELLO', JSON.stringify({ type: 'HELLO', token: 'x'.repeat(5000) }), 'FRAME_TOO_LARGE'],
  ] as const)('%s: CLOSE', async (_, data, code) => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node);
    client.socket.send(data);
    expect(await client.next('CLOSE')).toMatchObject({ code });
    expect(await client.closed).toBe(CATALOGUE[code].close);
  });

  test('text that is not UTF-8: the socket is closed with status 1007', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws(['gochat.v2.json']);
    (client.socket as WsWebSocket).send(Uint8Array.of(0xff), { binary: false });
    expect(await client.closed).toBe(1007);
  });

  test('a frame of a newer server: its type as a number', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node);
    await client.login(await tokens.token(3n));
    deliver(encodeFrame(99 as FrameType, 1, 2n, Uint8Array.of(1)));
    await expect.poll(() => client.received).toEqual([{ type: 99, ref: 1, key: '2' }]);
  });
});

describe('the query form', () => {
  test('token and room: WELCOME and the room come by themselves', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node, `/ws?token=${await tokens.token(3n)}&room_id=4711`);
    // At once: it is read when the room is joined.
    client.send({ type: 'SEND', ref: 1, client_msg_id: 'a', text: 'hi' });
    expect(await client.next('WELCOME')).toMatchObject({
      user: '3',
      conversation: { id: '4711', last_seq: '9' },
    });
    expect(await client.next('SENT')).toMatchObject({ ref: 1, key: '4711', client_msg_id: 'a' });
    expect(state.frames.map(({ type }) => type)).toEqual([FrameType.REQUEST, FrameType.SEND]);
  });

  test('with protobuf: the same; a key in the frame wins', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws(
      ['gochat.v2.proto'],
      `/?token=${await tokens.token(3n)}&room_id=5&device=tab`,
    );
    const welcome = wire.Welcome.decode((await client.next(FrameType.WELCOME)).payload);
    expect(welcome).toMatchObject({ conversation: { id: 5n }, device: 'tab' });
    client.send(1, 0n, 'to the room');
    client.send(2, 6n, 'elsewhere');
    expect((await client.next(FrameType.SENT)).key).toBe(5n);
    expect((await client.next(FrameType.SENT)).key).toBe(6n);
  });

  test('requests without a key: go to the default room if they are about a conversation', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node, `/ws?token=${await tokens.token(3n)}&room_id=5`);
    for (const call of ['get_history', 'get_members', 'list_pins', 'list_conversations', 'sync'])
      client.send({ type: 'REQUEST', ref: 1, [call]: {} });
    client.send({ type: 'PING' });
    await client.next('PONG');
    await expect.poll(() => state.frames.slice(1).map(({ key }) => key)).toEqual([5n, 5n, 5n, 0n, 0n]);
  });

  test('a token without a room: a login', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node, `/ws?token=${await tokens.token(3n)}`);
    const welcome = await client.next('WELCOME');
    expect(welcome).toMatchObject({ user: '3' });
    expect(welcome).not.toHaveProperty('conversation');
  });

  test.each([
    ['a malformed token', '?token=nonsense', 'TOKEN_INVALID'],
    ['an empty token', '?token=', 'TOKEN_INVALID'],
    ['a malformed device name', '?token=x&device=%20', 'DEVICE_INVALID'],
  ] as const)('%s: CLOSE', async (_, query, code) => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node, `/ws${query}`);
    expect(await client.next('CLOSE')).toMatchObject({ code });
    expect(await client.closed).toBe(CATALOGUE[code].close);
  });

  test('a room that does not exist: CLOSE names it', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await open(node, `/ws?token=${await tokens.token(3n)}&room_id=nowhere`);
    expect(await client.next('CLOSE')).toMatchObject({
      code: 'ROOM_NOT_FOUND',
      reason: expect.stringContaining('There is no room nowhere.') as string,
    });
    expect(await client.closed).toBe(CATALOGUE.ROOM_NOT_FOUND.close);
  });

  test('the state node dies while the room is being resolved: another one is asked', async () => {
    await using other = await FakeState.start();
    await using node = await TestNode.start(tokens, [other]);
    other.answersJoin = false;
    const client = await open(node, `/ws?token=${await tokens.token(3n)}&room_id=5`);
    await expect.poll(() => other.frames).toHaveLength(1);
    await node.reach([other, state]);
    await other.crash();
    expect(await client.next('WELCOME')).toMatchObject({ conversation: { id: '5' } });
    expect(state.frames.length).toBeGreaterThan(0);
  });

  test('HELLO with a room on TCP: the same', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    expect(await client.login(await tokens.token(1n), { room: '7' })).toMatchObject({
      conversation: { id: 7n },
    });
    client.send(1, 0n, 'hi');
    expect((await client.next(FrameType.SENT)).key).toBe(7n);
  });

  test('the log: holds neither the token nor the URL, whatever goes wrong', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
    await using node = await TestNode.start(tokens, [state], {}, { logger });
    const token = await tokens.token(3n);
    for (const target of [
      `/ws?token=${token}&room_id=nowhere`,
      `/ws?token=${token}x`,
      `/ws?token=${token}`,
    ]) {
      const client = await open(node, target);
      await Promise.race([client.next('CLOSE'), client.next('WELCOME')]);
    }
    await expect(open(node, `/other?token=${token}`)).rejects.toThrow('no WebSocket');
    await node.node.stop();
    expect(lines.join('\n')).not.toContain(token.slice(0, 20));
  });
});
