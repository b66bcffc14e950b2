/** The opening handshake: what is refused and how, and whose limits count behind proxies. */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WS_JSON } from './listener-ws.ts';
import type { GatewayLimits } from '../limits.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';

let tokens: TokenMaker;
let state: FakeState;

beforeAll(async () => {
  tokens = await TokenMaker.make();
  state = await FakeState.start();
});

afterAll(() => state.stop());

const start = (limits: Partial<GatewayLimits> = {}) => TestNode.start(tokens, [state], limits);

const HANDSHAKE = {
  host: 'x',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-protocol': WS_JSON,
};

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly socket: Socket;
}

/** Sends a handshake with other headers (undefined: without) and returns the answer, the connection still open. */
function shake(
  node: TestNode,
  headers: Record<string, string | undefined> = {},
  start = 'GET /ws HTTP/1.1',
): Promise<Answer> {
  const lines = Object.entries({ ...HANDSHAKE, ...headers })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  const [host, port] = node.wsAddress.split(':');
  const socket = connect(Number(port), host, () => socket.write(`${start}\r\n${lines.join('')}\r\n`));
  node.clients.push(socket);
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = () => resolve({ status: Number(text.split(' ')[1]), text, socket });
    socket.on('error', reject).on('close', settle);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (text.startsWith('HTTP/1.1 101') && text.includes('\r\n\r\n')) settle();
    });
  });
}

describe('the opening handshake', () => {
  test('as in RFC 6455: 101', async () => {
    await using node = await start();
    for (const more of [
      {},
      { upgrade: 'WebSocket' },
      { 'sec-websocket-protocol': `x, ${WS_JSON}` },
      { 'sec-websocket-protocol': undefined },
    ])
      expect((await shake(node, more)).status).toBe(101);
  });

  test.each(['8', '0', '14', '13, 8', '', undefined])('version %j: 426 that names 13', async (version) => {
    await using node = await start();
    const { status, text } = await shake(node, { 'sec-websocket-version': version });
    expect(status).toBe(426);
    expect(text).toMatch(/^sec-websocket-version: 13\r$/m);
    expect(text).toMatch(/^upgrade: websocket\r$/m);
    expect(text).toContain('"code":"UPGRADE_REQUIRED"');
    expect(node.node.size).toBe(0);
  });

  test.each([
    ['HTTP/1.0', {}, 'GET /ws HTTP/1.0', 400, 'ARGUMENT_INVALID'],
    ['no Host', { host: undefined }, undefined, 400, 'ARGUMENT_INVALID'],
    ['no key', { 'sec-websocket-key': undefined }, undefined, 400, 'ARGUMENT_INVALID'],
    ['a malformed key', { 'sec-websocket-key': 'short' }, undefined, 400, 'ARGUMENT_INVALID'],
    ['another protocol', { upgrade: 'h2c' }, undefined, 426, 'UPGRADE_REQUIRED'],
    ['another method', {}, 'POST /ws HTTP/1.1', 405, 'METHOD_NOT_ALLOWED'],
    ['another path', {}, 'GET /chat HTTP/1.1', 404, 'ROUTE_NOT_FOUND'],
    ['only others', { 'sec-websocket-protocol': 'gochat.v1.json' }, undefined, 400, 'SUBPROTOCOL_MISSING'],
    ['a room without a token', {}, 'GET /ws?room_id=5 HTTP/1.1', 400, 'ARGUMENT_INVALID'],
  ] as const)('%s: refused with a code, and the connection ends', async (_, headers, line, status, code) => {
    await using node = await start();
    const answer = await shake(node, headers, line);
    expect([answer.status, /"code":"(\w+)"/.exec(answer.text)?.[1]]).toEqual([status, code]);
    if (status === 405) expect(answer.text).toMatch(/^allow: GET\r$/m);
  });

  test.each([
    ['GET /ws HTTP/1.1', 426, 'UPGRADE_REQUIRED'],
    ['GET /chat HTTP/1.1', 404, 'ROUTE_NOT_FOUND'],
    ['DELETE /ws HTTP/1.1', 405, 'METHOD_NOT_ALLOWED'],
    ['nonsense', 400, 'ARGUMENT_INVALID'],
  ])('%s without an upgrade: %i %s, and the connection ends', async (line, status, code) => {
    await using node = await start();
    const answer = await shake(node, { connection: undefined, upgrade: undefined }, line);
    expect([answer.status, /"code":"(\w+)"/.exec(answer.text)?.[1]]).toEqual([status, code]);
  });
});

describe('behind HTTP proxies', () => {
  const limits = { maxConnectionsPerAddress: 1, exemptAddresses: '' };
  const from = async (node: TestNode, forwardedFor: string) =>
    (await shake(node, { 'x-forwarded-for': forwardedFor })).status;

  test.each(['1', '127.0.0.0/8'])(
    'trusted (%s): each client has its own allowance, whatever it writes into the header',
    async (trustProxy) => {
      await using node = await start({ ...limits, trustProxy });
      expect(await from(node, '203.0.113.1')).toBe(101);
      expect(await from(node, '203.0.113.2')).toBe(101);
      expect(await from(node, '203.0.113.9, 203.0.113.1')).toBe(429);
      expect(await from(node, '2001:db8::1')).toBe(101);
      expect(await from(node, '2001:db8::2')).toBe(429);
      expect(node.node.stats.refusals).toEqual({ address_connections: 2 });
      expect(node.node.stats.disconnects).toEqual({ ADDRESS_LIMITED: 2 });
    },
  );

  test('the end of a connection: the client may open another', async () => {
    await using node = await start({ ...limits, trustProxy: '1' });
    const { socket } = await shake(node, { 'x-forwarded-for': '203.0.113.1' });
    expect(await from(node, '203.0.113.1')).toBe(429);
    socket.destroy();
    await expect.poll(() => from(node, '203.0.113.1')).toBe(101);
  });

  test.each(['', '10.0.0.0/8'])('not trusted (%j): the header is not believed', async (trustProxy) => {
    await using node = await start({ ...limits, trustProxy });
    expect(await from(node, '203.0.113.1')).toBe(101);
    // Refused at accept.
    expect(await from(node, '203.0.113.2')).toBe(429);
  });
});
