import { afterAll, beforeAll, expect, test } from 'vitest';
import { FrameType } from '../../proto/mod.ts';
import { JsonClient } from '../testing/test-json-client.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';

let tokens: TokenMaker;
beforeAll(async () => {
  tokens = await TokenMaker.make();
});
let state: FakeState;
beforeAll(async () => {
  state = await FakeState.start();
});
afterAll(() => state.stop());

async function open(node: TestNode, target: string): Promise<JsonClient> {
  const client = await JsonClient.open(node.wsAddress, target, []);
  node.clients.push(client);
  return client;
}

test('a client that only listens: its pongs keep it', async () => {
  await using node = await TestNode.start(tokens, [state], { heartbeatIntervalMs: 100 });
  const client = await open(node, `/ws?token=${await tokens.token(3n)}&room_id=5`);
  await client.next('join');
  // Silence of 2.5 intervals would have ended it.
  await expect.poll(() => node.node.stats.framesIn).toBeGreaterThan(6);
  expect(client.socket.readyState).toBe(WebSocket.OPEN);
});

test('its state node dies with a message under way: it arrives at the next one, and is told once', async () => {
  await using dying = await FakeState.start();
  await using node = await TestNode.start(tokens, [dying]);
  const client = await open(node, `/ws?token=${await tokens.token(3n)}&room_id=5`);
  await client.next('join');
  client.send({ type: 'message', content: 'one' });
  await client.next('sent');
  await node.reach([dying, state]);
  state.frames.length = 0;
  await dying.crash();
  client.send({ type: 'message', content: 'two' });
  expect(await client.next('sent')).toMatchObject({ room_id: '5' });
  expect(state.frames.filter(({ type }) => type === FrameType.SEND).length).toBeGreaterThan(0);
  expect(client.received.filter(({ type }) => type === 'error')).toEqual([]);
});

test('messages behind auth: kept until WELCOME', async () => {
  await using node = await TestNode.start(tokens, [state]);
  const client = await open(node, '/ws');
  client.send({ type: 'auth', token: await tokens.token(3n) });
  client.send({ type: 'join', room_id: '5' });
  expect(await client.next('auth')).toMatchObject({ user_id: '3' });
});

test('a binary message, and one that is too large', async () => {
  await using node = await TestNode.start(tokens, [state]);
  const client = await open(node, `/ws?token=${await tokens.token(3n)}`);
  client.socket.send(Uint8Array.of(1));
  expect(await client.next('error')).toMatchObject({ code: 'JSON_INVALID' });
  client.send({ type: 'message', room_id: '5', content: 'x'.repeat(300_000) });
  expect(await client.next('error')).toMatchObject({ code: 'FRAME_TOO_LARGE' });
  expect(await client.closed).toBe(4001);
});
