import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Authority } from '../../crpc/testing/certificates.ts';
import { encodeFrame, FrameType } from '../../proto/mod.ts';
import { within } from '../../test/harness/eventually.ts';
import { TestClock } from '../../test/harness/test-clock.ts';
import type { TlsMaterial } from './tls-material.ts';
import { TestClient } from '../testing/test-client.ts';
import { TestNode } from '../testing/test-node.ts';
import { FakeState } from '../testing/test-state.ts';
import { TokenMaker } from '../testing/test-tokens.ts';

const authority = new Authority();
const { ca } = authority;
const LOCALHOST = ['IP:127.0.0.1', 'IP:::1', 'DNS:localhost'];

let tokens: TokenMaker;
let state: FakeState;
let cleanups: (() => void)[];

beforeAll(async () => {
  tokens = await TokenMaker.make();
  state = await FakeState.start();
});

beforeEach(() => {
  cleanups = [];
  return () => {
    for (const cleanup of cleanups) cleanup();
  };
});

afterAll(async () => {
  authority[Symbol.dispose]();
  await state.stop();
});

function issue(name: string): TlsMaterial {
  const { cert, key } = authority.issue(name, ...LOCALHOST);
  return { cert: cert.toString(), key: key.toString(), ticketKeys: randomBytes(48) };
}

async function dial(address: string): Promise<Socket> {
  const { hostname, port } = new URL(`tcp://${address}`);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the other side ends. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  await within(
    () => `the end behind ${JSON.stringify(text)}`,
    new Promise((end) => socket.once('close', end)),
  );
  return text;
}

describe('TLS', () => {
  test('TCP, WebSocket with protobuf and with JSON: log in and read each other', async () => {
    await using node = await TestNode.start(tokens, [state], {}, { tls: issue('gw'), ca });
    const [tcp, ws] = [await node.tcp(), await node.ws()];
    await tcp.login(await tokens.token(1n));
    await ws.login(await tokens.token(2n));
    const url = `wss://${node.wsAddress}/ws?token=${await tokens.token(3n)}`;
    const json = new WebSocket(url, 'gochat.v2.json', { ca });
    cleanups.push(() => json.terminate());
    let received = '';
    json.on('message', (data: Buffer) => (received += data.toString()));
    await expect.poll(() => received).toContain('"type":"WELCOME"');
    tcp.send(1, 5n, 'sealed');
    expect((await ws.nextMessage()).text).toBe('sealed');
    await expect.poll(() => received).toContain('"text":"sealed"');
    expect((tcp.socket as TLSSocket).getProtocol()).toBe('TLSv1.3');
    expect(node.node.stats.connections).toEqual({ tcp: 1, ws: 2 });
  });

  test('a new certificate: new clients get it, and connected ones stay', async () => {
    await using node = await TestNode.start(tokens, [state], {}, { tls: issue('old'), ca });
    const before = await node.tcp();
    await before.login(await tokens.token(1n));
    node.node.setTls(issue('new'));
    const after = await node.tcp();
    const names = [before, after].map(({ socket }) => (socket as TLSSocket).getPeerCertificate().subject.CN);
    expect(names).toEqual(['old', 'new']);
    await after.login(await tokens.token(2n));
    before.send(1, 5n, 'hi');
    expect((await after.nextMessage()).text).toBe('hi');
  });

  test('an unusable certificate: the old one stays', async () => {
    await using node = await TestNode.start(tokens, [state], {}, { tls: issue('gw'), ca });
    expect(() => node.node.setTls({ cert: 'none', key: 'none', ticketKeys: randomBytes(48) })).toThrow();
    await node.tcp();
  });

  test('a handshake that stalls: cut at its deadline, and counted', async () => {
    await using node = await TestNode.start(tokens, [state], { tlsTimeoutMs: 100 }, { tls: issue('gw') });
    for (const address of [node.address, node.wsAddress]) expect(await readAll(await dial(address))).toBe('');
    expect(node.node.stats.disconnects).toEqual({ TLS_FAILED: 2 });
    expect(node.node.size).toBe(0);
  });

  test('plain bytes on the TLS port: cut, and counted', async () => {
    await using node = await TestNode.start(tokens, [state], {}, { tls: issue('gw') });
    const socket = await dial(node.address);
    socket.write(encodeFrame(FrameType.PING, 1, 0n));
    await readAll(socket);
    await expect.poll(() => node.node.stats.disconnects).toEqual({ TLS_FAILED: 1 });
  });

  test('silence after the handshake: HELLO_TIMEOUT, as without TLS', async () => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state], {}, { tls: issue('gw'), ca });
    const client = await node.tcp();
    expect((await clock.until(client.nextClose())).code).toBe('HELLO_TIMEOUT');
    await client.closed;
  });
});

test('silence between the TLS handshake and the upgrade: cut at the deadline, and counted', async () => {
  using clock = new TestClock();
  await using node = await TestNode.start(tokens, [state], {}, { tls: issue('gw'), ca });
  const { hostname: host, port } = new URL(`tcp://${node.wsAddress}`);
  const socket = connectTls({ host, port: Number(port), ca });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  expect(await clock.until(readAll(socket))).toBe('');
  await expect.poll(() => node.node.stats.disconnects).toEqual({ HELLO_TIMEOUT: 1 });
  const client = await node.ws();
  expect(await client.login(await tokens.token(1n))).toMatchObject({ user: 1n });
});

/** A PROXY header for a client at an IPv4 address. */
function headerFor(address: string): Buffer {
  const source = Buffer.from(address.split('.').map(Number));
  const head = Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex');
  return Buffer.concat([head, source, Buffer.from([10, 0, 0, 1, 0xd9, 3, 0x1f, 0x90])]);
}

/** Writes in two pieces, which mostly arrive as two. */
async function writeSplit(socket: Socket, bytes: Uint8Array, at: number): Promise<void> {
  socket.write(bytes.subarray(0, at));
  await tick();
  await tick();
  socket.write(bytes.subarray(at));
}

describe('PROXY protocol', () => {
  const limits = { proxyProtocol: '127.0.0.0/8', maxConnectionsPerAddress: 1, exemptAddresses: '' };

  test('TCP: the client is the address in the header, wherever the header is split', async () => {
    await using node = await TestNode.start(tokens, [state], limits);
    const bytes = Buffer.concat([headerFor('192.0.2.7'), encodeFrame(FrameType.PING, 0, 0n)]);
    for (let at = 0; at <= bytes.length; at++) {
      const socket = await dial(node.address);
      const client = new TestClient(socket);
      await writeSplit(socket, bytes, at);
      // Whoever is let in and begins with PING.
      expect((await client.nextClose()).code).toBe('HELLO_EXPECTED');
      client.destroy();
      await expect.poll(() => node.node.size).toBe(0);
    }
  });

  test('WebSocket: the same, wherever the header is split', async () => {
    await using node = await TestNode.start(tokens, [state], limits);
    const request =
      'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: gochat.v2.json\r\n\r\n';
    const bytes = Buffer.concat([headerFor('192.0.2.7'), Buffer.from(request)]);
    for (let at = 0; at <= 40; at++) {
      const socket = await dial(node.wsAddress);
      await writeSplit(socket, bytes, at);
      const [answer] = (await within('an answer', once(socket, 'data'))) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 /);
      socket.destroy();
      await expect.poll(() => node.node.size).toBe(0);
    }
  });

  test.each([0, 5, 16, 28])(
    'in front of TLS: in one piece with the handshake, and split at %i',
    async (at) => {
      await using node = await TestNode.start(tokens, [state], limits, { tls: issue('gw') });
      const socket = await dial(node.address);
      const [inner, outer] = duplexPair();
      let header: Buffer | undefined = headerFor('192.0.2.7');
      outer.on('data', (chunk: Buffer) => {
        const bytes = header === undefined ? chunk : Buffer.concat([header, chunk]);
        void writeSplit(socket, bytes, header === undefined ? 0 : at);
        header = undefined;
      });
      socket.on('data', (chunk) => outer.write(chunk));
      const client = new TestClient(connectTls({ socket: inner, ca, host: 'localhost' }));
      expect(await client.login(await tokens.token(1n))).toMatchObject({ user: 1n });
    },
  );

  test('limits: count against the client, not against the balancer', async () => {
    await using node = await TestNode.start(tokens, [state], limits);
    const codes: Promise<string>[] = [];
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) {
      const socket = await dial(node.address);
      const client = new TestClient(socket);
      socket.write(headerFor(address));
      codes.push(client.nextClose().then(({ code }) => code));
      if (codes.length < 3) await expect.poll(() => node.node.size).toBe(codes.length);
    }
    expect(await codes[2]).toBe('ADDRESS_LIMITED');
    await node.node.stop();
    expect(await Promise.all(codes)).toEqual(['SERVER_DRAINING', 'SERVER_DRAINING', 'ADDRESS_LIMITED']);
  });

  test('LOCAL: the balancer itself', async () => {
    await using node = await TestNode.start(tokens, [state], { ...limits, maxConnectionsPerAddress: 2 });
    const socket = await dial(node.address);
    socket.write(Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'));
    expect(await new TestClient(socket).login(await tokens.token(1n))).toMatchObject({ user: 1n });
  });

  test('an untrusted peer: its header is read as a frame and refused', async () => {
    await using node = await TestNode.start(tokens, [state], { proxyProtocol: '10.0.0.0/8' });
    const socket = await dial(node.address);
    socket.write(headerFor('192.0.2.1'));
    expect((await new TestClient(socket).nextClose()).code).toBe('FRAME_TOO_LARGE');
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
  });

  test('no header: CLOSE on TCP, HTTP 400 on WebSocket, cut under TLS; counted', async () => {
    const ping = encodeFrame(FrameType.PING, 1, 0n);
    await using plain = await TestNode.start(tokens, [state], limits);
    const socket = await dial(plain.address);
    socket.write(ping);
    expect((await new TestClient(socket).nextClose()).code).toBe('PROXY_HEADER_INVALID');
    const web = await dial(plain.wsAddress);
    web.write('GET /ws HTTP/1.1\r\n\r\n');
    expect(await readAll(web)).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n.*PROXY header/s);
    expect(plain.node.stats.disconnects).toEqual({ PROXY_HEADER_INVALID: 2 });
    await using sealed = await TestNode.start(tokens, [state], limits, { tls: issue('gw') });
    const raw = await dial(sealed.address);
    raw.write(ping);
    expect(await readAll(raw)).toBe('');
    expect(sealed.node.stats.disconnects).toEqual({ PROXY_HEADER_INVALID: 1 });
  });

  test('half a header and silence: HELLO_TIMEOUT', async () => {
    using clock = new TestClock();
    await using node = await TestNode.start(tokens, [state], limits);
    const socket = await dial(node.address);
    socket.write(headerFor('192.0.2.1').subarray(0, 20));
    expect((await clock.until(new TestClient(socket).nextClose())).code).toBe('HELLO_TIMEOUT');
    const web = await dial(node.wsAddress);
    expect(await clock.until(readAll(web))).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('stop: destroys pending sockets', async () => {
    await using node = await TestNode.start(tokens, [state], limits);
    const sockets = [await dial(node.address), await dial(node.wsAddress)];
    await node.node.stop();
    expect(await Promise.all(sockets.map((socket) => readAll(socket)))).toEqual(['', '']);
  });
});

describe('IPv6', () => {
  test.each([
    ['::1', ['::1']],
    ['::', ['::1', '127.0.0.1']],
  ])('listening on %s: TCP and WebSocket from %j', async (host, from) => {
    await using node = await TestNode.start(tokens, [state], {}, { host });
    const [port, wsPort] = [node.address, node.wsAddress].map((address) => new URL(`tcp://${address}`).port);
    for (const address of from.map((one) => (one.includes(':') ? `[${one}]` : one))) {
      const clients = [
        await TestClient.tcp(`${address}:${port}`),
        await TestClient.ws(`${address}:${wsPort}`),
      ];
      cleanups.push(() => clients.forEach((client) => client.destroy()));
      for (const client of clients) await client.login(await tokens.token(1n));
    }
  });
});

describe('the end of a TCP connection', () => {
  test('FIN is an orderly end, RST is a break: they are counted separately', async () => {
    await using node = await TestNode.start(tokens, [state]);
    for (const end of ['end', 'resetAndDestroy'] as const) {
      const client = await node.tcp();
      await client.login(await tokens.token(1n));
      (client.socket as Socket)[end]();
      await expect.poll(() => node.node.size).toBe(0);
    }
    expect(node.node.stats.disconnects).toEqual({ PEER_GONE: 1, PEER_RESET: 1 });
  });

  test('FIN after frames: the frames are handled first', async () => {
    await using node = await TestNode.start(tokens, [state]);
    state.frames.length = 0;
    const client = await node.tcp();
    await client.login(await tokens.token(1n));
    client.send(1, 5n, 'last words');
    (client.socket as Socket).end();
    await client.closed;
    await expect.poll(() => state.frames.map(({ type }) => type)).toEqual([FrameType.SEND]);
  });

  test('CLOSE: the client can read it though it goes on sending', async () => {
    await using node = await TestNode.start(tokens, [state]);
    const client = await node.tcp();
    client.hello('nonsense');
    client.write(Buffer.alloc(200_000));
    expect((await client.nextClose()).code).toBe('FRAME_TOO_SHORT');
    expect(await client.closed).toBeUndefined();
    expect((client.socket as Socket).errored).toBeNull();
  });
});
