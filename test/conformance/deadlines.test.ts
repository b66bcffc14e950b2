/** Tests of docs/protocol.md on time, on a server with short times. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { signup } from '../harness/gochat.ts';
import { logIn, startSystem, type System } from './system.ts';
import { WireClient } from './wire-client.ts';

let system: System;

beforeAll(async () => {
  system = await startSystem([
    '--token-ttl-ms',
    '1000',
    '--heartbeat-interval-ms',
    '4000',
    '--edit-window-ms',
    '0',
  ]);
  await signup(system, 'ann');
});

afterAll(() => system[Symbol.asyncDispose]());

test('a token that expires: its connection ends with TOKEN_EXPIRED, and new connections are refused', async () => {
  // Where logging in takes longer than the token lives, it is done again.
  const [token, client] = await eventually('a connection', async () => {
    const fresh = await logIn(system, 'ann');
    return [fresh, await WireClient.hello(system, fresh, { heartbeat_interval_ms: 16_000 })] as const;
  });
  await using live = client;
  const pings = setInterval(() => live.send({ type: 'PING' }), 100);
  onTestFinished(() => clearInterval(pings));
  expect(await live.next('CLOSE')).toMatchObject({ code: 'TOKEN_EXPIRED', retryable: false });
  expect(await live.ended()).toBe(4021);
  await using late = await WireClient.open(system, 'gochat.v2.json', `/ws?token=${token}`);
  expect(await late.next('CLOSE')).toMatchObject({ code: 'TOKEN_EXPIRED' });
});

test('an edit that comes too late: EDIT_TOO_LATE, and the text stays', async () => {
  // Once more where the token has expired, or both were committed in the same millisecond.
  const [said, page] = await eventually('an edit that is refused', async () => {
    await using client = await WireClient.hello(system, await logIn(system, 'ann'));
    const { id } = (await client.ask({ open_direct: { user_name: 'ann' } }))['conversation'] as {
      id: string;
    };
    const { seq } = await client.say(id, 'what was said');
    const answer = await client.put(id, { kind: 'ENTRY_KIND_EDIT', target: seq, text: 'else' });
    if (answer['type'] === 'SENT') throw new Error('it was in time');
    expect(answer).toMatchObject({ code: 'EDIT_TOO_LATE', retryable: false });
    return [seq, await client.ask({ get_history: {} }, id)] as const;
  });
  const { messages } = page['history'] as { messages: readonly { seq: unknown; text: string }[] };
  expect(messages.find(({ seq }) => seq === said)?.text).toBe('what was said');
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
