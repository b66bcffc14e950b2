import { describe, expect, onTestFinished, test } from 'vitest';
import { FrameType, Receipts, Send, Typing } from '../../proto/client.ts';
import { FakeGateway } from '../testing/fake-gateway.ts';
import { collect, makeClient, makeWorld, next, type World } from '../testing/harness.ts';
import type { HistoryOptions, MessageEvent } from './mod.ts';
import { TestClock } from '../../test/harness/test-clock.ts';

const texts = (events: { type: string }[]) =>
  events.filter((event): event is MessageEvent => event.type === 'message').map(({ text }) => text);

describe('connecting', () => {
  test('connect: logs in, asks ipconf, and passes on what WELCOME says', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { device: 'laptop' });
    const connected = next(client, 'connected');
    await client.connect();
    expect(await connected).toEqual({
      type: 'connected',
      session: '1',
      user: world.alice.toString(),
      userName: 'alice',
      displayName: 'alice',
      device: 'laptop',
      gateway: 'fake',
      connection: '7',
      resumed: false,
    });
    expect(world.gateway.hellos[0]).toMatchObject({
      versionMin: 2,
      versionMax: 2,
      device: 'laptop',
      session: 0n,
    });
  });

  test('connect: a wrong password rejects with the server’s code, and the client is closed', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { password: 'wrong' });
    await expect(client.connect()).rejects.toMatchObject({ code: 'CREDENTIALS_WRONG', retryable: false });
    await expect(client.send('1', 'x')).rejects.toMatchObject({ code: 'CREDENTIALS_WRONG' });
  });

  test.each([
    ['/auth/login', 'the API server at http://api.test', '--api'],
    ['/ip/list', 'ipconf at http://ipconf.test', '--ipconf'],
  ])('connect: %s that does not answer is told with the address and the flag', async (path, what, flag) => {
    const world = await makeWorld();
    world.directory.instead.set(path, () => {
      throw new TypeError('fetch failed');
    });
    const error: unknown = await makeClient(world)
      .connect()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE' });
    expect((error as Error).message).toBe(
      `Cannot reach ${what}. Start the servers (make run), or name the address with ${flag}.`,
    );
  });

  test('connect: a server other than GoChat at the address rejects likewise', async () => {
    const world = await makeWorld();
    world.directory.instead.set('/auth/login', () => new Response('<html>', { status: 200 }));
    await expect(makeClient(world).connect()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });

  test('connect: without a gateway it reports ipconf’s code and hint', async () => {
    const world = await makeWorld();
    const body = { code: 'NO_GATEWAY', message: 'No gateway is registered.', retry_after: 2, data: [] };
    world.directory.instead.set('/ip/list', () => Response.json(body, { status: 503 }));
    const connecting = makeClient(world).connect();
    await expect(connecting).rejects.toMatchObject({ code: 'NO_GATEWAY', retryAfterMs: 2000 });
  });

  test('connect: skips an unreachable gateway in the ranked list', async () => {
    const world = await makeWorld();
    const gone = await new FakeGateway().start();
    const { port } = gone;
    await gone[Symbol.asyncDispose]();
    world.directory.first.push({ ip: '127.0.0.1', port });
    await makeClient(world).connect();
    expect(world.directory.lists).toBe(1);
  });

  test('connect: skips a gateway without a port for this transport', async () => {
    const world = await makeWorld();
    const { port } = world.gateway;
    world.directory.gateways.length = 0;
    world.directory.first.push({ ip: '127.0.0.1', port: 0, ws_port: port });
    const connecting = makeClient(world, {
      getToken: async () => ({ token: 'alice' }),
      firstConnectMs: 20,
    }).connect();
    await expect(connecting).rejects.toMatchObject({ code: 'NO_GATEWAY' });
  });

  test('connect: unreachable gateways are reported at the deadline', async () => {
    const world = await makeWorld();
    await world.gateway[Symbol.asyncDispose]();
    world.directory.gateways.length = 0;
    world.directory.first.push({ ip: '127.0.0.1', port: 1 });
    const connecting = makeClient(world, {
      getToken: async () => ({ token: 'alice' }),
      firstConnectMs: 20,
    }).connect();
    await expect(connecting).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });

  test('ipconf: gets the user, transport and zone for each connection', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { zone: 'eu-1' });
    await client.connect();
    const back = next(client, 'connected');
    world.gateway.only.destroy();
    await back;
    const query = { uid: world.alice.toString(), transport: 'tcp', v: '2', zone: 'eu-1' };
    expect(world.directory.queries).toEqual([query, query]);
  });

  test('ipconf: the user of a given token is known from the token, or else from WELCOME', async () => {
    const world = await makeWorld();
    const token = (user?: string) => () => Promise.resolve({ token: 'alice.1', user });
    await makeClient(world, { getToken: token('4711') }).connect();
    const client = makeClient(world, { getToken: token() });
    await client.connect();
    const back = next(client, 'connected');
    for (const connection of world.gateway.connections) connection.destroy();
    await back;
    const asked = world.directory.queries.map(({ uid }) => uid);
    expect(asked.slice(0, 2)).toEqual(['4711', undefined]);
    expect(asked.slice(2)).toContain(world.alice.toString());
  });

  test('ipconf: its ticket goes to the gateway in HELLO, a new one each time', async () => {
    const world = await makeWorld();
    world.directory.more = { ticket: 'one' };
    const client = makeClient(world);
    await client.connect();
    world.directory.more = { ticket: 'two' };
    const back = next(client, 'connected');
    world.gateway.only.destroy();
    await back;
    expect(world.gateway.hellos.map(({ ticket }) => ticket)).toEqual(['one', 'two']);
  });

  test('ipconf: the wait that it suggests is used, with full jitter', async () => {
    const world = await makeWorld();
    world.directory.more = { backoff: { base_ms: 40, max_ms: 80, jitter: 'full' } };
    const client = makeClient(world, { backoff: {}, random: () => 0.5 });
    await client.connect();
    const down = next(client, 'disconnected');
    world.gateway.only.destroy();
    expect((await down).retryInMs).toBe(20);
  });

  test('ipconf: an unreasonable wait is not used', async () => {
    const world = await makeWorld();
    world.directory.more = { backoff: { base_ms: -1, max_ms: '7' } };
    const client = makeClient(world, { backoff: {}, random: () => 0.5 });
    await client.connect();
    const down = next(client, 'disconnected');
    world.gateway.only.destroy();
    expect((await down).retryInMs).toBe(100);
  });

  test('connect: skips a full gateway', async () => {
    const world = await makeWorld();
    const other = await new FakeGateway(world.gateway.chat).start();
    await using _ = other;
    world.directory.gateways.push(other);
    world.gateway.admit = () => ({ code: 'TOO_MANY_CONNECTIONS', retryable: true });
    const client = makeClient(world);
    await client.connect();
    expect(other.connections.size).toBe(1);
    await client.close();
  });

  test('connect: an unsupported version is final', async () => {
    const world = await makeWorld();
    world.gateway.admit = () => ({ code: 'VERSION_UNSUPPORTED', retryable: true });
    await expect(makeClient(world).connect()).rejects.toMatchObject({ code: 'VERSION_UNSUPPORTED' });
    expect(world.gateway.hellos).toHaveLength(1);
  });

  test('token: one that the gateway calls expired is replaced by a new login', async () => {
    const world = await makeWorld();
    world.gateway.admit = ({ token }) =>
      token === 'alice.1' ? { code: 'TOKEN_EXPIRED', retryable: false } : undefined;
    await makeClient(world).connect();
    expect(world.gateway.hellos.map(({ token }) => token)).toEqual(['alice.1', 'alice.2']);
  });

  test('token: a fresh one that is refused as well is final', async () => {
    const world = await makeWorld();
    world.gateway.admit = () => ({ code: 'TOKEN_EXPIRED', retryable: false });
    await expect(makeClient(world).connect()).rejects.toMatchObject({ code: 'TOKEN_EXPIRED' });
    expect([world.directory.logins, world.directory.refreshes]).toEqual([1, 1]);
  });

  test('token: expired on a live connection, the client logs in again and goes on', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const again = next(client, 'connected');
    world.gateway.only.close('TOKEN_EXPIRED', false);
    expect((await again).resumed).toBe(true);
    expect(world.gateway.hellos.at(-1)?.token).toBe('alice.2');
  });

  test('reconnect: a broken connection is replaced, resuming the session, after asking ipconf again', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const disconnected = next(client, 'disconnected');
    const again = next(client, 'connected');
    world.gateway.only.destroy();
    expect(await disconnected).toMatchObject({ code: 'CONNECTION_LOST', retryInMs: expect.any(Number) });
    expect(await again).toMatchObject({ session: '1', resumed: true });
    const [first, second] = world.gateway.hellos;
    expect([first?.attempt, second?.attempt]).toEqual([1, 2]);
    expect(first?.run).not.toBe(0n);
    expect(second?.run).toBe(first?.run);
    expect(world.directory.lists).toBe(2);
    expect(world.directory.logins).toBe(1);
  });

  test('reconnect: while ipconf is unreachable, the client uses the gateways that it knows', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    world.directory.instead.set('/ip/list', () => new Response('', { status: 502 }));
    const again = next(client, 'connected');
    world.gateway.only.close('SERVER_DRAINING', true);
    await again;
  });

  test('reconnect: a draining gateway names another one, which is tried first, and once', async () => {
    const world = await makeWorld();
    const other = await new FakeGateway(world.gateway.chat).start();
    onTestFinished(() => other[Symbol.asyncDispose]());
    const client = makeClient(world);
    await client.connect();
    world.gateway.only.close('SERVER_DRAINING', true, 1, other);
    await next(client, 'connected');
    expect([other.hellos.length, world.directory.lists]).toEqual([1, 1]);
    // What it names may be gone as well: then the list counts.
    const { port } = other;
    await other[Symbol.asyncDispose]();
    await next(client, 'connected');
    world.gateway.only.close('SERVER_DRAINING', true, 1, { port } as FakeGateway);
    await next(client, 'connected');
    expect([other.hellos.length, world.gateway.hellos.length]).toEqual([1, 3]);
  });

  test('reconnect: with a ticket the client asks ipconf for a new one instead of following the redirect', async () => {
    const world = await makeWorld();
    const other = await new FakeGateway(world.gateway.chat).start();
    onTestFinished(() => other[Symbol.asyncDispose]());
    world.directory.more = { ticket: 'one' };
    const client = makeClient(world);
    await client.connect();
    world.directory.more = { ticket: 'two' };
    const back = next(client, 'connected');
    world.gateway.only.close('SERVER_DRAINING', true, 1, other);
    await back;
    expect(other.hellos).toEqual([]);
    expect(world.gateway.hellos.map(({ ticket }) => ticket)).toEqual(['one', 'two']);
  });

  test('reconnect: an expiring token is replaced before it is used', async () => {
    const world = await makeWorld();
    world.directory.tokenMs = 1_000;
    const client = makeClient(world);
    await client.connect();
    const again = next(client, 'connected');
    world.gateway.only.destroy();
    await again;
    expect([world.directory.logins, world.directory.refreshes]).toEqual([1, 1]);
  });

  test('SESSION_REPLACED: is final, and what is unanswered fails', async () => {
    const world = await makeWorld();
    world.gateway.fate = () => 'lose-answer';
    const client = makeClient(world);
    await client.connect();
    const disconnected = next(client, 'disconnected');
    world.gateway.fate = (_, connection) => {
      connection.close('SESSION_REPLACED', false);
      return 'lose';
    };
    const sending = client.send(world.room.toString(), 'hello');
    await expect(sending).rejects.toMatchObject({ code: 'SESSION_REPLACED' });
    expect(await disconnected).toMatchObject({ code: 'SESSION_REPLACED', retryInMs: undefined });
    expect(world.gateway.hellos).toHaveLength(1);
  });

  test('heartbeat: PING after silence, and a connection without PONG is given up', async () => {
    const world = await makeWorld();
    world.gateway.heartbeatIntervalMs = 40;
    const client = makeClient(world);
    await client.connect();
    await expect.poll(() => world.gateway.framesOf(FrameType.PING).length).toBeGreaterThan(2);
    expect(world.gateway.hellos).toHaveLength(1);
    const disconnected = next(client, 'disconnected');
    world.gateway.mute.add('ping');
    expect(await disconnected).toMatchObject({ code: 'HEARTBEAT_TIMEOUT' });
  });

  test('frames: unknown types are ignored; garbage ends the connection, and the client reconnects', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    world.gateway.only.write(Uint8Array.of(0, 0, 0, 12, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    const message = next(client, 'message');
    world.gateway.say(world.room, world.bob, 'still here');
    expect((await message).text).toBe('still here');
    const disconnected = next(client, 'disconnected');
    const again = next(client, 'connected');
    world.gateway.only.write(Uint8Array.of(0, 0, 0, 1));
    expect(await disconnected).toMatchObject({ code: 'FRAME_TOO_SHORT' });
    await again;
    const invalid = next(client, 'disconnected');
    world.gateway.only.send(FrameType.MESSAGE, 0, world.room, Uint8Array.of(0xff, 0xff));
    expect(await invalid).toMatchObject({ code: 'FRAME_INVALID' });
  });

  test('close: sends CLOSE once; a second call is harmless', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    await Promise.all([client.close(), client.close()]);
    await expect.poll(() => world.gateway.framesOf(FrameType.CLOSE)).toHaveLength(1);
    await expect(client.history('1')).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
    await expect(client.connect()).resolves.toBeUndefined();
  });

  test('signal: aborting it closes the client and fails what is unanswered', async () => {
    const world = await makeWorld();
    const controller = new AbortController();
    const client = makeClient(world, { signal: controller.signal });
    const sending = client.send(world.room.toString(), 'never');
    controller.abort();
    await expect(sending).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
    await expect(client.connect()).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
  });
});

describe('receiving', () => {
  test('first sync: brings what was missed, in order, page by page', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 450; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    const client = makeClient(world);
    const events = collect(client);
    const synced = next(client, 'synced');
    await client.connect();
    expect(await synced).toEqual({ type: 'synced', messages: 450 });
    expect(texts(events)).toEqual(Array.from({ length: 450 }, (_, i) => `m${i + 1}`));
    expect(client.conversation(world.room.toString())).toMatchObject({ kind: 'room', name: 'lobby' });
    expect(world.gateway.framesOf(FrameType.REQUEST)).toHaveLength(3);
  });

  test('duplicate: a message that arrives twice is dropped', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const events = collect(client);
    await client.connect();
    const first = world.gateway.say(world.room, world.bob, 'one');
    world.gateway.push(world.room, first);
    const second = next(client, 'message', ({ text }) => text === 'two');
    world.gateway.push(world.room, first);
    world.gateway.say(world.room, world.bob, 'two');
    await second;
    expect(texts(events)).toEqual(['one', 'two']);
  });

  test('gap: the message of a lost push comes from the log, before later ones', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const events = collect(client);
    await client.connect();
    const third = next(client, 'message', ({ text }) => text === 'three');
    world.gateway.say(world.room, world.bob, 'one');
    await next(client, 'message');
    world.gateway.say(world.room, world.bob, 'two', false);
    world.gateway.say(world.room, world.bob, 'three');
    await third;
    expect(texts(events)).toEqual(['one', 'two', 'three']);
  });

  test('gap: one that closes by itself costs no sync', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { gapDelayMs: 5_000 });
    const events = collect(client);
    const synced = next(client, 'synced');
    world.gateway.say(world.room, world.bob, 'one');
    await client.connect();
    await synced;
    const two = world.gateway.say(world.room, world.bob, 'two', false);
    const three = world.gateway.say(world.room, world.bob, 'three', false);
    const last = next(client, 'message', ({ text }) => text === 'three');
    world.gateway.push(world.room, three);
    world.gateway.push(world.room, two);
    await last;
    expect(texts(events)).toEqual(['one', 'two', 'three']);
    expect(world.gateway.framesOf(FrameType.REQUEST)).toHaveLength(1);
  });

  test('RESYNC: is answered at once, and lost last messages come without further traffic', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    await next(client, 'synced');
    world.gateway.say(world.room, world.bob, 'lost tail', false);
    const message = next(client, 'message');
    world.gateway.only.resync(77);
    expect((await message).text).toBe('lost tail');
    expect(world.gateway.framesOf(FrameType.RESYNCED).map(({ ref }) => ref)).toEqual([77]);
  });

  test('reconnect: what was sent meanwhile arrives, and nothing twice', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const events = collect(client);
    await client.connect();
    const one = next(client, 'message');
    world.gateway.say(world.room, world.bob, 'one');
    await one;
    const two = next(client, 'message');
    world.gateway.only.destroy();
    world.gateway.say(world.room, world.bob, 'two', false);
    await two;
    await next(client, 'synced');
    expect(texts(events)).toEqual(['one', 'two']);
  });

  test('receipts: delivered cursors are reported, for many messages in one frame, and before CLOSE', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 50; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    const client = makeClient(world, { receiptDelayMs: 60_000 });
    const synced = next(client, 'synced');
    await client.connect();
    await synced;
    await client.close();
    await expect.poll(() => world.gateway.framesOf(FrameType.CLOSE)).toHaveLength(1);
    const frames = world.gateway.framesOf(FrameType.RECEIPTS).map(({ payload }) => Receipts.decode(payload));
    expect(frames).toEqual([
      { receipts: [{ conversation: world.room, deliveredSeq: 50n, readSeq: 0n, readEpoch: 0n, thread: 0n }] },
    ]);
    const later = makeClient(world);
    const nothing = next(later, 'synced');
    await later.connect();
    expect(await nothing).toMatchObject({ messages: 0 });
  });

  test('receipts: what may have been lost is reported again after RESYNC and on the next connection', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { receiptDelayMs: 1 });
    await client.connect();
    await next(client, 'synced');
    const marks = () =>
      world.gateway
        .framesOf(FrameType.RECEIPTS)
        .flatMap(({ payload }) => Receipts.decode(payload).receipts.map(({ readSeq }) => readSeq));
    client.markRead(world.room.toString(), 3);
    await expect.poll(() => marks().length).toBe(1);
    world.gateway.only.resync();
    await expect.poll(() => marks().length).toBe(2);
    world.gateway.only.destroy();
    await expect.poll(() => marks().length).toBe(3);
    expect(marks()).toEqual([3n, 3n, 3n]);
  });

  test('typing: rate-limited, and shown to the others with the name that the server set', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const conversation = world.room.toString();
    client.typing(conversation, true);
    for (let i = 0; i < 5; i++) client.typing(conversation);
    client.typing(conversation, true);
    client.typing('no id');
    await expect.poll(() => world.gateway.framesOf(FrameType.TYPING).length).toBe(2);
    const told = world.gateway.framesOf(FrameType.TYPING).map(({ key, payload }) => {
      return [key, Typing.decode(payload).stopped];
    });
    expect(told).toEqual([
      [world.room, false],
      [world.room, true],
    ]);
    const typing = next(client, 'typing');
    const payload = Typing.encode({ user: world.bob, name: 'bob', stopped: false }).finish();
    world.gateway.only.send(FrameType.TYPING, 0, world.room, payload);
    expect(await typing).toEqual({
      type: 'typing',
      conversation,
      user: world.bob.toString(),
      name: 'bob',
      stopped: false,
    });
  });

  test('another client of the same user: its messages come as messages', async () => {
    const world = await makeWorld();
    const desk = makeClient(world);
    const phone = makeClient(world);
    await desk.connect();
    await phone.connect();
    const seen = next(phone, 'message');
    await desk.send(world.room.toString(), 'from the desk');
    expect(await seen).toMatchObject({ from: 'alice', text: 'from the desk', seq: 1 });
  });
});

describe('sending', () => {
  test('send: resolves with seq and id; the sender gets no message event', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const events = collect(client);
    await client.connect();
    const room = world.room.toString();
    const sent = await client.send(room, 'hello');
    expect(sent).toMatchObject({ conversation: room, seq: 1, duplicate: false });
    expect(await client.send(room, 'again')).toMatchObject({ seq: 2 });
    expect(texts(events)).toEqual([]);
    expect(events.filter(({ type }) => type === 'sent')).toHaveLength(2);
  });

  test('send: 1,000 before connecting are pipelined and committed in order', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    const sends = Array.from({ length: 1_000 }, (_, i) => client.send(world.room.toString(), `m${i}`));
    await client.connect();
    const results = await Promise.all(sends);
    expect(results.map(({ seq }) => seq)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1));
  });

  test('outbox: beyond its bound a send fails at once, and the others are unaffected', async () => {
    const world = await makeWorld();
    const client = makeClient(world, { outboxLimit: 2 });
    const failed = next(client, 'failed');
    const room = world.room.toString();
    const sends = [client.send(room, 'one'), client.send(room, 'two')];
    await expect(client.send(room, 'three')).rejects.toMatchObject({ code: 'OUTBOX_FULL', retryable: true });
    expect(await failed).toMatchObject({ code: 'OUTBOX_FULL', conversation: room });
    await client.connect();
    expect(await Promise.all(sends)).toHaveLength(2);
  });

  test('window: no more sends than its size are unanswered', async () => {
    const world = await makeWorld();
    let most = 0;
    let unanswered = 0;
    world.gateway.fate = () => {
      most = Math.max(most, ++unanswered);
      return 'accept';
    };
    const client = makeClient(world, { window: 4 });
    client.on('sent', () => unanswered--);
    await client.connect();
    await Promise.all(Array.from({ length: 40 }, (_, i) => client.send(world.room.toString(), `m${i}`)));
    expect(most).toBeLessThanOrEqual(4);
  });

  test('bad input: is refused locally with its code and reaches no server', async () => {
    const world = await makeWorld();
    world.gateway.maxTextBytes = 10;
    const client = makeClient(world);
    await client.connect();
    const room = world.room.toString();
    await expect(client.send(room, '')).rejects.toMatchObject({ code: 'TEXT_EMPTY' });
    await expect(client.send(room, 'é'.repeat(6))).rejects.toMatchObject({ code: 'TEXT_TOO_LONG' });
    await expect(client.send('abc', 'x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    await expect(client.edit(room, 1, '')).rejects.toMatchObject({ code: 'TEXT_EMPTY' });
    await expect(client.edit(room, 1.5, 'x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    await expect(client.send(room, 'x', { replyTo: -1 })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    const nobody = { sender: 'bob', fromSeq: 1, toSeq: 2 };
    await expect(client.retractRange(room, nobody)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect(await client.send(room, 'é'.repeat(5))).toMatchObject({ seq: 1 });
    expect(world.gateway.framesOf(FrameType.SEND)).toHaveLength(1);
  });

  test('NACK: a final one fails only that send', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const foreign = world.gateway.chat.addRoom('foreign').toString();
    const room = world.room.toString();
    const sends = [client.send(room, 'one'), client.send(foreign, 'two'), client.send(room, 'three')];
    expect(await Promise.allSettled(sends)).toMatchObject([
      { status: 'fulfilled', value: { seq: 1 } },
      { status: 'rejected', reason: { code: 'NOT_A_MEMBER' } },
      { status: 'fulfilled', value: { seq: 2 } },
    ]);
  });

  test('NACK: a retryable one holds later sends back; all arrive in order', async () => {
    const world = await makeWorld();
    let refusals = 2;
    world.gateway.fate = ({ text }) =>
      text === 'm3' && refusals-- > 0 ? { nack: 'OVERLOADED', retryAfterMs: 1 } : 'accept';
    const client = makeClient(world);
    await client.connect();
    await Promise.all(Array.from({ length: 8 }, (_, i) => client.send(world.room.toString(), `m${i}`)));
    const log = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(log).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7']);
  });

  test('lost answer: the send is repeated with its id after RESYNC and counts once', async () => {
    const world = await makeWorld();
    let losses = 1;
    world.gateway.fate = () => (losses-- > 0 ? 'lose-answer' : 'accept');
    const client = makeClient(world);
    await client.connect();
    expect(await client.send(world.room.toString(), 'once')).toMatchObject({ seq: 1, duplicate: true });
    const ids = world.gateway.framesOf(FrameType.SEND).map(({ payload }) => Send.decode(payload).clientMsgId);
    expect(new Set(ids).size).toBe(1);
    expect(world.gateway.chat.conversations.get(world.room)?.log).toHaveLength(1);
  });

  describe('an own message that is in the log before SENT', () => {
    /** Sends `mine`, which is committed and not answered; `theirs` is behind it, and a page of the log has both. */
    async function sendUnanswered(world: World) {
      const { gateway, room, alice, bob } = world;
      const client = makeClient(world);
      const events = collect(client);
      await client.connect();
      await next(client, 'synced');
      gateway.fate = ({ clientMsgId, text }, connection) => {
        gateway.chat.append(room, alice, { clientMsgId, text });
        gateway.say(room, bob, 'theirs', false);
        gateway.fate = () => ({ nack: 'RESYNC_REQUIRED' });
        connection.resync();
        return { nack: 'RESYNC_REQUIRED' };
      };
      const before = gateway.syncs().length;
      const sent = client.send(room.toString(), 'mine');
      const received = () => gateway.syncs().length;
      await expect.poll(received, { message: 'a synchronisation' }).toBeGreaterThan(before);
      // Its answer comes behind the page.
      await client.listConversations();
      return { client, events, sent };
    }

    test('from a page: holds back later messages until SENT', async () => {
      const world = await makeWorld();
      const { client, events, sent } = await sendUnanswered(world);
      expect(texts(events)).toEqual([]);
      expect(client.pendingSends).toBe(1);
      const theirs = next(client, 'message');
      world.gateway.fate = () => 'accept';
      world.gateway.only.resync();
      expect(await sent).toMatchObject({ seq: 1, duplicate: true });
      expect(await theirs).toMatchObject({ seq: 2 });
      const shown = events.filter(({ type }) => type === 'sent' || type === 'message');
      expect(shown).toMatchObject([
        { type: 'sent', seq: 1 },
        { type: 'message', seq: 2 },
      ]);
    });

    test('from a page: the device’s next client shows it when this one ends before SENT', async () => {
      const world = await makeWorld();
      const { client, sent } = await sendUnanswered(world);
      await client.close();
      await expect(sent).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
      const later = makeClient(world);
      const events = collect(later);
      const synced = next(later, 'synced');
      await later.connect();
      await synced;
      expect(texts(events)).toEqual(['mine', 'theirs']);
    });

    test('from a push: holds back later messages until SENT', async () => {
      const world = await makeWorld();
      const { gateway, room, bob } = world;
      const client = makeClient(world, { gapDelayMs: 3_600_000 });
      const events = collect(client);
      await client.connect();
      await next(client, 'synced');
      gateway.say(room, bob, 'first');
      await next(client, 'message');
      const ids: string[] = [];
      gateway.fate = ({ clientMsgId }) => {
        ids.push(clientMsgId);
        return { nack: 'RESYNC_REQUIRED' };
      };
      const sent = client.send(room.toString(), 'mine');
      await expect.poll(() => ids, { message: 'a send' }).toHaveLength(1);
      gateway.act(room, world.alice, { clientMsgId: ids[0], text: 'mine' });
      gateway.say(room, bob, 'theirs');
      // Its answer comes behind the pushes.
      await client.listConversations();
      expect(texts(events)).toEqual(['first']);
      const theirs = next(client, 'message');
      gateway.fate = () => 'accept';
      gateway.only.resync();
      expect(await sent).toMatchObject({ seq: 2, duplicate: true });
      expect(await theirs).toMatchObject({ seq: 3, text: 'theirs' });
    });
  });

  test('no answer: unanswered sends are repeated, and then the connection is given up', async () => {
    const world = await makeWorld();
    using clock = new TestClock();
    const client = makeClient(world, { sentTimeoutMs: 5000 });
    await client.connect();
    // Fenced without a RESYNC: a server that has lost its memory of the connection.
    world.gateway.only.fenced = true;
    const disconnected = next(client, 'disconnected');
    const sent = await clock.until(client.send(world.room.toString(), 'patience'));
    expect(sent).toMatchObject({ seq: 1 });
    expect(await disconnected).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(world.gateway.framesOf(FrameType.SEND).length).toBeGreaterThanOrEqual(3);
  });

  test('reconnect: unanswered sends go out again in their order', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    let count = 0;
    world.gateway.fate = (_, connection) => {
      if (++count !== 5) return 'accept';
      connection.destroy();
      return 'lose';
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.send(world.room.toString(), `m${i}`)));
    const log = world.gateway.chat.conversations.get(world.room)?.log.map(({ text }) => text);
    expect(log).toEqual(Array.from({ length: 20 }, (_, i) => `m${i}`));
    expect(world.gateway.hellos).toHaveLength(2);
  });
});

describe('calls', () => {
  test('conversations: direct, created, joined and listed', async () => {
    const world = await makeWorld();
    world.gateway.chat.addRoom('den', world.bob);
    const client = makeClient(world);
    await client.connect();
    expect(await client.openDirect('bob')).toMatchObject({ kind: 'direct', name: 'bob' });
    expect(await client.createRoom('attic')).toMatchObject({ kind: 'room', name: 'attic' });
    expect(await client.joinRoom('den')).toMatchObject({ kind: 'room', name: 'den' });
    const first = await client.listConversations({ limit: 3 });
    const rest = await client.listConversations({ after: first.next as string });
    const names = [...first.conversations, ...rest.conversations].map(({ name }) => name);
    expect(names.toSorted()).toEqual(['attic', 'bob', 'den', 'lobby']);
    expect(rest.next).toBeUndefined();
    const all: string[] = [];
    for await (const { name } of client.allConversations()) all.push(name);
    expect(all).toEqual(names);
    await expect(client.openDirect('nobody')).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
    await expect(client.joinRoom('nowhere')).rejects.toMatchObject({ code: 'ROOM_NOT_FOUND' });
    await expect(client.createRoom('attic')).rejects.toMatchObject({ code: 'NAME_TAKEN' });
  });

  test('getConversation: its current state; refused if the user is not in it', async () => {
    const world = await makeWorld();
    const den = world.gateway.chat.addRoom('den', world.bob);
    world.gateway.pushes = false;
    const client = makeClient(world);
    const synced = next(client, 'synced');
    await client.connect();
    await synced;
    world.gateway.say(world.room, world.bob, 'hello');
    const id = world.room.toString();
    expect(await client.getConversation(id)).toEqual({
      id,
      kind: 'room',
      name: 'lobby',
      lastSeq: 1,
      unread: 1,
      threadsUnread: 0,
      role: 'owner',
      peer: undefined,
      readSeq: 0,
      visibleAfterSeq: 0,
      floorSeq: 0,
      pinsVersion: 0,
      readEpoch: 0,
      mutedUntilMs: 0,
      activeAtMs: 1_700_000_000_001,
      lastMessage: expect.objectContaining({ text: 'hello', from: 'bob', version: 0 }),
    });
    await expect(client.getConversation(den.toString())).rejects.toMatchObject({ code: 'NOT_A_MEMBER' });
    await expect(client.getConversation('x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test('listRooms: all rooms, in pages', async () => {
    const world = await makeWorld();
    const den = world.gateway.chat.addRoom('den', world.bob);
    world.gateway.say(world.room, world.bob, 'hello');
    const client = makeClient(world);
    await client.connect();
    const first = await client.listRooms({ limit: 1 });
    const id = world.room.toString();
    expect(first).toEqual({
      rooms: [{ id, name: 'lobby', members: 2, joined: true, lastSeq: 1, unread: 1 }],
      next: expect.any(String),
    });
    expect(await client.listRooms({ after: first.next as string })).toEqual({
      rooms: [{ id: den.toString(), name: 'den', members: 1, joined: false, lastSeq: 0, unread: 0 }],
      next: undefined,
    });
  });

  test('joinRoom: brings the room’s newest messages, and then new ones', async () => {
    const world = await makeWorld();
    const den = world.gateway.chat.addRoom('den', world.bob);
    for (let i = 1; i <= 10; i++) world.gateway.say(den, world.bob, `m${i}`);
    const client = makeClient(world, { joinBacklog: 3 });
    const events = collect(client);
    const synced = next(client, 'synced');
    await client.connect();
    await synced;
    const last = next(client, 'message', ({ text }) => text === 'new');
    await client.joinRoom('den');
    world.gateway.say(den, world.bob, 'new');
    await last;
    expect(texts(events)).toEqual(['m8', 'm9', 'm10', 'new']);
  });

  test('history: before, after and around a seq, the first unread, a date; all of one page', async () => {
    const world = await makeWorld();
    for (let i = 1; i <= 9; i++) world.gateway.say(world.room, world.bob, `m${i}`);
    world.gateway.chat.read.set(`${world.alice}/${world.room}`, 6n);
    const client = makeClient(world);
    await client.connect();
    const room = world.room.toString();
    const seqs = async (options: HistoryOptions) => {
      const { entries, more, moreAfter, anchor } = await client.history(room, options);
      return { seqs: entries.map(({ seq }) => seq), more, moreAfter, anchor };
    };
    const none = { anchor: undefined };
    expect(await seqs({ limit: 2 })).toEqual({ seqs: [8, 9], more: true, moreAfter: false, ...none });
    expect(await seqs({ before: 4 })).toEqual({ seqs: [1, 2, 3], more: false, moreAfter: true, ...none });
    expect(await seqs({ after: 6, limit: 2 })).toEqual({
      seqs: [7, 8],
      more: true,
      moreAfter: true,
      ...none,
    });
    expect((await seqs({ around: 5, limit: 3 })).seqs).toEqual([4, 5, 6]);
    expect(await seqs({ firstUnread: true, limit: 3 })).toMatchObject({ seqs: [6, 7, 8], anchor: 7 });
    expect(await seqs({ date: new Date(1_700_000_000_002), limit: 2 })).toMatchObject({ anchor: 2 });
    expect(await client.history(room)).toMatchObject({ asOf: 9, floorSeq: 0 });
    await expect(client.history(room, { before: -1 })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test('members: in pages, with their number and names', async () => {
    const world = await makeWorld();
    world.gateway.chat.displayNames.set(world.bob, 'Bob B.');
    const client = makeClient(world);
    await client.connect();
    const room = world.room.toString();
    const first = await client.members(room, { limit: 1 });
    expect(first).toMatchObject({ members: [{ name: 'alice', displayName: 'alice' }], count: 2 });
    expect(await client.members(room, { after: first.next as string })).toMatchObject({
      members: [{ name: 'bob', displayName: 'Bob B.' }],
      next: undefined,
    });
    expect(client.displayName(world.bob.toString())).toBe('Bob B.');
    await expect(client.members('x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  test('no answer: a call fails with DEADLINE_EXCEEDED, or with the last refusal if there was one', async () => {
    const world = await makeWorld();
    using clock = new TestClock();
    const client = makeClient(world, { callTimeoutMs: 5000 });
    await client.connect();
    world.gateway.mute.add('openDirect');
    await expect(clock.until(client.openDirect('bob'))).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    world.gateway.refuse.set('createRoom', { code: 'STORE_UNAVAILABLE', retryable: true });
    await expect(clock.until(client.createRoom('attic'))).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
  });

  test('reconnect: an unanswered call is repeated on the next connection', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    world.gateway.mute.add('openDirect');
    const opening = client.openDirect('bob');
    await expect.poll(() => world.gateway.framesOf(FrameType.REQUEST).length).toBeGreaterThan(1);
    world.gateway.mute.clear();
    world.gateway.only.destroy();
    expect(await opening).toMatchObject({ name: 'bob' });
  });

  test('deleteRoom: repeated after a lost answer it succeeds; a first attempt on a missing room fails', async () => {
    const world = await makeWorld();
    const client = makeClient(world);
    await client.connect();
    const { id } = await client.createRoom('attic');
    world.gateway.refuse.set('deleteRoom', { code: 'ROOM_NOT_FOUND', retryable: false });
    await expect(client.deleteRoom(id)).rejects.toMatchObject({ code: 'ROOM_NOT_FOUND' });
    world.gateway.refuse.clear();
    world.gateway.mute.add('deleteRoom');
    const asked = world.gateway.framesOf(FrameType.REQUEST).length;
    const deleting = client.deleteRoom(id);
    await expect.poll(() => world.gateway.framesOf(FrameType.REQUEST).length).toBeGreaterThan(asked);
    world.gateway.chat.conversations.delete(BigInt(id));
    world.gateway.refuse.set('deleteRoom', { code: 'ROOM_NOT_FOUND', retryable: false });
    world.gateway.mute.clear();
    world.gateway.only.resync();
    await deleting;
  });

  test('sync: a retryable refusal is retried, a final one is reported', async () => {
    const world = await makeWorld();
    world.gateway.refuse.set('sync', { code: 'STORE_UNAVAILABLE', retryable: true });
    const client = makeClient(world, { callTimeoutMs: 5 });
    const synced = next(client, 'synced');
    await client.connect();
    await expect.poll(() => world.gateway.framesOf(FrameType.REQUEST).length).toBeGreaterThan(3);
    world.gateway.refuse.clear();
    await synced;
    world.gateway.refuse.set('sync', { code: 'ARGUMENT_INVALID', retryable: false });
    const error = next(client, 'error');
    world.gateway.only.resync();
    expect(await error).toMatchObject({ code: 'ARGUMENT_INVALID' });
  });
});
