/** Concurrency and rate limits, both sides; the limiter on a clock of the test's own. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CodedError } from '../errors.ts';
import { clientConcurrency, serverConcurrency } from './interceptor-concurrency.ts';
import { RateLimiter, clientRateLimit, serverRateLimit } from './interceptor-rate-limit.ts';
import { EchoCluster, hello } from '../testing/cluster.ts';
import type { EchoClient } from '../testing/cluster.ts';
import { eventually } from '../../test/harness/eventually.ts';

let cluster: EchoCluster;
beforeEach(() => {
  cluster = new EchoCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'OK',
    (error: CodedError) => error.code,
  );

/** A server whose calls wait until they are let go. */
function held() {
  const waiting: (() => void)[] = [];
  return {
    waiting,
    handlers: {
      unary: ({ text }: { text: string }) =>
        new Promise<{ text: string; server: string }>((resolve) =>
          waiting.push(() => resolve({ text, server: '' })),
        ),
      serverStream: async function* () {
        await new Promise<void>((resolve) => waiting.push(resolve));
        yield { text: '', server: '' };
      },
    },
  };
}

async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of stream) count++;
  return count;
}

const sides = [
  [
    'server',
    async (limit: { maxRunning: number; maxQueued?: number; maxWaitMs?: number }) => {
      const { waiting, handlers } = held();
      const { address } = await cluster.serve('one', handlers, { interceptors: [serverConcurrency(limit)] });
      return { client: cluster.client(address), waiting };
    },
  ],
  [
    'client',
    async (limit: { maxRunning: number; maxQueued?: number; maxWaitMs?: number }) => {
      const { waiting, handlers } = held();
      const { address } = await cluster.serve('one', handlers);
      return { client: cluster.client(address, { interceptors: [clientConcurrency(limit)] }), waiting };
    },
  ],
] as const;

describe.each(sides)('concurrency limit at the %s', (side, start) => {
  test('two may run and one may wait: the fourth is refused at once, the third gets its turn', async () => {
    const { client, waiting } = await start({ maxRunning: 2, maxQueued: 1, maxWaitMs: 60_000 });
    const running = [client.unary(hello), client.unary(hello)];
    await eventually(() => waiting.length === 2);
    const third = client.unary(hello);
    const fourth = client.unary(hello).catch((error: unknown) => error);
    expect(await fourth).toMatchObject({ code: 'OVERLOADED', retryAfterMs: 60_000 });
    expect(waiting.length).toBe(2);
    waiting[0]?.();
    await running[0];
    await eventually(() => waiting.length === 3);
    for (const go of waiting) go();
    expect((await third).text).toBe('hello');
    await running[1];
    // Everybody has left: two may run again.
    const again = [client.unary(hello), client.unary(hello)];
    await eventually(() => waiting.length === 5);
    for (const go of waiting) go();
    await Promise.all(again);
  });

  test('a call that waits too long: refused', async () => {
    const { client, waiting } = await start({ maxRunning: 1, maxWaitMs: 20 });
    const first = client.unary(hello);
    await eventually(() => waiting.length === 1);
    expect(await codeOf(client.unary(hello))).toBe('OVERLOADED');
    waiting[0]?.();
    await first;
  });

  test('a caller that gives up while it waits: frees its place', async () => {
    const { client, waiting } = await start({ maxRunning: 1, maxQueued: 1, maxWaitMs: 60_000 });
    const first = client.unary(hello);
    await eventually(() => waiting.length === 1);
    const abort = new AbortController();
    const second = client.unary(hello, { signal: abort.signal });
    // The queue is full as soon as the second is in it.
    await eventually(async () => (await codeOf(client.unary(hello, { timeoutMs: 200 }))) === 'OVERLOADED');
    abort.abort(new Error('changed my mind'));
    await expect(second).rejects.toThrow('changed my mind');
    let third: Promise<string> | undefined;
    await eventually('its place is free', async () => {
      const abort = new AbortController();
      third = codeOf(client.unary(hello));
      const fourth = codeOf(client.unary(hello, { signal: abort.signal }));
      // There is one place at most: the fourth is told first only if the third has it.
      const isIn = await Promise.race([third.then(() => false), fourth.then(() => true)]);
      abort.abort();
      return isIn;
    });
    waiting[0]?.();
    await first;
    await eventually(() => waiting.length === 2);
    waiting[1]?.();
    expect(await third).toBe('OK');
  });

  test('a stream: holds its place until it ends', async () => {
    const { client, waiting } = await start({ maxRunning: 1, maxQueued: 0 });
    const stream = drain(client.serverStream(hello));
    await eventually(() => waiting.length === 1);
    expect(await codeOf(client.unary(hello))).toBe('OVERLOADED');
    expect(await codeOf(drain(client.serverStream(hello)))).toBe('OVERLOADED');
    waiting[0]?.();
    expect(await stream).toBe(1);
    const call = client.unary(hello);
    await eventually(() => waiting.length === 2);
    waiting[1]?.();
    expect(await codeOf(call)).toBe('OK');
    expect(side).toMatch(/client|server/);
  });
});

describe('RateLimiter', () => {
  test('a burst, then one per interval; the result is how long to wait', () => {
    const limiter = new RateLimiter(10, 3);
    expect([0, 0, 0].map((now) => limiter.take('', now))).toEqual([0, 0, 0]);
    expect(limiter.take('', 0)).toBe(100);
    expect(limiter.take('', 60)).toBe(40);
    expect(limiter.take('', 100)).toBe(0);
    expect(limiter.take('', 100)).toBe(100);
    // A refused call costs nothing; after a long pause there is one burst and no more.
    expect([9000, 9000, 9000].map((now) => limiter.take('', now))).toEqual([0, 0, 0]);
    expect(limiter.take('', 9000)).toBe(100);
  });

  test('keys: independent of each other, and bounded in number', () => {
    const limiter = new RateLimiter(1, 1, 2);
    expect(limiter.take('a', 0)).toBe(0);
    expect(limiter.take('b', 0)).toBe(0);
    expect(limiter.take('a', 0)).toBe(1000);
    // No room: the oldest is forgotten.
    expect(limiter.take('c', 0)).toBe(0);
    expect(limiter.take('b', 0)).toBe(1000);
    expect(limiter.take('a', 0)).toBe(0);
  });
});

describe('rate limit', () => {
  const codes = async (
    client: EchoClient,
    calls: number,
    metadata?: Record<string, string>,
  ): Promise<string[]> => {
    const all: string[] = [];
    for (let i = 0; i < calls; i++) all.push(await codeOf(client.unary(hello, metadata ? { metadata } : {})));
    return all;
  };

  test('at the server, by key: calls beyond the rate are RATE_LIMITED with the time to wait, streams too', async () => {
    const { address } = await cluster.serve(
      'one',
      {},
      {
        interceptors: [
          serverRateLimit({ perSecond: 0.01, burst: 2, keyOf: (call) => call.header('user') ?? '' }),
        ],
      },
    );
    const client = cluster.client(address);
    expect(await codes(client, 3, { user: 'ann' })).toEqual(['OK', 'OK', 'RATE_LIMITED']);
    expect(await codes(client, 1, { user: 'bob' })).toEqual(['OK']);
    const error = await client.unary(hello, { metadata: { user: 'ann' } }).catch((error: unknown) => error);
    expect((error as CodedError).retryAfterMs).toBeGreaterThan(50_000);
    expect(await codeOf(drain(client.serverStream(hello, { metadata: { user: 'ann' } })))).toBe(
      'RATE_LIMITED',
    );
  });

  test('at the client: calls beyond the rate are not sent', async () => {
    let asked = 0;
    const { address } = await cluster.serve('one', {
      unary: async ({ text }) => {
        asked++;
        return { text, server: '' };
      },
    });
    const client = cluster.client(address, {
      interceptors: [clientRateLimit({ perSecond: 0.01, burst: 1 })],
    });
    expect(await codes(client, 3)).toEqual(['OK', 'RATE_LIMITED', 'RATE_LIMITED']);
    expect(await codeOf(drain(client.serverStream(hello)))).toBe('RATE_LIMITED');
    expect(asked).toBe(1);
  });
});

describe('try', () => {
  test('a response, an error, an abort: results, never a rejection', async () => {
    const { address } = await cluster.serve('one');
    const client = cluster.client(address);
    expect(await client.tryUnary(hello)).toEqual({ ok: true, value: { text: 'hello', server: 'one' } });
    expect(await client.tryClientStream([hello])).toMatchObject({ ok: true, value: { text: 'hello' } });
    const late = await client.tryUnary(hello, { timeoutMs: -1 });
    expect(late).toMatchObject({ ok: false, error: { code: 'DEADLINE_EXCEEDED' } });
    const reason = new Error('changed my mind');
    const aborted = await client.tryUnary(hello, { signal: AbortSignal.abort(reason) });
    expect(aborted).toMatchObject({ ok: false, error: { code: 'CANCELLED', cause: reason } });
  });
});
