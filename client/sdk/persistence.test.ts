/** A client that does not give up: without ipconf, with a cookie, before its first connection. */
import { expect, test } from 'vitest';
import { collect, makeClient, makeWorld, next } from '../testing/harness.ts';
import { tcpTransport } from '../transport-tcp.ts';
import { GochatClient } from './mod.ts';

test('gateways: are used as they are, and ipconf is not asked', async () => {
  const world = await makeWorld();
  const gateways = [{ host: '127.0.0.1', port: world.gateway.port, wsPort: 0, tls: false }];
  const client = makeClient(world, { gateways, ipconf: 'http://nobody.test' });
  await client.connect();
  expect((await client.send(world.room.toString(), 'hi')).seq).toBe(1);
});

test('cookie: the session goes on without a password, and without a refresh token in a body', async () => {
  const world = await makeWorld();
  const bodies: string[] = [];
  const client = new GochatClient({
    api: 'http://api.test',
    ipconf: 'http://ipconf.test',
    cookie: true,
    transport: tcpTransport(),
    fetch: async (url, init) => {
      if (!url.endsWith('/auth/refresh')) return world.directory.fetch(url, init);
      bodies.push(init.body as string);
      return world.directory.fetch('http://api.test/auth/login', {
        ...init,
        body: JSON.stringify({ name: 'alice', password: 'secret' }),
      });
    },
  });
  await client.connect();
  await client.close();
  expect(bodies).toEqual(['{}']);
});

test('firstConnectMs Infinity: goes on while no server can be reached, and tells; reconnect ends a wait', async () => {
  const world = await makeWorld();
  let isUp = false;
  const client = makeClient(world, {
    firstConnectMs: Infinity,
    backoff: { baseMs: 3_600_000, maxMs: 3_600_000 },
    random: () => 0.5,
    fetch: (url, init) =>
      isUp ? world.directory.fetch(url, init) : Promise.reject(new TypeError('offline')),
  });
  const events = collect(client);
  const waits = next(client, 'disconnected');
  const connected = client.connect();
  expect(await waits).toMatchObject({ code: 'SERVER_UNREACHABLE', retryInMs: expect.any(Number) });
  isUp = true;
  client.reconnect();
  await connected;
  expect(events.map(({ type }) => type).slice(0, 2)).toEqual(['disconnected', 'connected']);
});
