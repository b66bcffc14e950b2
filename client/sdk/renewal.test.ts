import { describe, expect, test } from 'vitest';
import { TestClock } from '../../test/harness/test-clock.ts';
import { collect, makeClient, makeWorld, next } from '../testing/harness.ts';
import { ClientError } from './mod.ts';

const TOKEN_MS = 5_000;

describe('renewal of the token', () => {
  test('before it expires: a new one goes over the live connection, again and again', async () => {
    const world = await makeWorld();
    world.gateway.tokenMs = TOKEN_MS;
    using clock = new TestClock();
    const client = makeClient(world);
    const events = collect(client);
    await client.connect();
    await clock.until(expect.poll(() => world.gateway.tokens).toEqual(['alice.2', 'alice.3']));
    expect(events.some(({ type }) => type === 'disconnected')).toBe(false);
    // The next connection needs no log-in either.
    const again = next(client, 'connected');
    world.gateway.only.destroy();
    await clock.until(again);
    expect(world.gateway.hellos.at(-1)?.token).toBe('alice.3');
  });

  test('a refusal, and a server that cannot be reached: tries again where that may help', async () => {
    const world = await makeWorld();
    world.gateway.tokenMs = TOKEN_MS;
    using clock = new TestClock();
    let calls = 0;
    const client = makeClient(world, {
      getToken: async () => {
        if (++calls === 2) throw new TypeError('fetch failed');
        return { token: `alice.${calls}` };
      },
    });
    await client.connect();
    world.gateway.refuse.set('auth', { code: 'STATE_UNAVAILABLE', retryable: true });
    await clock.until(expect.poll(() => world.gateway.tokens.length).toBeGreaterThan(1));
    world.gateway.refuse.clear();
    await clock.until(expect.poll(() => world.gateway.tokens.at(-1)).toBe(`alice.${calls}`));
    expect(world.gateway.hellos).toHaveLength(1);
  });

  test('a final refusal: is not tried again, so that no account is locked', async () => {
    const world = await makeWorld();
    world.gateway.tokenMs = TOKEN_MS;
    using clock = new TestClock();
    let calls = 0;
    const client = makeClient(world, {
      getToken: async () => {
        if (++calls > 1) throw new ClientError('CREDENTIALS_WRONG', 'test', false);
        return { token: 'alice.1' };
      },
    });
    await client.connect();
    await clock.until(expect.poll(() => calls).toBe(2));
    await clock.advance(TOKEN_MS);
    expect([calls, world.gateway.tokens]).toEqual([2, []]);
  });
});
