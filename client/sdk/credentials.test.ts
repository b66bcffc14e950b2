import { describe, expect, test } from 'vitest';
import { makeClient, makeWorld, next } from '../testing/harness.ts';
import type { GochatClientOptions } from './mod.ts';

/** Takes the name and the password from the options of a test's client. */
const NO_PASSWORD = { user: undefined, password: undefined } as unknown as Partial<GochatClientOptions>;

describe('refresh tokens', () => {
  test('a refresh token alone: is exchanged, and each successor is told', async () => {
    const world = await makeWorld();
    const first = makeClient(world);
    const kept: (string | undefined)[] = [];
    await first.connect();
    const client = makeClient(world, {
      ...NO_PASSWORD,
      refreshToken: 'refresh.1',
      onRefreshToken: (token) => kept.push(token),
    });
    await client.connect();
    expect(kept).toEqual(['refresh.2']);
    expect(world.gateway.hellos.at(-1)?.token).toBe('alice.2');
    await client.logout();
    expect(kept).toEqual(['refresh.2', undefined]);
  });

  test('a session that has ended: the client logs in again by its password', async () => {
    const world = await makeWorld();
    world.directory.tokenMs = 1_000;
    const client = makeClient(world);
    await client.connect();
    world.directory.endSession();
    const again = next(client, 'connected');
    world.gateway.only.destroy();
    await again;
    expect([world.directory.logins, world.directory.refreshes]).toEqual([2, 0]);
  });

  test('a session that has ended, and no password: the connection is given up with the reason', async () => {
    const world = await makeWorld();
    const client = makeClient(world, {
      ...NO_PASSWORD,
      refreshToken: 'refresh.of.nobody',
    });
    await expect(client.connect()).rejects.toMatchObject({ code: 'REFRESH_INVALID', retryable: false });
  });

  test('a server that cannot be reached: the refresh token stays, and is tried again', async () => {
    const world = await makeWorld();
    world.directory.tokenMs = 1_000;
    const client = makeClient(world);
    await client.connect();
    let failures = 2;
    world.directory.instead.set('/auth/refresh', () => {
      if (failures-- > 0) throw new TypeError('fetch failed');
      world.directory.instead.delete('/auth/refresh');
      return Response.json({ code: 'STATE_UNAVAILABLE', message: 'test' }, { status: 503 });
    });
    const again = next(client, 'connected');
    world.gateway.only.destroy();
    await again;
    expect([world.directory.logins, world.directory.refreshes]).toEqual([1, 1]);
  });
});

test('a client without a way to get a token: ARGUMENT_INVALID', async () => {
  const world = await makeWorld();
  expect(() => makeClient(world, NO_PASSWORD)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }));
});
