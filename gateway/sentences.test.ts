/** What clients are told is whole wherever it is told: in CLOSE, in a WebSocket close frame, in an HTTP answer. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { TestClient } from './testing/test-client.ts';
import { TestNode } from './testing/test-node.ts';
import { FakeState } from './testing/test-state.ts';
import { TokenMaker } from './testing/test-tokens.ts';

let tokens: TokenMaker;
let state: FakeState;

beforeAll(async () => {
  tokens = await TokenMaker.make();
  state = await FakeState.start();
});

afterAll(() => state.stop());

const SILENT = 'No HELLO came within 200 ms.';

/** Resolves with the reason of the close frame that comes. */
async function closeReason(client: TestClient): Promise<string> {
  const [, reason] = (await once(client.socket as WebSocket, 'close')) as [number, Buffer];
  return reason.toString();
}

test.each(['tcp', 'ws'] as const)('silence on %s: the deadline is named', async (kind) => {
  await using node = await TestNode.start(tokens, [state], { helloTimeoutMs: 200 });
  const client = await node[kind]();
  const reason = kind === 'ws' ? closeReason(client) : undefined;
  expect((await client.nextClose()).reason).toContain(SILENT);
  if (reason !== undefined) expect(await reason).toContain(SILENT);
});

test('silence before there is a connection: the deadline is named', async () => {
  const limits = { proxyProtocol: '127.0.0.0/8', helloTimeoutMs: 200 };
  await using node = await TestNode.start(tokens, [state], limits);
  const [host = '', port] = node.address.split(':');
  const tcp = new TestClient(connect({ host, port: Number(port) }));
  expect((await tcp.nextClose()).reason).toContain(SILENT);
  const [webHost = '', webPort] = node.wsAddress.split(':');
  const web = connect({ host: webHost, port: Number(webPort) }).setEncoding('utf8');
  let answer = '';
  web.on('data', (text: string) => (answer += text));
  await once(web, 'close');
  expect(answer).toContain(SILENT);
});

test.each(['tcp', 'ws'] as const)("an operator's order on %s: its reason is told", async (kind) => {
  await using node = await TestNode.start(tokens, [state]);
  const client = await node[kind]();
  await client.login(await tokens.token(1n));
  const reason = kind === 'ws' ? closeReason(client) : undefined;
  for (const stream of state.streams)
    for (const conn of stream.attached.keys()) stream.kick(conn, 'KICKED', 'spam');
  const sentence = 'An operator has ended this connection: spam.';
  expect((await client.nextClose()).reason).toContain(sentence);
  if (reason !== undefined) expect(await reason).toContain(sentence);
});

test('a kick whose code needs what state does not tell: INTERNAL rather than a sentence with a hole', async () => {
  await using node = await TestNode.start(tokens, [state]);
  const client = await node.tcp();
  await client.login(await tokens.token(1n));
  for (const stream of state.streams)
    for (const conn of stream.attached.keys()) stream.kick(conn, 'FRAME_TOO_LARGE');
  expect((await client.nextClose()).code).toBe('INTERNAL');
});
