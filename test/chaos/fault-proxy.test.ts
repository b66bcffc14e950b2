import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FaultProxy } from './fault-proxy.ts';
import { Random } from './random.ts';
import { within } from '../harness/eventually.ts';

let cleanup: AsyncDisposableStack;
let proxy: FaultProxy;
/** The target's side of each connection, in order. */
let served: Socket[];

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  served = [];
  const target = createServer({ allowHalfOpen: true }, (socket) => {
    served.push(socket);
    socket.on('error', () => undefined);
    target.emit('served');
  });
  target.listen(0, '127.0.0.1');
  await once(target, 'listening');
  cleanup.defer(async () => {
    for (const socket of served) socket.destroy();
    await new Promise((resolve) => target.close(resolve));
  });
  proxy = await FaultProxy.start({
    host: '127.0.0.1',
    port: 0,
    target: { host: '127.0.0.1', port: (target.address() as AddressInfo).port },
    random: new Random(1),
  });
  cleanup.use(proxy);
  newServed = () => once(target, 'served');
});
let newServed: () => Promise<unknown>;

afterEach(() => cleanup.disposeAsync());

/** A connection through the proxy: both its ends. */
async function open(): Promise<{ near: Socket; far: Socket }> {
  const arrived = newServed();
  const near = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  near.on('error', () => undefined);
  cleanup.defer(() => void near.destroy());
  await within('what was sent', arrived);
  return { near, far: served.at(-1) as Socket };
}

/** Reads exactly this many bytes. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let got = 0;
  while (got < length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    chunks.push(chunk);
    got += chunk.length;
  }
  return Buffer.concat(chunks);
}

/** Resolves with the error that a connection ends with. */
function error(socket: Socket): Promise<Error> {
  return new Promise((resolve) => {
    socket.once('error', resolve);
  });
}

/** Resolves with false when nothing comes before the promise does. */
async function comesBefore(socket: Socket, other: Promise<unknown>): Promise<boolean> {
  let came = false;
  socket.once('data', () => {
    came = true;
  });
  await other;
  return came;
}

/** An echo over another connection, which is as long as a byte needs to get through. */
async function roundTrip(): Promise<void> {
  const { near, far } = await open();
  const there = read(far, 1);
  near.write('?');
  await there;
  const back = read(near, 1);
  far.write('!');
  await back;
}

describe('FaultProxy', () => {
  test('no fault: a megabyte each way arrives unchanged, and both ends', async () => {
    const { near, far } = await open();
    const bytes = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7) & 0xff));
    const both = Promise.all([read(far, bytes.length), read(near, bytes.length)]);
    near.end(bytes);
    far.end(bytes);
    const [up, down] = await both;
    expect(up.equals(bytes)).toBe(true);
    expect(down.equals(bytes)).toBe(true);
  });

  test('latency and jitter: not before the latency, and in order', async () => {
    const { near, far } = await open();
    proxy.impose({ up: { latencyMs: 60, jitterMs: 60 } });
    const begun = performance.now();
    const all = read(far, 300);
    for (let i = 0; i < 100; i++) near.write(`${i % 10}ab`);
    const text = (await all).toString();
    expect(performance.now() - begun).toBeGreaterThanOrEqual(60);
    expect(text).toBe(Array.from({ length: 100 }, (_, i) => `${i % 10}ab`).join(''));
  });

  test('bandwidth: takes as long as the bytes need', async () => {
    const { near, far } = await open();
    proxy.impose({ up: { bytesPerSecond: 50_000, sliceBytes: 500 } });
    const begun = performance.now();
    near.write(Buffer.alloc(5000, 'x'));
    await read(far, 5000);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(95);
  });

  test('slices: each piece leaves after the one before, and all arrive', async () => {
    const { near, far } = await open();
    proxy.impose({ up: { sliceBytes: 1 } });
    const begun = performance.now();
    const all = read(far, 50);
    near.write('abcdefghij'.repeat(5));
    expect((await all).toString()).toBe('abcdefghij'.repeat(5));
    // 0.2 ms between two of them.
    expect(performance.now() - begun).toBeGreaterThanOrEqual(9);
  });

  test.each(['up', 'down'] as const)(
    'held %s: nothing passes that way, then all of it',
    async (direction) => {
      const { near, far } = await open();
      proxy.impose({ [direction]: { hold: true } });
      const [from, to] = direction === 'up' ? [near, far] : [far, near];
      from.write('held');
      // The other way is open.
      const back = read(from, 4);
      to.write('free');
      expect((await back).toString()).toBe('free');
      const arrives = read(to, 4);
      proxy.heal();
      expect((await arrives).toString()).toBe('held');
    },
  );

  test('held on a share of the connections: the others pass', async () => {
    const { near, far } = await open();
    proxy.impose({ up: { hold: true } });
    proxy.impose({}, 0);
    const { near: other, far: otherFar } = await open();
    const passed = read(otherFar, 2);
    other.write('ok');
    expect((await passed).toString()).toBe('ok');
    near.write('x');
    expect(await comesBefore(far, roundTrip())).toBe(false);
  });

  test('held: the end waits too', async () => {
    const { near, far } = await open();
    proxy.impose({ up: { hold: true } });
    far.resume();
    const ended = once(far, 'end');
    near.end('last');
    proxy.heal();
    await within('the end of the connection', ended);
    expect(far.bytesRead).toBe(4);
  });

  test.each(['up', 'down'] as const)(
    'held %s: a reset waits too, and passes the other way at once',
    async (direction) => {
      const [held, free] = [await open(), await open()];
      proxy.impose({ [direction]: { hold: true } });
      // New connections are not held.
      proxy.impose({}, 0);
      const [from, to] = direction === 'up' ? [held.near, held.far] : [held.far, held.near];
      const [back, there] = direction === 'up' ? [free.far, free.near] : [free.near, free.far];
      const broken = error(there);
      back.resetAndDestroy();
      expect(await broken).toMatchObject({ code: 'ECONNRESET' });
      let told = false;
      const waits = error(to).finally(() => (told = true));
      from.resetAndDestroy();
      await roundTrip();
      expect(told).toBe(false);
      proxy.heal();
      expect(await waits).toMatchObject({ code: 'ECONNRESET' });
    },
  );

  test('reset: both ends see it at once', async () => {
    const { near, far } = await open();
    const errors = Promise.all([error(near), error(far)]);
    proxy.reset();
    expect(await errors).toMatchObject([{ code: 'ECONNRESET' }, { code: 'ECONNRESET' }]);
    expect(proxy.connections).toBe(0);
  });

  test('half-close: one side sees the end, the other direction goes on', async () => {
    const { near, far } = await open();
    far.resume();
    const ended = once(far, 'end');
    proxy.halfClose('up');
    await within('the end of the connection', ended);
    const down = read(near, 5);
    far.write('still');
    expect((await down).toString()).toBe('still');
  });

  test('refuse: a new connection is reset, an old one stays; after heal both work', async () => {
    const { near, far } = await open();
    proxy.impose({ refuse: true });
    const refused = connect({ port: proxy.port, host: '127.0.0.1' });
    expect(await error(refused)).toMatchObject({ code: 'ECONNRESET' });
    const old = read(far, 3);
    near.write('old');
    expect((await old).toString()).toBe('old');
    proxy.heal();
    await roundTrip();
  });

  test('an unreachable target: the connection is reset', async () => {
    await using lost = await FaultProxy.start({
      host: '127.0.0.1',
      port: 0,
      target: { host: '127.0.0.1', port: 1 },
      random: new Random(1),
    });
    const near = connect({ port: lost.port, host: '127.0.0.1' });
    expect(await error(near)).toMatchObject({ code: 'ECONNRESET' });
  });

  test('a reader that stops: the writer is blocked, and nothing is lost when it goes on', async () => {
    const { near, far } = await open();
    far.pause();
    const block = Buffer.alloc(64 * 1024, 'x');
    let written = 0;
    while (near.write(block) && written < 1 << 26) {
      written += block.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(near.writableNeedDrain).toBe(true);
    const total = written + block.length;
    const all = read(far, total);
    far.resume();
    expect((await all).length).toBe(total);
  });
});

describe('Random', () => {
  test('the same seed and label: the same choices; another label: others', () => {
    const draw = (label: string) => {
      const random = new Random(7, label);
      return Array.from({ length: 8 }, () => random.between(0, 1000));
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
    expect(draw('a').every((value) => value >= 0 && value <= 1000)).toBe(true);
  });
});
