import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { CATALOGUE } from '../../common/mod.ts';
import { encodeFrame, FrameType } from '../../proto/mod.ts';
import { within } from '../../test/harness/eventually.ts';
import { TestClock } from '../../test/harness/test-clock.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';
import { WS_PROTO } from '../accept/listener-ws.ts';

describe('WebSocket', () => {
  let tokens: TokenMaker;
  let state: FakeState;

  beforeAll(async () => {
    tokens = await TokenMaker.make();
    state = await FakeState.start();
  });

  beforeEach(() => {
    state.frames.length = 0;
  });

  afterAll(async () => {
    await state.stop();
  });

  test('a login and a ping: as on TCP', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    expect(await client.login(await tokens.token(3n))).toMatchObject({ user: 3n });
    client.write(encodeFrame(FrameType.PING, 5, 0n));
    expect((await client.next(FrameType.PONG)).ref).toBe(5);
    expect(node.node.stats.connections).toEqual({ tcp: 0, ws: 1 });
  });

  test.each([0, 80, 109, 110, 200, 65_000, 65_519, 65_520, 70_000])(
    'a payload of %i bytes: arrives whole',
    async (length) => {
      await using node = await TestNode.start(tokens, [state]);
      const client = await node.ws();
      await client.login(await tokens.token(3n));
      const payload = new Uint8Array(length).map((_, i) => i);
      for (const stream of state.streams)
        stream.deliver([...stream.attached.keys()], encodeFrame(FrameType.MESSAGE, 0, 1n, payload));
      const message = await client.next(FrameType.MESSAGE);
      expect(Buffer.from(message.payload).equals(payload)).toBe(true);
    },
  );

  test('several frames of a tick: one binary message', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    await client.login(await tokens.token(3n));
    const sizes: number[] = [];
    (client.socket as WebSocket).on('message', (data: Buffer) => sizes.push(data.length));
    const frame = encodeFrame(FrameType.MESSAGE, 0, 1n);
    for (const stream of state.streams)
      for (let i = 0; i < 3; i++) stream.deliver([...stream.attached.keys()], frame);
    for (let i = 0; i < 3; i++) await client.next(FrameType.MESSAGE);
    expect(sizes).toEqual([3 * frame.length]);
  });

  test.each([1000, 1001])('a close frame with %i, then a reset: an orderly end', async (status) => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    await client.login(await tokens.token(3n));
    const socket = client.socket as WebSocket;
    socket.close(status);
    // At once, as a page that is left does while messages are still coming.
    const { _socket: raw } = socket as unknown as { readonly _socket: Socket };
    raw.resetAndDestroy();
    await expect.poll(() => node.node.size).toBe(0);
    expect(node.node.stats.disconnects).toEqual({ PEER_GONE: 1 });
  });

  test("CLOSE: carries the code, and the status is the catalogue's", async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    client.hello('nonsense');
    expect((await client.nextClose()).code).toBe('TOKEN_INVALID');
    expect(await client.closed).toBe(CATALOGUE.TOKEN_INVALID.close);
  });

  test("the client's CLOSE: ends with status 1000", async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    await client.login(await tokens.token(3n));
    client.write(encodeFrame(FrameType.CLOSE, 0, 0n));
    expect(await client.closed).toBe(1000);
    await expect.poll(() => node.node.stats.disconnects).toEqual({ CLIENT_GOODBYE: 1 });
  });

  const frame = encodeFrame(FrameType.PING, 1, 0n);
  test.each([
    ['two frames in a message', Buffer.concat([frame, frame])],
    ['a message that is longer than its frame', Buffer.concat([frame, Buffer.alloc(1)])],
    ['text', 'hello'],
  ])('%s: NACK, and the connection lives', async (_, data) => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    await client.login(await tokens.token(3n));
    (client.socket as WebSocket).send(data);
    expect((await client.nextNack(0)).code).toBe('FRAME_INVALID');
    client.write(frame);
    await client.next(FrameType.PONG);
  });

  test.each([
    ['text first', 'hello', 'HELLO_EXPECTED'],
    ['an empty message', Buffer.alloc(0), 'FRAME_TOO_SHORT'],
    ['a large first message', Buffer.alloc(5000), 'FRAME_TOO_LARGE'],
  ])('%s: CLOSE', async (_, data, code) => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    (client.socket as WebSocket).send(data);
    expect((await client.nextClose()).code).toBe(code);
  });

  test('a message far beyond the limit: cut with status 1009 before it is buffered', async () => {
    await using node = await TestNode.start(tokens, [state], { maxFrameBytes: 5000 });
    const client = await node.ws();
    await client.login(await tokens.token(3n));
    client.write(new Uint8Array(20_000));
    expect(await client.closed).toBe(1009);
    await expect.poll(() => node.node.size).toBe(0);
  });

  test('silence: HELLO_TIMEOUT', async () => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.ws();
    expect((await clock.until(client.nextClose())).code).toBe('HELLO_TIMEOUT');
    expect(await client.closed).toBe(CATALOGUE.HELLO_TIMEOUT.close);
  });

  test('half an upgrade request, then silence: the socket is closed', async () => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state]);
    const socket = connect(Number(node.wsAddress.split(':')[1]), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
    const closed = new Promise((resolve) => socket.on('close', resolve).resume());
    await within('the end of the socket', clock.until(closed));
    expect(node.node.size).toBe(0);
  });

  test('another subprotocol, another path, a room without a token: refused with the reason', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const url = `ws://${node.wsAddress}`;
    for (const [where, protocols, status] of [
      [`${url}/ws?room_id=5`, [], 400],
      [url, ['gochat.v9.proto'], 400],
      [`${url}/elsewhere`, [WS_PROTO], 404],
    ] as const) {
      const socket = new WebSocket(where, [...protocols]);
      const refused = await new Promise<number | undefined>((resolve) => {
        socket.on('unexpected-response', (request, response) => {
          resolve(response.statusCode);
          request.destroy();
        });
        socket.on('error', () => {});
      });
      expect(refused).toBe(status);
    }
  });

  test('a plain HTTP request: 426', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const status = await new Promise((resolve, reject) => {
      get(`http://${node.wsAddress}/`, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
    expect(status).toBe(426);
  });

  test('a client that offers ours among other subprotocols: gets ours', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const socket = new WebSocket(`ws://${node.wsAddress}/ws?x=1`, ['gochat.v9.proto', WS_PROTO]);
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    expect(socket.protocol).toBe(WS_PROTO);
    expect(socket.extensions).toBe('');
    socket.terminate();
  });
});
