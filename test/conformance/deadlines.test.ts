/** Tests of docs/protocol.md on time, on a server with short times. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { signup } from '../harness/gochat.ts';
import { logIn, startSystem, type System } from './system.ts';
import { WireClient } from './wire-client.ts';

let system: System;

beforeAll(async () => {
  system = await startSystem(['--token-ttl-ms', '1000', '--heartbeat-interval-ms', '4000']);
  await signup(system, 'ann');
});

afterAll(() => system[Symbol.asyncDispose]());

test('an expired token: its connection stays, and new connections are refused', async () => {
  // Where logging in takes longer than the token lives, it is done again.
  const [token, client] = await eventually('a connection', async () => {
    const fresh = await logIn(system, 'ann');
    return [fresh, await WireClient.hello(system, fresh, { heartbeat_interval_ms: 16_000 })] as const;
  });
  await using live = client;
  const pings = setInterval(() => live.send({ type: 'PING' }), 100);
  onTestFinished(() => clearInterval(pings));
  await eventually('the token to expire', async () => {
    await using late = await WireClient.open(system, 'gochat.v2.json', `/ws?token=${token}`);
    await eventually('an answer', () => late.frames.length > 0);
    return late.frames.some(({ type, code }) => type === 'CLOSE' && code === 'TOKEN_EXPIRED');
  });
  expect(await live.ask({ list_conversations: {} })).toMatchObject({ type: 'RESPONSE' });
  expect(live.status).toBeUndefined();
});

test('WebSocket pings: do not count as heartbeats, so HEARTBEAT_TIMEOUT follows, with status 4006', async () => {
  await using client = await eventually('a connection', async () =>
    WireClient.hello(system, await logIn(system, 'ann'), { heartbeat_interval_ms: 1 }),
  );
  expect(client.welcome['heartbeat_interval_ms']).toBeLessThanOrEqual(1000);
  const pings = setInterval(() => client.webSocket?.ping(), 50);
  onTestFinished(() => clearInterval(pings));
  expect(await client.next('CLOSE')).toMatchObject({ code: 'HEARTBEAT_TIMEOUT', retryable: true });
  expect(await client.ended()).toBe(4006);
});
