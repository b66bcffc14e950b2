/** Clients that mean harm, over real sockets, each beside one that means none. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { FrameType } from '../proto/mod.ts';
import { within } from '../test/harness/eventually.ts';
import { TestClock } from '../test/harness/test-clock.ts';
import { CLOSE_LINGER_MS, DEFAULT_LIMITS, type GatewayLimits, MAX_PARTIAL_BYTES } from './limits.ts';
import { TestClient } from './testing/test-client.ts';
import { JsonClient } from './testing/test-json-client.ts';
import { TestNode } from './testing/test-node.ts';
import { FakeState } from './testing/test-state.ts';
import { TokenMaker } from './testing/test-tokens.ts';

/** Addresses of this machine besides the one that the bystander has. */
const OTHER_ADDRESS = '127.0.0.2';
/** Whether the suite runs without what reaches into ws: it then cannot tell an unfinished message. */
const IS_BLIND = process.env['GOCHAT_NATIVE'] === '0';
const SEEN_KINDS = IS_BLIND ? (['tcp'] as const) : (['tcp', 'ws'] as const);
const EXEMPT = { exemptAddresses: '127.0.0.1' };

/** Makes a plain socket a WebSocket. */
const UPGRADE = `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r
Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: gochat.v2.proto\r\n\r\n`;

let tokens: TokenMaker;
let state: FakeState;
let clock: TestClock;
let node: TestNode;
let bystander: TestClient;
let pings = 0;

beforeAll(async () => {
  tokens = await TokenMaker.make();
  state = await FakeState.start();
});

beforeEach(() => {
  state.frames.length = 0;
});

afterEach(async () => {
  // Whatever was done, the others chat on, and nothing is left of it.
  bystander.write(ping(++pings));
  await bystander.next(FrameType.PONG, (frame) => frame.ref === pings);
  await expect.poll(() => node.node.size).toBe(1);
  await node[Symbol.asyncDispose]();
  clock[Symbol.dispose]();
});

afterAll(() => state.stop());

async function start(limits: Partial<GatewayLimits>): Promise<void> {
  clock = new TestClock();
  node = await TestNode.start(tokens, [state], { ...EXEMPT, ...limits });
  bystander = await node.tcp();
  await bystander.login(await tokens.token(1n));
}

function ping(ref: number): Buffer {
  return Buffer.from([0, 0, 0, 12, FrameType.PING, 0, ref >> 8, ref & 255, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/** A connection from the other address, as raw as TCP is. */
async function raw(address = node.address): Promise<Socket> {
  const [host = '', port] = address.split(':');
  const socket = connect({ host, port: Number(port), localAddress: OTHER_ADDRESS });
  socket.on('error', () => undefined);
  // One that is cut at once may never see that it was connected.
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
  return socket;
}

/** Resolves when the gateway has ended all of them, as the clock moves on. */
async function allClosed(...sockets: Socket[]): Promise<void> {
  const closed = sockets.map(async (socket) => {
    socket.resume();
    if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
  });
  await within(`the end of ${sockets.length} connections`, clock.until(Promise.all(closed)));
}

const refusals = () => node.node.stats.refusals;

describe('one address', () => {
  test('too many connections: ADDRESS_LIMITED, until one ends', async () => {
    await start({ maxConnectionsPerAddress: 3 });
    const sockets = [await raw(), await raw(), await raw()];
    const refused = new TestClient(await raw());
    expect(await refused.nextClose()).toMatchObject({ code: 'ADDRESS_LIMITED', retryable: true });
    await refused.closed;
    sockets[0]?.destroy();
    await expect.poll(() => node.node.size).toBe(3);
    const next = new TestClient(await raw());
    await next.login(await tokens.token(2n));
    for (const socket of [...sockets, next]) socket.destroy();
    expect(refusals()).toEqual({ address_connections: 1 });
  });

  test('a refused client that goes on sending: can read why, and is cut in the end', async () => {
    await start({ maxConnectionsPerAddress: 1 });
    const held = new TestClient(await raw());
    await held.login(await tokens.token(2n));
    const socket = await raw();
    await expect.poll(refusals).toEqual({ address_connections: 1 });
    // They would fail soon if one of them met a closed socket.
    for (let i = 0; i < 100; i++) {
      socket.write(Buffer.alloc(100));
      await setImmediate();
    }
    expect((await new TestClient(socket).nextClose()).code).toBe('ADDRESS_LIMITED');

    const [host = '', port] = node.address.split(':');
    const stubborn = async (bytes: number) => {
      const target = { host, port: Number(port), localAddress: OTHER_ADDRESS, allowHalfOpen: true };
      const open = connect(target).resume();
      const drip = setInterval(() => open.write(Buffer.alloc(bytes)), 20);
      await within(`the reset of one that sends ${bytes} bytes a time`, once(open, 'error'));
      clearInterval(drip);
    };
    await clock.until(Promise.all([stubborn(1), stubborn(100_000)]));
    held.destroy();
  });

  test('churn: new connections beyond the rate are cut', async () => {
    await start({ connectsPerSecond: 1 });
    for (let i = 0; i < 300; i++) {
      const socket = await raw();
      socket.destroy();
    }
    await expect.poll(() => refusals().address_connects).toBeGreaterThan(200);
    expect(node.node.stats.accepts).toBeLessThan(100);
  });

  test('guessed tokens: a valid one from the same address is still accepted', async () => {
    await start({ loginFailuresPerMinute: 2 });
    for (let i = 0; i < 6; i++) {
      const guess = new TestClient(await raw());
      guess.hello('not.a.token');
      expect((await guess.nextClose()).code).toBe('TOKEN_INVALID');
      guess.destroy();
    }
    const client = new TestClient(await raw());
    await client.login(await tokens.token(2n));
    client.destroy();
    expect(refusals()).toEqual({});
  });

  test('genuine tokens that have expired: do not count as guesses', async () => {
    await start({ loginFailuresPerMinute: 2 });
    for (let i = 0; i < 4; i++) {
      const client = new TestClient(await raw());
      client.hello(await tokens.token(2n, { expiresIn: -60 }));
      expect((await client.nextClose()).code).toBe('TOKEN_EXPIRED');
      client.destroy();
    }
    expect(refusals()).toEqual({});
  });

  test('WebSocket: too many get 429 before HTTP reads from them', async () => {
    await start({ maxConnectionsPerAddress: 1 });
    const held = await raw();
    const refused = new WebSocket(`ws://${node.wsAddress}/ws`, 'gochat.v2.proto', {
      localAddress: OTHER_ADDRESS,
    });
    const error = await new Promise<Error>((resolve) => refused.once('error', resolve));
    expect(error.message).toContain('429');
    held.destroy();
  });
});

/** How many SENDs the state node has got. */
function sends(): number {
  return state.frames.filter(({ type }) => type === FrameType.SEND).length;
}

function frame(type: number, ref = 0): Buffer {
  return Buffer.from([0, 0, 0, 12, type, 0, ref >> 8, ref & 255, 0, 0, 0, 0, 0, 0, 0, 0]);
}

describe('one account', () => {
  test.each(['tcp', 'ws'] as const)(
    'a flood of frames on %s: is throttled, keeps its order, and nothing is refused',
    async (kind) => {
      const perSecond = 40;
      await start({ framesPerSecond: perSecond });
      const client = await node[kind]();
      await client.login(await tokens.token(2n));
      const beganMs = performance.now();
      const refs = Array.from({ length: 100 }, (_, i) => i + 1);
      for (const ref of refs) client.send(ref, 7n, 'spam');
      for (let n = 0; sends() < refs.length; n++) {
        bystander.write(ping(1000 + n));
        await bystander.next(FrameType.PONG, ({ ref }) => ref === 1000 + n);
        // What may come at once, and what the rate has allowed since; the budgets' clock is in tenths of a second.
        const most = perSecond / 4 + 1 + ((performance.now() - beganMs + 200) / 1000) * perSecond;
        expect(sends()).toBeLessThanOrEqual(most);
        await clock.advance(10);
      }
      const answers = [];
      for (const _ of refs) answers.push((await client.next(FrameType.SENT)).ref);
      expect(answers).toEqual(refs);
      expect(client.received.map(({ type }) => type)).not.toContain(FrameType.NACK);
      expect(refusals()).toMatchObject({ account_rate: expect.any(Number) });
      client.destroy();
    },
  );

  test('many connections: share the budget of one account', async () => {
    const perSecond = 20;
    await start({ framesPerSecond: perSecond });
    const token = await tokens.token(2n);
    const clients = await Promise.all(Array.from({ length: 8 }, () => node.tcp()));
    for (const client of clients) await client.login(token);
    const beganMs = performance.now();
    for (const client of clients) for (let ref = 1; ref <= 10; ref++) client.send(ref, 7n, 'spam');
    // Each has its turn: the last of all is answered when nearly all have been taken.
    for (const client of clients) await clock.until(client.next(FrameType.SENT));
    const most = perSecond / 4 + 1 + ((performance.now() - beganMs + 200) / 1000) * perSecond;
    expect(sends()).toBeLessThanOrEqual(most);
    for (const client of clients) client.destroy();
    // That is seen of each when its turn has come.
    await expect.poll(() => node.node.size).toBe(1);
  });

  test('an account without budget: what its connections send is not even parsed', async () => {
    await start({ bytesPerSecond: 4096 });
    const token = await tokens.token(2n);
    const [first, second] = [await node.tcp(), await node.tcp()];
    for (const client of [first, second]) await client.login(token);
    // From now on it owes for most of a minute.
    first.send(1, 7n, 'x'.repeat(200_000));
    await first.next(FrameType.SENT);
    const before = node.node.stats.framesIn;
    second.write(Buffer.concat(Array.from({ length: 100 }, (_, i) => ping(i + 1))));
    await expect.poll(() => refusals()).toMatchObject({ account_rate: 1 });
    expect(node.node.stats.framesIn).toBe(before);
    for (const client of [first, second]) client.destroy();
  });

  test('a throttled connection: still receives, and does not miss its heartbeat', async () => {
    await start({ framesPerSecond: 4, heartbeatIntervalMs: 400 });
    const client = await node.tcp();
    await client.login(await tokens.token(2n));
    for (let ref = 1; ref <= 4; ref++) bystander.write(ping(ref));
    for (let ref = 1; ref <= 12; ref++) client.send(ref, 7n, 'spam');
    await client.next(FrameType.SENT);
    for (const stream of state.streams) stream.deliver([...stream.attached.keys()], frame(FrameType.TYPING));
    await client.next(FrameType.TYPING);
    expect(sends()).toBeLessThan(12);
    // It says nothing else, for longer than 2.5 heartbeats.
    for (let ref = 2; ref <= 12; ref++) {
      bystander.write(ping(ref));
      await bystander.next(FrameType.PONG, (pong) => pong.ref === ref);
      await clock.advance(250);
      await client.next(FrameType.SENT);
    }
    expect(node.node.stats.disconnects).toEqual({});
    client.destroy();
  });

  test('RESYNCED and CLOSE after a flood: are handled in their turn', async () => {
    await start({ framesPerSecond: 20 });
    const client = await node.tcp();
    await client.login(await tokens.token(2n));
    for (let ref = 1; ref <= 30; ref++) client.send(ref, 7n, 'spam');
    for (const stream of state.streams) stream.fence([...stream.attached.keys()]);
    const resync = await client.next(FrameType.RESYNC);
    client.write(frame(FrameType.RESYNCED, resync.ref));
    client.send(41, 7n, 'again');
    await clock.until(client.next(FrameType.SENT, ({ ref }) => ref === 41));
    const before = sends();
    for (let sent = 51; sent <= 60; sent++) client.send(sent, 7n, 'spam');
    client.write(frame(FrameType.CLOSE));
    await clock.until(client.closed);
    await expect.poll(sends).toBe(before + 10);
    expect(node.node.stats.disconnects).toMatchObject({ CLIENT_GOODBYE: 1 });
    const { ref } = await bystander.next(FrameType.RESYNC);
    bystander.write(frame(FrameType.RESYNCED, ref));
  });

  test('a client that ends its half after a flood: all of it is handled', async () => {
    await start({ framesPerSecond: 20 });
    const client = await node.tcp();
    await client.login(await tokens.token(2n));
    for (let ref = 1; ref <= 24; ref++) client.send(ref, 7n, 'spam');
    (client.socket as Socket).end();
    await expect.poll(sends).toBe(24);
    await client.closed;
  });

  test('a flood of bytes: is throttled too', async () => {
    await start({ bytesPerSecond: 4096 });
    const client = await node.tcp();
    await client.login(await tokens.token(2n));
    const beganMs = performance.now();
    for (let ref = 1; ref <= 10; ref++) client.send(ref, 7n, 'x'.repeat(1000));
    for (let ref = 1; ref <= 10; ref++) {
      await clock.until(client.next(FrameType.SENT, (sent) => sent.ref === ref));
      // The last one may be larger than what is left.
      expect(sends() * 1000).toBeLessThanOrEqual(
        1024 + 1100 + ((performance.now() - beganMs + 200) / 1000) * 4096,
      );
    }
    client.destroy();
  });

  test.each(['ping', 'pong'] as const)('a flood of WebSocket %ss: counts like frames', async (kind) => {
    await start({ framesPerSecond: 10 });
    const client = await node.ws();
    await client.login(await tokens.token(2n));
    const socket = client.socket as WebSocket;
    const pong = new Promise((resolve) => socket.once('pong', resolve));
    socket.ping();
    await pong;
    for (let i = 0; i < 30; i++) socket[kind]();
    client.write(ping(7));
    await clock.until(client.next(FrameType.PONG));
    expect(refusals()).toMatchObject({ account_rate: expect.any(Number) });
    client.destroy();
  });

  test('a flood of JSON that is mostly spaces: all of its bytes count', async () => {
    await start({ bytesPerSecond: 4096 });
    const client = await JsonClient.open(node.wsAddress);
    await client.login(await tokens.token(2n));
    const beganMs = performance.now();
    for (let i = 0; i < 12; i++) client.socket.send(`{"type":"PING"}${' '.repeat(1000)}`);
    for (let pongs = 1; pongs <= 12; pongs++) {
      await clock.until(client.next('PONG'));
      expect(pongs * 1015).toBeLessThanOrEqual(
        1024 + 1100 + ((performance.now() - beganMs + 200) / 1000) * 4096,
      );
    }
    client.socket.close();
  });

  test('a flood of malformed JSON: refused, then closed', async () => {
    await start({ bytesPerSecond: 1024 });
    const client = await JsonClient.open(node.wsAddress);
    await client.login(await tokens.token(2n));
    for (let i = 0; i < 60; i++) client.socket.send('x'.repeat(1000));
    expect(await client.next('NACK')).toMatchObject({ code: 'JSON_INVALID' });
    expect(await client.next('CLOSE')).toMatchObject({ code: 'RATE_LIMITED' });
    await client.closed;
  });
});

describe('one connection', () => {
  test('a WebSocket message in thousands of pieces: cut', async () => {
    await start({});
    const client = await node.ws();
    await client.login(await tokens.token(2n));
    const socket = client.socket as WebSocket;
    for (let i = 0; i < 1000; i++) socket.send(Buffer.alloc(1), { fin: false });
    expect(await client.closed).toBe(1008);
  });
});

describe('unfinished frames', () => {
  /** Sends the first bytes of a frame of 4 MiB. */
  const begin = {
    tcp: ({ socket }: TestClient, bytes: number) => {
      const frame = Buffer.alloc(bytes);
      frame.writeUInt32BE(FRAME_BYTES);
      (socket as Socket).write(frame);
    },
    ws: ({ socket }: TestClient, bytes: number) =>
      (socket as WebSocket).send(Buffer.alloc(bytes), { fin: false }),
  };
  const FRAME_BYTES = 4 * 1024 * 1024;

  test.each(SEEN_KINDS)('%s: together they may hold so much, then the oldest is cut', async (kind) => {
    await start({ maxFrameBytes: FRAME_BYTES });
    const { stats } = node.node;
    const clients: TestClient[] = [];
    for (let i = 0; i < 12; i++) {
      const client = await node[kind]();
      await client.login(await tokens.token(2n));
      begin[kind](client, FRAME_BYTES - 1024);
      clients.push(client);
      if (i > 0) continue;
      await expect
        .poll(() => stats.partial.frames, {
          message: 'the frame of the first has begun',
        })
        .toBe(1);
    }
    expect((await (clients[0] as TestClient).nextClose()).code).toBe('OVERLOADED');
    await clients[0]?.closed;
    await expect
      .poll(() => stats.refusals.partial_bytes, { message: 'all have sent' })
      .toBeGreaterThanOrEqual(4);
    expect(stats.partial.bytes).toBeLessThanOrEqual(MAX_PARTIAL_BYTES);
    expect(stats.partial.bytes).toBeGreaterThan(MAX_PARTIAL_BYTES / 2);
    for (const client of clients) client.destroy();
    await expect.poll(() => stats.partial, { message: 'all have gone' }).toEqual({ frames: 0, bytes: 0 });
  });

  test.skipIf(IS_BLIND)('WebSocket, a byte at a time: each counts with the memory it takes', async () => {
    await start({});
    const client = await node.ws();
    await client.login(await tokens.token(2n));
    const { _socket: socket } = client.socket as unknown as { _socket: Socket };
    const { partial } = node.node.stats;
    // The head of a masked binary message of 64 KiB.
    socket.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    await expect.poll(() => partial.frames, { message: 'the message has begun' }).toBe(1);
    const before = partial.bytes;
    for (let i = 1; i <= 5; i++) {
      const seen = partial.bytes;
      socket.write('x');
      await expect.poll(() => partial.bytes, { message: `byte ${i} has come` }).toBeGreaterThan(seen);
    }
    expect(partial.bytes - before).toBeGreaterThan(5 * 200);
    client.destroy();
  });
});

describe('half connections', () => {
  test('slowloris, a byte at a time: HELLO_TIMEOUT', async () => {
    await start({});
    const socket = await raw();
    const hello = Buffer.from([0, 0, 1, 0, FrameType.HELLO]);
    let at = 0;
    const drip = setInterval(() => socket.write(hello.subarray(at, ++at)), 50);
    await allClosed(socket);
    clearInterval(drip);
    expect(node.node.stats.disconnects).toMatchObject({ HELLO_TIMEOUT: 1 });
  });

  test('slowloris on WebSocket, headers without an end: cut', async () => {
    await start({});
    const [host = '', port] = node.wsAddress.split(':');
    const socket = connect({ host, port: Number(port) });
    socket.on('error', () => undefined);
    socket.write('GET /ws HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('X: y\r\n'), 50);
    await allClosed(socket);
    clearInterval(drip);
  });

  test.skipIf(IS_BLIND)(
    'slowloris on WebSocket, a message without an end: FRAME_TIMEOUT; complete messages do not start that deadline',
    async () => {
      await start({});
      const [dripping, pinging, odd] = [
        await node.ws(),
        await node.ws(),
        await JsonClient.open(node.wsAddress),
      ];
      for (const client of [dripping, pinging, odd]) await client.login(await tokens.token(2n));
      (pinging.socket as WebSocket).ping();
      (pinging.socket as WebSocket).pong();
      odd.socket.send('no JSON');
      await odd.next('NACK');
      const drip = setInterval(
        () => (dripping.socket as WebSocket).send(Buffer.alloc(1), { fin: false }),
        100,
      );
      expect((await clock.until(dripping.nextClose())).code).toBe('FRAME_TIMEOUT');
      clearInterval(drip);
      pinging.write(ping(9));
      await pinging.next(FrameType.PONG);
      odd.send({ type: 'PING' });
      await odd.next('PONG');
      for (const client of [pinging, odd]) client.destroy();
    },
  );

  test.skipIf(IS_BLIND)(
    'slowloris on WebSocket, pings between the pieces of a message without an end: FRAME_TIMEOUT',
    async () => {
      await start({});
      const client = await node.ws();
      await client.login(await tokens.token(2n));
      const socket = client.socket as WebSocket;
      socket.send(Buffer.alloc(1), { fin: false });
      const beat = setInterval(() => socket.ping(), 20);
      expect((await clock.until(client.nextClose())).code).toBe('FRAME_TIMEOUT');
      clearInterval(beat);
    },
  );

  test.skipIf(IS_BLIND)(
    'slowloris on WebSocket, the beginning of a message right after a whole one: FRAME_TIMEOUT',
    async () => {
      await start({});
      const client = await node.ws();
      await client.login(await tokens.token(2n));
      // Two messages as they travel, with a mask of zeros; of the second one half.
      const message = Buffer.concat([Buffer.from([0x82, 0x80 | 16, 0, 0, 0, 0]), ping(3)]);
      const { _socket: socket } = client.socket as unknown as { _socket: Socket };
      socket.write(Buffer.concat([message, message.subarray(0, 11)]));
      await client.next(FrameType.PONG, (frame) => frame.ref === 3);
      expect((await clock.until(client.nextClose())).code).toBe('FRAME_TIMEOUT');
    },
  );

  test('slowloris on WebSocket, GOCHAT_NATIVE=0: the heartbeat ends a message without an end', async () => {
    vi.stubEnv('GOCHAT_NATIVE', '0');
    await start({ frameTimeoutMs: 1000, heartbeatIntervalMs: 10_000 });
    vi.unstubAllEnvs();
    const client = await node.ws();
    await client.login(await tokens.token(2n));
    const drip = setInterval(() => (client.socket as WebSocket).send(Buffer.alloc(1), { fin: false }), 200);
    // What is whole still comes; what is not is not noticed.
    const beat = setInterval(() => bystander.write(ping(++pings)), 200);
    expect((await clock.until(client.nextClose())).code).toBe('HEARTBEAT_TIMEOUT');
    clearInterval(drip);
    clearInterval(beat);
  });

  test('an unauthenticated WebSocket, a message that is too large for HELLO: FRAME_TOO_LARGE before it is whole', async () => {
    await start({});
    const client = await node.ws();
    (client.socket as WebSocket).send(Buffer.alloc(100_000), { fin: false });
    expect((await client.nextClose()).code).toBe('FRAME_TOO_LARGE');
    client.destroy();
  });

  test('a peer that has ended its half and goes on reading: its connection ends', async () => {
    await start({});
    const client = await node.tcp();
    await client.login(await tokens.token(2n));
    (client.socket as Socket).end();
    await client.closed;
  });

  test('half-open: a peer that neither reads nor ends its half is cut after CLOSE', async () => {
    await start({});
    const [host = '', port] = node.address.split(':');
    const socket = connect({ host, port: Number(port), allowHalfOpen: true });
    socket.on('error', () => undefined);
    socket.pause();
    await clock.advance(DEFAULT_LIMITS.helloTimeoutMs + CLOSE_LINGER_MS + 1000);
    expect(node.node.stats.disconnects).toEqual({ HELLO_TIMEOUT: 1 });
    expect(node.node.size).toBe(1);
    socket.destroy();
  });

  test('half-open on WebSocket: a peer that does not answer the close frame is reset', async () => {
    await start({});
    const [host = '', port] = node.wsAddress.split(':');
    const socket = connect({ host, port: Number(port) });
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    socket.resume().write(UPGRADE);
    expect((await clock.until(failed)).code).toBe('ECONNRESET');
    expect(node.node.stats.disconnects).toEqual({ HELLO_TIMEOUT: 1 });
  });

  test('many silent peers: all are cut at the deadline', async () => {
    await start({});
    const sockets = await Promise.all(Array.from({ length: 200 }, () => raw()));
    await allClosed(...sockets);
    expect(node.node.stats.disconnects).toEqual({ HELLO_TIMEOUT: 200 });
  });
});

describe('random bytes from many connections: each ends', () => {
  let seed = 7;
  const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  const noise = () => Buffer.from(Array.from({ length: random() % 5000 }, () => random() & 255));
  const ended = () => Object.values(node.node.stats.disconnects).reduce((sum, count) => sum + count, 0);

  test('on TCP', async () => {
    await start({ connectsPerSecond: 1000 });
    const sockets = await Promise.all(Array.from({ length: 200 }, () => raw()));
    for (const socket of sockets) socket.write(noise());
    await allClosed(...sockets);
    await expect.poll(ended, { message: 'all are counted' }).toBe(200);
  });

  test('on the WebSocket port', async () => {
    await start({ connectsPerSecond: 1000 });
    const sockets = await Promise.all(Array.from({ length: 200 }, () => raw(node.wsAddress)));
    for (const socket of sockets) socket.write(noise());
    await allClosed(...sockets);
  });

  test.each([
    ['in place of WebSocket frames', noise],
    // With a mask of zeros; the length is that of the message.
    [
      'in WebSocket messages',
      () => {
        const bytes = noise();
        return Buffer.concat([
          Buffer.from([0x82, 0xfe, bytes.length >> 8, bytes.length & 255, 0, 0, 0, 0]),
          bytes,
        ]);
      },
    ],
  ])('%s', async (_, make) => {
    await start({ connectsPerSecond: 1000 });
    const sockets = await Promise.all(Array.from({ length: 200 }, () => raw(node.wsAddress)));
    for (const socket of sockets) socket.write(UPGRADE);
    await expect.poll(() => node.node.stats.accepts, { message: 'all have come' }).toBe(201);
    for (const socket of sockets) socket.write(make());
    await allClosed(...sockets);
    await expect.poll(ended, { message: 'all are counted' }).toBe(200);
  });
});
