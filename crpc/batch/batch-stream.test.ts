/** Batch streams over real connections: order, bounds, every kind of end, and a link that comes back. */
import { Worker } from 'node:worker_threads';
import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { GochatError, silentLogger as logger } from '../../common/mod.ts';
import type { CodedError } from '../errors.ts';
import { link } from '../../proto/mod.ts';
import { BatchLink, openBatchStream } from './batch-client.ts';
import type { OpenBatchStreamOptions } from './batch-client.ts';
import type { AcceptStream } from './batch-server.ts';
import { SendResult } from './batch-stream.ts';
import type { BatchStream, BatchStreamOptions, StreamEnd } from './batch-stream.ts';
import { CrpcServer } from '../server/server.ts';
import type { CrpcServerOptions } from '../server/server.ts';
import { BatchPeer } from '../testing/batch-peer.ts';
import { FaultyProxy, Inbox } from '../testing/support.ts';
import { TestClock } from '../../test/harness/test-clock.ts';

const service = link.LinkServiceService;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Side {
  readonly records: Inbox<string>;
  readonly batches: number[];
  readonly ends: Inbox<StreamEnd>;
  readonly causes: (CodedError | undefined)[];
  readonly drains: Inbox<true>;
  readonly streams: Inbox<BatchStream>;
}

function side(): Side {
  return {
    records: new Inbox(),
    batches: [],
    ends: new Inbox(),
    causes: [],
    drains: new Inbox(),
    streams: new Inbox(),
  };
}

function handlerOf(into: Side) {
  return {
    onOpen: into.streams.push,
    onRecords: (records: readonly Uint8Array[]) => {
      into.batches.push(records.length);
      for (const record of records) into.records.push(Buffer.from(record).toString());
    },
    onDrain: () => into.drains.push(true),
    onEnd: (end: StreamEnd, cause?: CodedError) => {
      into.causes.push(cause);
      into.ends.push(end);
    },
  };
}

async function serve(
  accept: AcceptStream,
  options: Partial<CrpcServerOptions> = {},
  bounds: BatchStreamOptions = {},
): Promise<CrpcServer> {
  const server = new CrpcServer({ logger, ...options });
  server.addBatchService(service, accept, bounds);
  await server.start();
  cleanups.push(() => server.stop());
  return server;
}

/** A server that keeps what it is sent. */
async function serveInto(into: Side, options?: Partial<CrpcServerOptions>, bounds?: BatchStreamOptions) {
  return serve(
    (stream) => {
      into.streams.push(stream);
      return handlerOf(into);
    },
    options,
    bounds,
  );
}

function open(address: string, into: Side, options: Partial<OpenBatchStreamOptions> = {}): BatchStream {
  const stream = openBatchStream({ address, service, handler: handlerOf(into), ...options });
  cleanups.push(() => stream.close());
  return stream;
}

describe('batch stream', () => {
  test('records: arrive in order both ways, a tick of them in one batch', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    open(server.address, near, { peer: 'worker-1' });
    const [up, down] = [await near.streams.next(), await far.streams.next()];
    expect(down.peer).toBe('worker-1');
    const sent = Array.from({ length: 1000 }, (_, i) => `${i}`);
    for (const text of sent) {
      expect(up.send(Buffer.from(text))).toBe(SendResult.SUCCESS);
      expect(down.send(Buffer.from('d'), Buffer.from(text))).toBe(SendResult.SUCCESS);
    }
    await far.records.next((text) => text === '999');
    await near.records.next((text) => text === 'd999');
    expect(far.records.all).toEqual(sent);
    expect(near.records.all).toEqual(sent.map((text) => `d${text}`));
    expect([near.batches, far.batches]).toEqual([[1000], [1000]]);
  });

  test('send: CLOSED before the stream is open and after its end', async () => {
    const near = side();
    const server = await serveInto(side());
    const stream = open(server.address, near);
    expect(stream.send(Buffer.from('x'))).toBe(SendResult.CLOSED);
    await near.streams.next();
    expect(stream.send(Buffer.from('x'))).toBe(SendResult.SUCCESS);
    stream.close();
    expect(stream.send(Buffer.from('x'))).toBe(SendResult.CLOSED);
  });

  test('send: a record above the limit is refused and the stream goes on; the largest allowed arrives', async () => {
    const [near, far] = [side(), side()];
    const maxMessageBytes = 64 * 1024;
    const server = await serveInto(far, { maxMessageBytes });
    const stream = open(server.address, near, { maxMessageBytes });
    await near.streams.next();
    expect(stream.send(Buffer.alloc(stream.maxRecordBytes + 1))).toBe(SendResult.CLOSED);
    expect(stream.send(Buffer.alloc(stream.maxRecordBytes, 'x'))).toBe(SendResult.SUCCESS);
    expect(stream.send(Buffer.from('after'))).toBe(SendResult.SUCCESS);
    await far.records.next((text) => text === 'after');
    expect(far.records.all[0]).toHaveLength(stream.maxRecordBytes);
    expect(near.ends.all).toEqual([]);
  });

  test('a tick of more than a batch: split, in order', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    const stream = open(server.address, near, { maxBatchBytes: 10_000 });
    await near.streams.next();
    const sent = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(999, '.'));
    for (const text of sent) stream.send(Buffer.from(text));
    await far.records.next((text) => text === sent.at(-1));
    expect(far.records.all).toEqual(sent);
    expect(Math.max(...far.batches)).toBe(9);
  });

  test('a tick of more records than a batch holds: split, in order', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    const stream = open(server.address, near, { maxBatchRecords: 30 });
    await near.streams.next();
    const sent = Array.from({ length: 100 }, (_, i) => `${i}`);
    for (const text of sent) stream.send(Buffer.from(text));
    await far.records.next((text) => text === '99');
    expect(far.records.all).toEqual(sent);
    expect(far.batches).toEqual([30, 30, 30, 10]);
  });

  test('a queue full by count: BACKPRESSURE from a quarter on, CLOSED at the bound, then onDrain', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    const stream = open(server.address, near, { maxQueueRecords: 16 });
    await near.streams.next();
    const results = Array.from({ length: 17 }, (_, i) => stream.send(Buffer.from(`${i}`)));
    expect(results).toEqual([
      ...Array<SendResult>(4).fill(SendResult.SUCCESS),
      ...Array<SendResult>(12).fill(SendResult.BACKPRESSURE),
      SendResult.CLOSED,
    ]);
    await near.drains.next();
    expect(stream.send(Buffer.from('last'))).toBe(SendResult.SUCCESS);
    await far.records.next((text) => text === 'last');
    expect(far.records.all).toEqual([...Array.from({ length: 16 }, (_, i) => `${i}`), 'last']);
  });

  test('a peer that does not read: BACKPRESSURE, then CLOSED at the bound, then onDrain, and nothing is lost', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    const bounds = { maxQueueBytes: 4_000_000, highWaterBytes: 1_000_000, lowWaterBytes: 100_000 };
    const stream = open(server.address, near, bounds);
    await near.streams.next();
    (await far.streams.next()).pause();
    const seen = new Set<SendResult>();
    let taken = 0;
    // Until the transport's own buffers and then the queue are full.
    while (!seen.has(SendResult.CLOSED)) {
      for (let i = 0; i < 100; i++) {
        const result = stream.send(Buffer.from(`${taken}`.padEnd(20_000)));
        seen.add(result);
        if (result !== SendResult.CLOSED) taken++;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([...seen]).toEqual([SendResult.SUCCESS, SendResult.BACKPRESSURE, SendResult.CLOSED]);
    expect(stream.queuedBytes).toBeLessThanOrEqual(bounds.maxQueueBytes);
    expect(near.drains.all).toEqual([]);
    far.streams.all[0]?.resume();
    await near.drains.next();
    expect(stream.queuedBytes).toBeLessThanOrEqual(bounds.lowWaterBytes);
    expect(stream.send(Buffer.from('last'))).toBe(SendResult.SUCCESS);
    await far.records.next((text) => text === 'last');
    expect(far.records.all.map((text) => text.trim())).toEqual([
      ...Array.from({ length: taken }, (_, i) => `${i}`),
      'last',
    ]);
  });

  test('close by the client: flushes; ends as closed, and the server sees peer-closed', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    const stream = open(server.address, near);
    await near.streams.next();
    stream.send(Buffer.from('last words'));
    stream.close();
    stream.close();
    expect(await near.ends.next()).toBe('closed');
    expect(await far.ends.next()).toBe('peer-closed');
    expect(far.records.all).toEqual(['last words']);
    await server.stop();
    expect([near.ends.all, far.ends.all]).toEqual([['closed'], ['peer-closed']]);
  });

  test('close by the server: flushes; the client sees peer-closed', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    open(server.address, near);
    const stream = await far.streams.next();
    await near.streams.next();
    stream.send(Buffer.from('last words'));
    stream.close();
    expect(await near.ends.next()).toBe('peer-closed');
    expect(await far.ends.next()).toBe('closed');
    expect(near.records.all).toEqual(['last words']);
  });

  test('close before it is open: ends as closed', async () => {
    const near = side();
    const server = await serveInto(side());
    open(server.address, near).close();
    expect(await near.ends.next()).toBe('closed');
    expect(near.streams.all).toEqual([]);
  });

  test('drain of the server: flushes; the client sees peer-draining, and new streams are refused', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    open(server.address, near);
    const stream = await far.streams.next();
    await near.streams.next();
    stream.send(Buffer.from('last words'));
    await server.drain(5000);
    expect(await near.ends.next()).toBe('peer-draining');
    expect(await far.ends.next()).toBe('closed');
    expect(near.records.all).toEqual(['last words']);
    const late = side();
    open(server.address, late);
    expect(await late.ends.next()).toBe('lost');
  });

  test('a connection that breaks: lost on both sides, with the cause', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    await using proxy = await FaultyProxy.to(server.address);
    open(proxy.address, near);
    await near.streams.next();
    proxy.cut();
    expect(await near.ends.next()).toBe('lost');
    expect(await far.ends.next()).toBe('lost');
    expect(near.causes[0]?.code).toBe('SERVER_UNREACHABLE');
  });

  test('a half-open connection: found by keepalive on both sides', async () => {
    using clock = new TestClock();
    const [near, far] = [side(), side()];
    const keepalive = { keepaliveIntervalMs: 5000, keepaliveTimeoutMs: 3000 };
    const server = await serveInto(far, keepalive);
    await using proxy = await FaultyProxy.to(server.address);
    open(proxy.address, near, keepalive);
    await near.streams.next();
    proxy.silence();
    expect(await clock.until(near.ends.next())).toBe('lost');
    expect(await clock.until(far.ends.next())).toBe('lost');
  });

  test('a stopped server process (SIGSTOP): lost by keepalive, and the link reopens when it continues', async () => {
    using clock = new TestClock();
    const near = side();
    await using peer = await BatchPeer.serve();
    const gaps = new Inbox<StreamEnd>();
    const batchLink = new BatchLink({
      address: peer.address,
      service,
      logger,
      handler: { ...handlerOf(near), onGap: gaps.push },
      backoff: { baseMs: 5, maxMs: 20 },
      openTimeoutMs: 60_000,
      keepaliveIntervalMs: 5000,
      keepaliveTimeoutMs: 3000,
    });
    cleanups.push(() => batchLink.close());
    (await near.streams.next()).send(Buffer.from('before'));
    await near.records.next((text) => text === 'before');
    peer.freeze();
    expect(await clock.until(near.ends.next())).toBe('lost');
    expect(near.causes[0]?.code).toBe('SERVER_UNREACHABLE');
    expect(gaps.all).toEqual([]);
    peer.thaw();
    const again = await near.streams.next();
    expect(gaps.all).toEqual(['lost']);
    again.send(Buffer.from('after'));
    await near.records.next((text) => text === 'after');
  });

  test('a stopped client process (SIGSTOP): the server loses it by keepalive', async () => {
    using clock = new TestClock();
    const far = side();
    const server = await serveInto(far, { keepaliveIntervalMs: 5000, keepaliveTimeoutMs: 3000 });
    await using peer = BatchPeer.connect(server.address);
    await far.records.next((text) => text === 'hello');
    peer.freeze();
    expect(await clock.until(far.ends.next())).toBe('lost');
  });

  test('nothing listens: lost', async () => {
    const server = await serveInto(side());
    const { address } = server;
    await server.stop();
    const near = side();
    open(address, near);
    expect(await near.ends.next()).toBe('lost');
    expect(near.streams.all).toEqual([]);
  });

  test('a server that never answers: lost after the open timeout', async () => {
    const server = await serveInto(side());
    await using proxy = await FaultyProxy.to(server.address);
    proxy.silence();
    using clock = new TestClock();
    const near = side();
    open(proxy.address, near);
    expect(await clock.until(near.ends.next())).toBe('lost');
  });

  test('accept throws: the stream is refused with that error', async () => {
    const server = await serve(() => {
      throw new GochatError('OVERLOADED', { retryAfterMs: 50 });
    });
    const near = side();
    open(server.address, near);
    expect(await near.ends.next()).toBe('lost');
    expect(near.causes[0]).toMatchObject({ code: 'OVERLOADED', retryAfterMs: 50 });
  });

  test('a wrong cluster token: refused; the right one: accepted', async () => {
    const far = side();
    const server = await serveInto(far, { token: 'secret' });
    for (const token of [undefined, 'wrong']) {
      const near = side();
      open(server.address, near, token === undefined ? {} : { token });
      expect(await near.ends.next()).toBe('lost');
      expect(near.causes[0]?.code).toBe('TOKEN_INVALID');
    }
    expect(far.streams.all).toEqual([]);
    open(server.address, side(), { token: 'secret' });
    await far.streams.next();
  });

  test('a handler that throws: ends the stream, and the peer gets INTERNAL', async () => {
    const near = side();
    const ends = new Inbox<StreamEnd>();
    const server = await serve(() => ({
      onRecords: () => {
        throw new Error('broken');
      },
      onEnd: ends.push,
    }));
    open(server.address, near);
    (await near.streams.next()).send(Buffer.from('x'));
    expect(await near.ends.next()).toBe('lost');
    expect(near.causes[0]?.code).toBe('INTERNAL');
    expect(await ends.next()).toBe('closed');
  });

  test('a worker thread: talks to a server on the main thread', async () => {
    const far = side();
    const server = await serveInto(far);
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       (async () => {
         const { openBatchStream } = await import(workerData.client);
         const { link } = await import(workerData.proto);
         openBatchStream({ address: workerData.address, service: link.LinkServiceService, handler: {
           onOpen(stream) { for (let i = 0; i < 1000; i++) stream.send(Buffer.from(String(i))); stream.close(); },
           onRecords() {}, onEnd() {} } });
       })();`,
      {
        eval: true,
        workerData: {
          address: server.address,
          client: new URL('./batch-client.ts', import.meta.url).href,
          proto: new URL('../../proto/mod.ts', import.meta.url).href,
        },
      },
    );
    cleanups.push(() => worker.terminate());
    expect(await far.ends.next()).toBe('peer-closed');
    expect(far.records.all).toEqual(Array.from({ length: 1000 }, (_, i) => `${i}`));
  });
});

describe('protocol of a batch stream', () => {
  const speaks = (oldest: number, newest: number, ...capabilities: string[]) => ({
    protocol: { oldest, newest, capabilities },
  });

  test('both sides: know the newest common version and the common capabilities', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far, {}, speaks(2, 4, 'a', 'b'));
    open(server.address, near, speaks(1, 3, 'b', 'c'));
    for (const { protocol } of [await near.streams.next(), await far.streams.next()])
      expect([protocol.version, [...protocol.capabilities]]).toEqual([3, ['b']]);
  });

  test('neither side announces anything: version 1', async () => {
    const near = side();
    const server = await serveInto(side());
    open(server.address, near);
    expect((await near.streams.next()).protocol.version).toBe(1);
  });

  test.each([
    ['a client too new', speaks(3, 4), speaks(1, 2), '3 to 4', '1 to 2'],
    ['a client too old', speaks(1, 2), speaks(3, 4), '1 to 2', '3 to 4'],
    ['a client that says nothing', {}, speaks(2, 3), '1 to 1', '2 to 3'],
  ])(
    '%s: refused with both versions, in the logs of both sides',
    async (_, ours, theirs, client, server_) => {
      const [near, far] = [side(), side()];
      const [nearLog, farLog] = [new Inbox<string>(), new Inbox<string>()];
      const server = await serveInto(far, { logger: pino({}, { write: farLog.push }) }, theirs);
      const batchLink = new BatchLink({
        address: server.address,
        service,
        peer: 'gateway-1/0',
        logger: pino({}, { write: nearLog.push }),
        handler: handlerOf(near),
        ...ours,
      });
      cleanups.push(() => batchLink.close());
      const sentence = `gateway-1/0 speaks versions ${client} of /gochat.link.v1.LinkService/Connect, the server speaks versions ${server_}.`;
      const said = [await nearLog.next((line) => line.includes('trying again')), await farLog.next()];
      for (const line of said) {
        expect(line).toContain(sentence);
        expect(line).toContain('PROTOCOL_UNSUPPORTED');
      }
      expect(far.streams.all).toEqual([]);
      expect(near.streams.all).toEqual([]);
    },
  );

  test('a server of a version too old that does not check the client: the client refuses', async () => {
    const near = side();
    // What a server of version 1 does that knows nothing of announcements.
    const server = new Server();
    const [, method] = Object.entries(service)[0] as [string, (typeof service)['connect']];
    server.addService(
      { connect: method },
      {
        connect: (call: ServerDuplexStream<unknown, unknown>) => call.sendMetadata(new Metadata()),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    cleanups.push(() => server.forceShutdown());
    open(`127.0.0.1:${port}`, near, speaks(2, 3));
    expect(await near.ends.next()).toBe('lost');
    expect(near.causes[0]).toMatchObject({
      code: 'PROTOCOL_UNSUPPORTED',
      details: { peer: 'the client', client: '2 to 3', server: '1 to 1' },
    });
    const old = side();
    open(`127.0.0.1:${port}`, old, speaks(1, 3));
    expect((await old.streams.next()).protocol.version).toBe(1);
    expect(near.streams.all).toEqual([]);
  });

  test('a refused link: retries with growing waits, and opens when the server is upgraded', async () => {
    const [near, log] = [side(), new Inbox<string>()];
    const server = await serveInto(side(), {}, speaks(3, 4));
    const batchLink = new BatchLink({
      address: server.address,
      service,
      logger: pino({ level: 'debug' }, { write: log.push }),
      handler: handlerOf(near),
      backoff: { baseMs: 1, maxMs: 1000, random: () => 1 },
      ...speaks(1, 2),
    });
    cleanups.push(() => batchLink.close());
    await log.next((line) => line.includes('"waitMs":16,'));
    const lines = log.all.map((line) => JSON.parse(line) as { level: number; waitMs: number });
    // It is a warning once, and never a tight loop.
    expect(lines.map(({ waitMs }) => waitMs)).toEqual([1, 2, 4, 8, 16]);
    expect(lines.map(({ level }) => level)).toEqual([40, 20, 20, 20, 20]);
    await server.stop();
    await serveInto(side(), { port: server.port }, speaks(2, 4));
    expect((await near.streams.next()).protocol.version).toBe(2);
  });
});

describe('batch link', () => {
  test('a lost stream: onEnd, then a new stream through onOpen', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    await using proxy = await FaultyProxy.to(server.address);
    const gaps = new Inbox<[StreamEnd, number]>();
    const batchLink = new BatchLink({
      address: proxy.address,
      service,
      logger,
      handler: { ...handlerOf(near), onGap: (end) => gaps.push([end, near.streams.all.length]) },
      backoff: { baseMs: 5, maxMs: 20 },
    });
    cleanups.push(() => batchLink.close());
    const first = await near.streams.next();
    expect(batchLink.stream).toBe(first);
    proxy.cut();
    expect(await near.ends.next()).toBe('lost');
    expect(batchLink.stream).toBeUndefined();
    proxy.heal();
    const second = await near.streams.next();
    expect(second).not.toBe(first);
    expect(batchLink.stream).toBe(second);
    second.send(Buffer.from('again'));
    await far.records.next((text) => text === 'again');
    expect(near.ends.all).toEqual(['lost']);
    // Once, and before the second stream was shown.
    expect(gaps.all).toEqual([['lost', 1]]);
  });

  test('close: ends the stream as closed and does not reconnect', async () => {
    const [near, far] = [side(), side()];
    const server = await serveInto(far);
    const batchLink = new BatchLink({ address: server.address, service, logger, handler: handlerOf(near) });
    await near.streams.next();
    batchLink.close();
    batchLink.close();
    expect(await near.ends.next()).toBe('closed');
    expect(await far.ends.next()).toBe('peer-closed');
    expect(batchLink.stream).toBeUndefined();
    expect(near.streams.all).toHaveLength(1);
  });
});
