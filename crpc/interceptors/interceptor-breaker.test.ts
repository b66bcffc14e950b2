/** Circuit breakers against real servers. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GochatError, silentLogger as logger } from '../../common/mod.ts';
import type { CodedError } from '../errors.ts';
import type { ChannelOptions } from '../client/channel.ts';
import { openRegistry } from '../registry/registry-url.ts';
import { EchoCluster, hello, whoAnswers } from '../testing/cluster.ts';
import { endpointOf } from '../testing/support.ts';
import { eventually } from '../../test/harness/eventually.ts';

let cluster: EchoCluster;
beforeEach(() => {
  cluster = new EchoCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Servers that fail on demand behind one client; ejection is off so that only the breaker acts. */
async function servers(count: number, breaker: ChannelOptions['breaker']) {
  const registry = cluster.own(openRegistry(`memory://${randomUUID()}`, { logger }));
  const all = Array.from({ length: count }, () => ({ isBroken: false, asked: 0 }));
  for (const [i, one] of all.entries()) {
    const { address } = await cluster.serve(`s${i}`, {
      unary: async ({ text }) => {
        one.asked++;
        if (one.isBroken) throw new GochatError('STORE_UNAVAILABLE');
        return { text, server: `s${i}` };
      },
      serverStream: async function* ({ text }) {
        one.asked++;
        if (one.isBroken) throw new GochatError('STORE_UNAVAILABLE');
        yield { text, server: `s${i}` };
      },
    });
    await registry.register('echo', endpointOf(`s${i}`, { address }));
  }
  const client = cluster.client('memory:///echo', {
    registry,
    breaker,
    balancer: { policy: 'round-robin', outlier: false },
  });
  await eventually(async () => Object.keys(await whoAnswers(client, 2 * count)).length === count);
  return { client, all };
}

const broken = { failureRate: 0.5, minCalls: 4, openMs: 60_000 };

describe('circuit breaker', () => {
  test('one endpoint fails: it gets no more calls, the other gets them all', async () => {
    const { client, all } = await servers(2, broken);
    const [bad] = all;
    if (bad === undefined) throw new Error('no servers');
    bad.isBroken = true;
    await eventually(async () => (await whoAnswers(client, 6))['failed'] === undefined);
    bad.asked = 0;
    expect(await whoAnswers(client, 30)).toEqual({ s1: 30 });
    expect(bad.asked).toBe(0);
  });

  test('all endpoints fail: CIRCUIT_OPEN at once with the time to wait, and no call is made', async () => {
    const { client, all } = await servers(2, broken);
    for (const one of all) one.isBroken = true;
    await eventually(async () => {
      const result = await client.tryUnary(hello);
      return !result.ok && result.error.code === 'CIRCUIT_OPEN';
    });
    for (const one of all) one.asked = 0;
    const error = await client.unary(hello, { idempotent: true }).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'CIRCUIT_OPEN', details: { what: 'crpc.testing.Echo' } });
    expect((error as CodedError).retryAfterMs).toBeGreaterThan(0);
    await expect(
      (async () => {
        for await (const _ of client.serverStream(hello)) break;
      })(),
    ).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(all.map(({ asked }) => asked)).toEqual([0, 0]);
  });

  test('half open: one call tries; it fails: open again; it succeeds: closed', async () => {
    const { client, all } = await servers(1, { ...broken, openMs: 300 });
    const [one] = all;
    if (one === undefined) throw new Error('no servers');
    one.isBroken = true;
    const code = async (): Promise<string> => {
      const result = await client.tryUnary(hello);
      return result.ok ? 'OK' : result.error.code;
    };
    await eventually(async () => (await code()) === 'CIRCUIT_OPEN');
    one.asked = 0;
    // Many at once: when it opens half, one of them goes through.
    await eventually(async () => {
      await Promise.all(Array.from({ length: 10 }, code));
      return one.asked > 0;
    });
    expect(one.asked).toBe(1);
    expect(await code()).toBe('CIRCUIT_OPEN');
    one.isBroken = false;
    await eventually(async () => (await code()) === 'OK');
    expect(await Promise.all(Array.from({ length: 10 }, code))).toEqual(
      Array.from({ length: 10 }, () => 'OK'),
    );
  });

  test('streams count too', async () => {
    const { client, all } = await servers(1, broken);
    for (const one of all) one.isBroken = true;
    const read = async (): Promise<unknown> => {
      try {
        for await (const response of client.serverStream(hello)) return response;
      } catch (error) {
        return (error as CodedError).code;
      }
      return undefined;
    };
    await eventually(async () => (await read()) === 'CIRCUIT_OPEN');
    expect(await read()).toBe('CIRCUIT_OPEN');
  });

  test('deliberate errors of a handler: leave it closed', async () => {
    const { address } = await cluster.serve('strict', {
      unary: async () => {
        throw new GochatError('NAME_TAKEN', { details: { name: 'x' } });
      },
    });
    const client = cluster.client(address, { breaker: broken });
    for (let i = 0; i < 30; i++)
      await expect(client.unary(hello)).rejects.toMatchObject({ code: 'NAME_TAKEN' });
  });
});
