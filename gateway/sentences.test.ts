/** Tests that error messages are complete everywhere: in CLOSE, in a WebSocket close frame, in an HTTP answer. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { within } from '../test/harness/eventually.ts';
import { TestClock } from '../test/harness/test-clock.ts';
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

const SILENT = 'No HELLO came within 5000 ms.';

/** Resolves with the reason of the close frame that comes. */
async function closeReason(client: TestClient): Promise<string> {
  const closed = once(client.socket as WebSocket, 'close') as Promise<[number, Buffer]>;
  return (await within('the close frame', closed))[1].toString();
}

test.each(['tcp', 'ws'] as const)('silence on %s: the deadline is named', async (kind) => {
  using clock = new TestClock();
  await using node = await TestNode.start(tokens, [state]);
  const client = await node[kind]();
  const reason = kind === 'ws' ? closeReason(client) : undefined;
  expect((await clock.until(client.nextClose())).reason).toContain(SILENT);
  if (reason !== undefined) expect(await reason).toContain(SILENT);
});

test('silence before HELLO: the deadline is named', async () => {
  using clock = new TestClock();
  await using node = await TestNode.start(tokens, [state], { proxyProtocol: '127.0.0.0/8' });
  const [host = '', port] = node.address.split(':');
  const tcp = new TestClient(connect({ host, port: Number(port) }));
  expect((await clock.until(tcp.nextClose())).reason).toContain(SILENT);
  const [webHost = '', webPort] = node.wsAddress.split(':');
  const web = connect({ host: webHost, port: Number(webPort) }).setEncoding('utf8');
  let answer = '';
  web.on('data', (text: string) => (answer += text));
  await within('the end of the web connection', clock.until(once(web, 'close')));
  expect(answer).toContain(SILENT);
});

test.each(['tcp', 'ws'] as const)('a kick on %s: the client gets the reason', async (kind) => {
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
