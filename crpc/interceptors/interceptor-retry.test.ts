/** Retries and hedging against real servers; the budget by itself. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GochatError, silentLogger as logger } from '../../common/mod.ts';
import type { PlainErrorCode } from '../../common/mod.ts';
import type { ChannelOptions } from '../client/channel.ts';
import { createClient } from '../client/client.ts';
import { withIdempotency } from '../client/definition.ts';
import { openRegistry } from '../registry/registry-url.ts';
import { RetryBudget } from './retry-budget.ts';
import { EchoCluster, hello } from '../testing/cluster.ts';
import type { EchoClient } from '../testing/cluster.ts';
import { EchoDefinition, EchoService } from '../testing/gen/echo.ts';
import { Inbox, endpointOf } from '../testing/support.ts';
import { within } from '../../test/harness/eventually.ts';

let cluster: EchoCluster;
beforeEach(() => {
  cluster = new EchoCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

const idempotent = { idempotent: true };

/** A server whose first calls fail, and how often it was asked. */
async function flaky(
  failures: number,
  options: ChannelOptions = {},
  fail: () => Error = () => new GochatError('STORE_UNAVAILABLE'),
): Promise<{ client: EchoClient; asked: () => number }> {
  let asked = 0;
  const { address } = await cluster.serve('flaky', {
    unary: async ({ text }) => {
      if (asked++ < failures) throw fail();
      return { text, server: 'flaky' };
    },
  });
  return { client: cluster.client(address, options), asked: () => asked };
}

describe('retry', () => {
  test('an idempotent call that fails twice: the third attempt succeeds', async () => {
    const { client, asked } = await flaky(2);
    expect((await client.unary(hello, idempotent)).text).toBe('hello');
    expect(asked()).toBe(3);
  });

  test('a call that is not idempotent, or retries switched off: one attempt', async () => {
    const one = await flaky(2);
    await expect(one.client.unary(hello)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(one.asked()).toBe(1);
    const other = await flaky(2, { retry: false });
    await expect(other.client.unary(hello, idempotent)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(other.asked()).toBe(1);
  });

  test('more failures than attempts: the last error', async () => {
    const { client, asked } = await flaky(10, { retry: { maxAttempts: 2 } });
    await expect(client.unary(hello, idempotent)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(asked()).toBe(2);
  });

  test.each<PlainErrorCode>(['ROLE_TOO_LOW', 'INTERNAL', 'DEADLINE_EXCEEDED'])(
    '%s: one attempt',
    async (code) => {
      const { client, asked } = await flaky(10, {}, () => new GochatError(code));
      await expect(client.unary(hello, idempotent)).rejects.toMatchObject({ code });
      expect(asked()).toBe(1);
    },
  );

  test('the .proto says idempotent: the call is retried, unless the caller says otherwise', async () => {
    let asked = 0;
    const { address } = await cluster.serve('flaky', {
      unary: async ({ text }) => {
        if (asked++ === 0) throw new GochatError('STORE_UNAVAILABLE');
        return { text, server: '' };
      },
    });
    using client = createClient(withIdempotency(EchoService, EchoDefinition), address);
    expect((await client.unary(hello)).text).toBe('hello');
    expect(asked).toBe(2);
    asked = 0;
    await expect(client.unary(hello, { idempotent: false })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    expect(asked).toBe(1);
  });

  test('another endpoint is available: the second attempt goes to it', async () => {
    await using registry = openRegistry(`memory://${randomUUID()}`, { logger });
    const asked = { bad: 0, good: 0 };
    const bad = await cluster.serve('bad', {
      unary: async () => {
        asked.bad++;
        throw new GochatError('OVERLOADED');
      },
    });
    const good = await cluster.serve('good', {
      unary: async ({ text }) => {
        asked.good++;
        return { text, server: 'good' };
      },
    });
    for (const { address } of [bad, good]) await registry.register('echo', endpointOf(address, { address }));
    const client = cluster.client('memory:///echo', {
      registry,
      retry: { maxAttempts: 2, budget: { tokens: 1000 } },
    });
    while (asked.bad === 0 || asked.good === 0) await client.tryUnary(hello, idempotent);
    asked.bad = asked.good = 0;
    for (let i = 0; i < 60; i++) expect((await client.unary(hello, idempotent)).server).toBe('good');
    expect(asked.bad).toBeGreaterThan(10);
    expect(asked.good).toBe(60);
  });

  test('the wait that the server asks for ends after the deadline: rejects at once', async () => {
    const { client, asked } = await flaky(
      10,
      {},
      () => new GochatError('OVERLOADED', { retryAfterMs: 60_000 }),
    );
    await expect(client.unary(hello, { ...idempotent, timeoutMs: 50_000 })).rejects.toMatchObject({
      code: 'OVERLOADED',
      retryAfterMs: 60_000,
    });
    expect(asked()).toBe(1);
  });

  test('aborted while it waits: rejects with the reason', async () => {
    const failed = new Inbox<true>();
    const { client, asked } = await flaky(10, {}, () => {
      failed.push(true);
      return new GochatError('OVERLOADED', { retryAfterMs: 20_000 });
    });
    const abort = new AbortController();
    const call = client.unary(hello, { ...idempotent, timeoutMs: 60_000, signal: abort.signal });
    await failed.next();
    abort.abort(new Error('changed my mind'));
    await expect(call).rejects.toThrow('changed my mind');
    expect(asked()).toBe(1);
  });

  test('everything fails: the budget ends the retries long before they double the load', async () => {
    const { client, asked } = await flaky(Infinity, { retry: { budget: { tokens: 20 }, baseMs: 1 } });
    for (let i = 0; i < 100; i++) await client.tryUnary(hello, idempotent);
    expect(asked()).toBeLessThan(115);
    expect(asked()).toBeGreaterThan(104);
  });
});

describe('hedging', () => {
  test('the first attempt hangs: another endpoint answers, and the first is cancelled', async () => {
    await using registry = openRegistry(`memory://${randomUUID()}`, { logger });
    const told = Promise.withResolvers<void>();
    let hung = 0;
    const slow = await cluster.serve('slow', {
      unary: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          hung++;
          signal.addEventListener('abort', () => {
            told.resolve();
            reject(signal.reason);
          });
        }),
    });
    const fast = await cluster.serve('fast');
    for (const { address } of [slow, fast]) await registry.register('echo', endpointOf(address, { address }));
    const client = cluster.client('memory:///echo', { registry, retry: { hedgeMs: 20 } });
    for (let i = 0; i < 10; i++) expect((await client.unary(hello, idempotent)).server).toBe('fast');
    expect(hung).toBeGreaterThan(0);
    await within('the handler is told', told.promise);
  });

  test('off by default, and for calls that are not idempotent: one attempt, however long it takes', async () => {
    let asked = 0;
    const { address } = await cluster.serve('slow', {
      unary: () => {
        asked++;
        return new Promise((resolve) => setTimeout(resolve, 100, { text: '', server: 'slow' }));
      },
    });
    await cluster.client(address).unary(hello, idempotent);
    await cluster.client(address, { retry: { hedgeMs: 5 } }).unary(hello);
    expect(asked).toBe(2);
  });

  test('both attempts fail: the error', async () => {
    const { address } = await cluster.serve('bad', {
      unary: () =>
        new Promise((_, reject) =>
          setTimeout(reject, 50, new GochatError('NAME_TAKEN', { details: { name: 'x' } })),
        ),
    });
    const client = cluster.client(address, { retry: { hedgeMs: 5 } });
    await expect(client.unary(hello, idempotent)).rejects.toMatchObject({ code: 'NAME_TAKEN' });
  });
});

describe('RetryBudget', () => {
  test('failures empty it to one half, successes fill it by the ratio', () => {
    const budget = new RetryBudget({ tokens: 10, ratio: 0.5 });
    expect([1, 2, 3, 4, 5].map(() => budget.failed())).toEqual([true, true, true, true, false]);
    for (let i = 0; i < 4; i++) budget.succeeded();
    expect(budget.failed()).toBe(true);
    expect(budget.failed()).toBe(false);
  });
});
