import type { Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  client as wire,
  encodeFrame,
  type FrameType,
  FrameType as Type,
  type link,
} from '../../proto/mod.ts';
import { TestClock } from '../../test/harness/test-clock.ts';
import { DEFAULT_LIMITS, MAX_REFUSED, SILENCE_MS } from '../limits.ts';
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
  Object.assign(state, { refuses: '', answersAttach: true, answersLogin: true });
  state.logins.length = 0;
  state.frames.length = 0;
});

afterAll(async () => {
  await state.stop();
});

const KINDS = ['tcp', 'ws'] as const;

/** Bytes of a frame of any type. */
function frameOf(type: number, ref: number, key = 0n, payload = new Uint8Array(0)): Uint8Array {
  return encodeFrame(type as FrameType, ref, key, payload);
}

describe('handshake', () => {
  test('many logins at once: all are accepted', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const clients = await Promise.all(Array.from({ length: 50 }, () => node.tcp()));
    const welcomes = await Promise.all(
      clients.map(async (client, i) => client.login(await tokens.token(BigInt(i + 1)))),
    );
    expect(welcomes.map(({ user }) => user)).toEqual(clients.map((_, i) => BigInt(i + 1)));
  });

  test('a valid HELLO: WELCOME with what the client must know', async () => {
    await using node = await TestNode.start(tokens, [state], { heartbeatIntervalMs: 1234 });
    const client = await node.tcp();
    const welcome = await client.login(await tokens.token(77n, { name: 'ann' }), {
      device: 'phone.1',
      client: `phone\n${'é'.repeat(80)}`,
    });
    expect(welcome).toMatchObject({
      version: 2,
      user: 77n,
      userName: 'ann',
      displayName: 'ann the user',
      conversation: undefined,
      tokenExpiresAtMs: expect.toSatisfy((ms: bigint) => ms > Date.now() + 3_590_000),
      device: 'phone.1',
      gateway: 'gateway-test',
      heartbeatIntervalMs: expect.toSatisfy((ms: number) => ms > 1110 && ms <= 1234),
      maxFrameBytes: 262_144,
      maxTextBytes: 16_384,
      resumed: false,
    });
    expect(welcome.session).toBeGreaterThan(0n);
    expect(welcome.connection >> 53n).toBe(5n);
    expect((welcome.connection >> 45n) & 0xffn).toBe(2n);
    expect(state.logins).toMatchObject([
      {
        user: 77n,
        userName: 'ann',
        device: 'phone.1',
        connection: welcome.connection,
        client: `phone${'?'.repeat(59)}`,
      },
    ]);
    const [stream] = state.streams;
    expect([...(stream?.attached.values() ?? [])]).toMatchObject([
      { user: 77n, userName: 'ann', device: 'phone.1', session: welcome.session, unnamedDevice: false },
    ]);
  });

  test('an unnamed device: gets a name of its own', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const [a, b] = [await node.tcp(), await node.tcp()];
    const names = [await a.login(await tokens.token(1n)), await b.login(await tokens.token(1n))].map(
      ({ device }) => device,
    );
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
    expect(
      [...(state.streams.values().next().value?.attached.values() ?? [])].map((a) => a.unnamedDevice),
    ).toEqual([true, true]);
  });

  test.each([
    [0, 900, 1000],
    [2000, 1800, 2000],
    [100, 225, 250],
    [1_000_000, 3600, 4000],
  ])(
    'a heartbeat interval of %i ms is asked for: granted in bounds, with jitter',
    async (wanted, least, most) => {
      await using node = await TestNode.start(tokens, [state], { heartbeatIntervalMs: 1000 });
      const clients = await Promise.all(Array.from({ length: 5 }, () => node.tcp()));
      const granted = await Promise.all(
        clients.map(async (client, i) => {
          const hello = { heartbeatIntervalMs: wanted };
          return (await client.login(await tokens.token(BigInt(i + 1)), hello)).heartbeatIntervalMs;
        }),
      );
      for (const ms of granted) {
        expect(ms).toBeGreaterThanOrEqual(least);
        expect(ms).toBeLessThanOrEqual(most);
      }
    },
  );

  test('a session to resume: is requested from state, and WELCOME says whether it resumed', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    const welcome = await client.login(await tokens.token(1n), { device: 'd', session: 4711n });
    expect(welcome).toMatchObject({ session: 4711n, resumed: true });
  });

  const bad: [string, (token: string) => Uint8Array, string][] = [
    [
      'a version of the future',
      (token) => hello({ token, versionMin: 3, versionMax: 9 }),
      'VERSION_UNSUPPORTED',
    ],
    ['version 1', (token) => hello({ token, versionMin: 1, versionMax: 1 }), 'VERSION_UNSUPPORTED'],
    ['version 0', (token) => hello({ token, versionMin: 0, versionMax: 0 }), 'VERSION_UNSUPPORTED'],
    ['a bad device name', (token) => hello({ token, device: 'a b' }), 'DEVICE_INVALID'],
    ['a long device name', (token) => hello({ token, device: 'x'.repeat(65) }), 'DEVICE_INVALID'],
    ['no token', () => hello({}), 'TOKEN_INVALID'],
    [
      'a token with a changed signature',
      (token) => hello({ token: `${token.slice(0, -4)}AAAA` }),
      'TOKEN_INVALID',
    ],
    ['another frame first', () => frameOf(Type.PING, 1), 'HELLO_EXPECTED'],
    ['an unknown frame first', () => frameOf(99, 1), 'HELLO_EXPECTED'],
    [
      'a HELLO that does not parse',
      () => frameOf(Type.HELLO, 0, 0n, new Uint8Array([0x0a])),
      'HELLO_EXPECTED',
    ],
    ['a HELLO of 4 KiB', (token) => hello({ token, client: 'x'.repeat(4096) }), 'FRAME_TOO_LARGE'],
    ['an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'FRAME_TOO_LARGE'],
    ['a length of 0', () => new Uint8Array(4), 'FRAME_TOO_SHORT'],
    [
      'a frame after HELLO',
      (token) => Buffer.concat([hello({ token }), frameOf(Type.PING, 1)]),
      'HELLO_EXPECTED',
    ],
  ];
  test.each(bad)('%s: CLOSE with the code, and the socket ends', async (_, bytes, code) => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    client.write(bytes(await tokens.token(1n)));
    const close = await client.nextClose();
    expect(close).toMatchObject({ code, retryable: false, retryAfterMs: 0 });
    expect(close.reason.length).toBeGreaterThan(20);
    await client.closed;
    expect(node.node.stats.disconnects).toEqual({ [code]: 1 });
  });

  test('an expired token: TOKEN_EXPIRED', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    client.hello(await tokens.token(1n, { expiresIn: -60 }));
    expect((await client.nextClose()).code).toBe('TOKEN_EXPIRED');
  });

  test.each([0, 3, 10])('%i bytes and silence: HELLO_TIMEOUT', async (count) => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    client.write(hello({}).subarray(0, count));
    expect(await clock.until(client.nextClose())).toMatchObject({ code: 'HELLO_TIMEOUT', retryable: true });
  });

  test('no state node: STATE_UNAVAILABLE with a time to come back', async () => {
    await using node = await TestNode.start(tokens, []);
    const client = await node.tcp();
    client.hello(await tokens.token(1n));
    const close = await client.nextClose();
    expect(close).toMatchObject({ code: 'STATE_UNAVAILABLE', retryable: true });
    expect(close.retryAfterMs).toBeGreaterThan(0);
  });

  test('state refuses: CLOSE with its code', async () => {
    state.refuses = 'HOT_UNAVAILABLE';
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    client.hello(await tokens.token(1n));
    expect(await client.nextClose()).toMatchObject({ code: 'HOT_UNAVAILABLE', retryable: true });
  });

  test('the node asked for the session ends: another one is asked', async () => {
    await using other = await FakeState.start();
    await using node = await TestNode.start(tokens, [state, other]);
    const asked = [state, other].map((each) => Object.assign(each, { answersLogin: false }));
    const client = await node.tcp();
    client.hello(await tokens.token(1n));
    await expect.poll(() => asked.filter(({ logins }) => logins.length > 0).length).toBe(1);
    const first = asked.find(({ logins }) => logins.length > 0) as FakeState;
    const second = asked.find((each) => each !== first) as FakeState;
    second.answersLogin = true;
    for (const stream of first.streams) stream.stream.close();
    await client.next(Type.WELCOME);
    expect(second.logins).toHaveLength(1);
  });

  test('a silent node: another one is asked, for all of its users, until it sends something', async () => {
    using clock = new TestClock();
    await using other = await FakeState.start();
    await using node = await TestNode.start(tokens, [state, other]);
    for (const each of [state, other]) each.answersLogin = false;
    const token = await tokens.token(1n);
    // Only where a node is silent is the clock moved: the others have their time to answer.
    const login = async () => (await node.tcp()).login(token);
    const client = await node.tcp();
    client.hello(token);
    await expect.poll(() => state.logins.length + other.logins.length).toBe(1);
    const [home, next] = state.logins.length > 0 ? [state, other] : [other, state];
    home.answersAttach = false;
    next.answersLogin = true;
    await clock.until(client.next(Type.WELCOME));
    expect([home, next].map(({ logins }) => logins.length)).toEqual([1, 1]);
    await login();
    expect([home, next].map(({ logins }) => logins.length)).toEqual([1, 2]);
    // Now it answers ATTACH.
    await expect.poll(() => [...home.streams][0]?.attached.size).toBe(2);
    for (const stream of home.streams) stream.attachedAll();
    await clock.until(client.next(Type.RESYNC));
    home.answersLogin = true;
    home.answersAttach = true;
    await login();
    expect([home, next].map(({ logins }) => logins.length)).toEqual([2, 2]);
  });

  test('a silent node and no other: its answer is awaited', async () => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state]);
    state.answersLogin = false;
    const client = await node.tcp();
    client.hello(await tokens.token(1n));
    await expect.poll(() => state.logins.length).toBe(1);
    await clock.advance(3 * SILENCE_MS);
    expect(state.logins).toHaveLength(1);
    state.answersLogin = true;
    for (const stream of state.streams) state.onLogin(stream, state.logins[0] as link.Login);
    await client.next(Type.WELCOME);
  });

  describe('a state node that does not answer', () => {
    /** A client of a gateway with two nodes, and the one of them that did not log it in. */
    async function login(stack: AsyncDisposableStack) {
      const other = stack.use(await FakeState.start());
      const node = stack.use(await TestNode.start(tokens, [state, other]));
      for (const each of [state, other]) each.answersAttach = false;
      const client = await node.tcp();
      await client.login(await tokens.token(1n));
      const [home, frozen] = state.logins.length > 0 ? [state, other] : [other, state];
      return { client, home, stream: [...frozen.streams][0] };
    }

    test('WELCOME is sent without it, and RESYNC once the node knows the connection', async () => {
      await using stack = new AsyncDisposableStack();
      const { client, home, stream } = await login(stack);
      expect([...(stream?.attached.values() ?? [])]).toMatchObject([{ user: 1n }]);
      // What it pushes before it confirms is for all whom it knew.
      stream?.attachedAll();
      await client.next(Type.RESYNC);
      client.send(7, 1n, 'refused until the client has answered');
      expect(await client.nextNack(7)).toMatchObject({ code: 'RESYNC_REQUIRED' });
      // It is told once.
      stream?.attachedAll();
      for (const each of home.streams) each.kick(1, 'KICKED');
      await client.nextClose();
      expect(client.received).toEqual([]);
    });

    test('its stream ends: RESYNC', async () => {
      await using stack = new AsyncDisposableStack();
      const { client, stream } = await login(stack);
      stream?.stream.close();
      await client.next(Type.RESYNC);
    });
  });

  test('every state node knows the connection: WELCOME, and no RESYNC', async () => {
    await using other = await FakeState.start();
    await using node = await TestNode.start(tokens, [state, other]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    for (const each of [state, other]) expect([...each.streams][0]?.attached.size).toBe(1);
    client.write(frameOf(Type.PING, 9));
    await client.next(Type.PONG);
    expect(client.received).toEqual([]);
  });
});

describe('a live connection', () => {
  test('PING: PONG with its ref', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.write(frameOf(Type.PING, 31));
    expect((await client.next(Type.PONG)).ref).toBe(31);
    expect(state.frames).toEqual([]);
  });

  test.each([Type.WELCOME, Type.MESSAGE, Type.HELLO, 0, 200])(
    'frame of type %i: NACK, and the connection stays',
    async (type) => {
      await using node = await TestNode.start(tokens, [state]);
      const client = await node.tcp();
      await client.login(await tokens.token(1n));
      client.write(frameOf(type, 9));
      const nack = await client.nextNack(9);
      expect(nack).toMatchObject({ code: 'FRAME_UNKNOWN', retryable: false });
      expect(nack.message).toContain(`type ${type}`);
      client.write(frameOf(Type.PING, 10));
      await client.next(Type.PONG);
    },
  );

  test('a SEND whose payload does not parse: is passed to state', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.write(frameOf(Type.REQUEST, 3, 0n, new Uint8Array([0xff])));
    client.write(frameOf(Type.RECEIPTS, 0, 0n, new Uint8Array([0xff])));
    await expect.poll(() => state.frames.map(({ type }) => type)).toEqual([Type.REQUEST, Type.RECEIPTS]);
  });

  test('many frames in one write and frames cut anywhere: all arrive in order', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    const frames = Array.from({ length: 50 }, (_, i) => frameOf(Type.REQUEST, i + 1, BigInt(i)));
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length; at += 7) client.write(bytes.subarray(at, at + 7));
    client.write(bytes);
    await expect.poll(() => state.frames.length).toBe(100);
    expect(state.frames.map(({ key }) => Number(key))).toEqual([...Array(50).keys(), ...Array(50).keys()]);
  });

  test('half a frame, then silence: FRAME_TIMEOUT', async () => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.write(frameOf(Type.SEND, 1, 1n, new Uint8Array(100)).subarray(0, 60));
    expect((await clock.until(client.nextClose())).code).toBe('FRAME_TIMEOUT');
  });

  test('a frame that is too large: FRAME_TOO_LARGE before it has arrived', async () => {
    await using node = await TestNode.start(tokens, [state], { maxFrameBytes: 5000 });
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.write(frameOf(Type.REQUEST, 1, 0n, new Uint8Array(5000 - 12)));
    await expect.poll(() => state.frames.length).toBe(1);
    client.write(frameOf(Type.REQUEST, 1, 0n, new Uint8Array(5000 - 11)).subarray(0, 4));
    const close = await client.nextClose();
    expect(close.code).toBe('FRAME_TOO_LARGE');
    expect(close.reason).toContain('5000');
  });

  test.each(KINDS)('silence on %s: HEARTBEAT_TIMEOUT, but not for a client that sends', async (kind) => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state], { heartbeatIntervalMs: 1000 });
    const [silent, lively] = [await node[kind](), await node[kind]()];
    await lively.login(await tokens.token(2n));
    await silent.login(await tokens.token(1n));
    while (!silent.received.some(({ type }) => type === Type.CLOSE)) {
      lively.write(frameOf(Type.PING, 1));
      await lively.next(Type.PONG);
      await clock.advance(500);
    }
    expect((await silent.nextClose()).code).toBe('HEARTBEAT_TIMEOUT');
    expect(lively.received.some(({ type }) => type === Type.CLOSE)).toBe(false);
  });

  test('CLOSE from the client: the socket ends, and state gets DETACH', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.write(frameOf(Type.CLOSE, 0));
    await client.closed;
    await expect.poll(() => [...state.streams][0]?.attached.size).toBe(0);
    expect(node.node.stats.disconnects).toEqual({ CLIENT_GOODBYE: 1 });
    expect(client.received).toEqual([]);
  });

  test('CLOSE from the client after a PING: it still gets PONG, and an orderly end of the stream', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    let error: Error | undefined;
    (client.socket as Socket).on('error', (cause) => (error = cause));
    client.write(Buffer.concat([frameOf(Type.PING, 7), frameOf(Type.CLOSE, 0)]));
    await client.closed;
    expect(error).toBeUndefined();
    expect(client.received.map(({ type, ref }) => [type, ref])).toEqual([[Type.PONG, 7]]);
  });

  test('CLOSE from clients that do not read to the end, in a busy room: counted as CLIENT_GOODBYE', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const clients = await Promise.all(Array.from({ length: 20 }, () => node.tcp()));
    for (const client of clients) await client.login(await tokens.token(1n));
    const [stream] = state.streams;
    const talk = () =>
      stream?.deliver([...stream.attached.keys()], frameOf(Type.MESSAGE, 0, 1n, Buffer.alloc(500)));
    for (const client of clients) {
      // What it has not read makes the kernel answer with a reset.
      (client.socket as Socket).pause();
      talk();
      client.write(frameOf(Type.CLOSE, 0));
      client.destroy();
    }
    await expect.poll(() => node.node.size).toBe(0);
    expect(node.node.stats.disconnects).toEqual({ CLIENT_GOODBYE: 20 });
  });

  test('a reset: state gets DETACH', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    if ('resetAndDestroy' in client.socket) client.socket.resetAndDestroy();
    await expect.poll(() => node.node.stats.disconnects).toEqual({ PEER_RESET: 1 });
    await expect.poll(() => [...state.streams][0]?.attached.size).toBe(0);
    expect(node.node.size).toBe(0);
  });

  test('KICK: CLOSE with its code', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    for (const stream of state.streams)
      for (const conn of stream.attached.keys()) stream.kick(conn, 'SESSION_REPLACED');
    expect(await client.nextClose()).toMatchObject({ code: 'SESSION_REPLACED', retryable: false });
    await client.closed;
    await expect.poll(() => [...state.streams][0]?.attached.size).toBe(0);
  });

  test.each(KINDS)(
    'a client that stops reading on %s: SLOW_CONSUMER, the others get everything',
    async (kind) => {
      using clock = new TestClock();
      await using node = await TestNode.start(tokens, [state], { maxOutboundBytes: 65_536 });
      const [stuck, reader] = [await node[kind](), await node[kind]()];
      await stuck.login(await tokens.token(1n));
      await reader.login(await tokens.token(2n));
      stuck.socket.pause();
      const message = encodeFrame(Type.MESSAGE, 0, 1n, new Uint8Array(100_000));
      const [stream] = state.streams;
      while (node.node.stats.slowClosed === 0) {
        stream?.deliver([...stream.attached.keys()], message);
        await reader.next(Type.MESSAGE);
        await clock.advance(200);
      }
      await expect.poll(() => stream?.attached.size).toBe(1);
      expect(node.node.stats.disconnects).toEqual({ SLOW_CONSUMER: 1 });
    },
  );

  test.each(KINDS)('a client that stops reading on %s for a while: RESYNC once it reads', async (kind) => {
    await using node = await TestNode.start(tokens, [state], {
      maxOutboundBytes: 65_536,
      slowTimeoutMs: 60_000,
    });
    const client = await node[kind]();
    await client.login(await tokens.token(1n));
    client.socket.pause();
    const message = encodeFrame(Type.MESSAGE, 0, 1n, new Uint8Array(50_000));
    const [stream] = state.streams;
    const conns = [...(stream?.attached.keys() ?? [])];
    while (node.node.stats.slowEpisodes === 0) {
      stream?.deliver(conns, message);
      await new Promise(setImmediate);
    }
    // It is not read meanwhile: nothing goes up.
    client.write(frameOf(Type.REQUEST, 1));
    client.socket.resume();
    const { ref } = await client.next(Type.RESYNC);
    client.send(2, 1n, 'too early');
    expect((await client.nextNack(2)).code).toBe('RESYNC_REQUIRED');
    client.write(frameOf(Type.RESYNCED, ref));
    client.send(3, 1n, 'now');
    await client.next(Type.SENT, (frame) => frame.ref === 3);
    expect(node.node.stats).toMatchObject({ slowEpisodes: 1, slowClosed: 0, disconnects: {} });
  });

  test('TYPING: is forwarded, has no answer, and is dropped first', async () => {
    await using node = await TestNode.start(tokens, [state], { framesPerSecond: 20 });
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    for (let i = 0; i < 150; i++) client.write(frameOf(Type.TYPING, 0, 7n));
    client.write(frameOf(Type.PING, 9));
    // What is over the rate is left out: only the PING waits for its turn.
    await client.next(Type.PONG);
    expect(state.frames[0]).toMatchObject({ type: Type.TYPING, key: 7n });
    expect(state.frames.length).toBeLessThan(150);
    expect(client.received).toEqual([]);
  });

  test('more connections than allowed: TOO_MANY_CONNECTIONS, until one ends', async () => {
    await using node = await TestNode.start(tokens, [state], { maxConnections: 1 });
    const first = await node.tcp();
    await first.login(await tokens.token(1n));
    const refused = await node.tcp();
    expect(await refused.nextClose()).toMatchObject({ code: 'TOO_MANY_CONNECTIONS', retryable: true });
    await refused.closed;
    first.destroy();
    await expect.poll(() => node.node.size).toBe(0);
    await (await node.tcp()).login(await tokens.token(1n));
  });

  test('reloaded limits: more connections than before, on the port as well; fewer frames', async () => {
    // With that the port takes one socket.
    await using node = await TestNode.start(tokens, [state], { maxConnections: 1 - MAX_REFUSED });
    node.node.setLimits({ ...DEFAULT_LIMITS, maxConnections: 2, framesPerSecond: 1 });
    const clients = [await node.tcp(), await node.tcp()];
    for (const [i, client] of clients.entries()) await client.login(await tokens.token(BigInt(i + 1)));
    expect((await (await node.tcp()).nextClose()).code).toBe('TOO_MANY_CONNECTIONS');
    for (let i = 0; i < 3; i++) clients[0]?.write(frameOf(Type.PING, 9));
    await clients[0]?.next(Type.PONG);
    await expect.poll(() => node.node.stats.refusals).toEqual({ account_rate: 1 });
  });
});

describe('drain', () => {
  test('every client: gets CLOSE, and the drain ends with the last socket', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const clients = await Promise.all([node.tcp(), node.tcp(), node.ws()]);
    for (const [i, client] of clients.entries()) await client.login(await tokens.token(BigInt(i + 1)));
    await node.node.drain(5000);
    for (const client of clients) {
      expect(await client.nextClose()).toMatchObject({ code: 'SERVER_DRAINING', retryable: true });
      await client.closed;
    }
    await expect(node.tcp()).rejects.toThrow('ECONNREFUSED');
    expect(node.node.size).toBe(0);
  });

  test('many clients: each gets a different wait', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const clients = await Promise.all(Array.from({ length: 20 }, () => node.tcp()));
    await Promise.all(clients.map(async (client, i) => client.login(await tokens.token(BigInt(i + 1)))));
    await node.node.drain(1000);
    const waits = await Promise.all(clients.map(async (client) => (await client.nextClose()).retryAfterMs));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
    expect(new Set(waits).size).toBeGreaterThan(10);
  });

  test('an event loop that stalled: HELLOs that arrived meanwhile are read before deadlines are checked', async () => {
    using clock = new TestClock({ goesOn: false });
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await expect.poll(() => node.node.size).toBe(1);
    client.hello(await tokens.token(1n));
    // The links to the state nodes have longer.
    await clock.stall(1.1 * DEFAULT_LIMITS.helloTimeoutMs);
    expect(wire.Welcome.decode((await clock.until(client.next(Type.WELCOME))).payload)).toMatchObject({
      user: 1n,
    });
  });

  test('a worker that fails: its clients are told to reconnect at once', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    await node.node.stop('WORKER_FAILED');
    const close = await client.nextClose();
    expect(close).toMatchObject({ code: 'WORKER_FAILED', retryable: true });
    expect(close.retryAfterMs).toBeLessThanOrEqual(1000);
    await client.closed;
  });

  test('pause and resume accepting: the port is closed meanwhile, connections stay', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    for (let round = 0; round < 2; round++) {
      node.node.pause();
      await expect(node.tcp()).rejects.toThrow('ECONNREFUSED');
      await node.listen();
      for (const next of [await node.tcp(), await node.ws()])
        await next.login(await tokens.token(BigInt(round + 2)));
    }
    client.write(frameOf(Type.PING, 5));
    await client.next(Type.PONG, (frame) => frame.ref === 5);
  });

  test('listen a second time: the same port', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const options = { host: '127.0.0.1', port: 0, reusePort: false };
    expect(await node.node.listen('tcp', options)).toBe(Number(node.address.split(':')[1]));
    expect(await node.node.listen('ws', options)).toBe(Number(node.wsAddress.split(':')[1]));
  });

  test('no clients: the drain ends at once', async () => {
    await using node = await TestNode.start(tokens, [state]);
    await node.node.drain(60_000);
    expect(node.node.size).toBe(0);
  });

  test('a client that does not leave: the drain ends at the deadline', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.socket.pause();
    await node.node.drain(200);
    expect(node.node.size).toBe(1);
    await node.node.stop();
    await expect.poll(() => node.node.size).toBe(0);
  });
});

function hello(fields: Partial<wire.Hello>): Uint8Array {
  const message = wire.Hello.fromPartial({ versionMin: 2, versionMax: 2, ...fields });
  return frameOf(Type.HELLO, 0, 0n, wire.Hello.encode(message).finish());
}
