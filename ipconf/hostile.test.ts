/** Hostile requests: each is refused with a code that is counted, and the server goes on. */
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { enableMetrics, ServerCertificate, silentLogger } from '../common/mod.ts';
import { Authority } from '../crpc/testing/certificates.ts';
import { gatewayEndpoint } from './testing/test-fleet.ts';
import { TestIpconf } from './testing/test-ipconf.ts';
import { within } from '../test/harness/eventually.ts';

const ipconf = new TestIpconf();
const { start, get, listUntil, connect, raw, ofAdmin, countedCodes } = ipconf;

beforeAll(async () => {
  await enableMetrics('ipconf-test');
});

describe('bad input', () => {
  test.each([
    'n=0',
    'n=6',
    'n=x',
    'n=1e9',
    'n=',
    'transport=udp',
    'zone=%00',
    `zone=${'z'.repeat(65)}`,
    'uid=',
    'uid=a%20b',
    `uid=${'u'.repeat(65)}`,
    'v=0',
    'v=70000',
    'uid=1&uid=2',
    '%zz=1',
    'uid=%ff',
  ])('%s: 400 ARGUMENT_INVALID', async (query) => {
    await start();
    const answer = await get(`/ip/list?${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
  });

  test('unknown parameters: ignored', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start();
    await listUntil(({ status }) => status === 200);
    expect((await get('/ip/list?__proto__=1&x=2&&n=1&v=1&transport=tcp')).status).toBe(200);
  });

  test('a flood from one address: 429 with the time to wait', async () => {
    await start({ ratePerSecond: 0.001, rateBurst: 3 });
    const codes = [];
    for (let i = 0; i < 4; i++) codes.push((await get('/ip/list')).body.code);
    expect(codes).toEqual(['NO_GATEWAY', 'NO_GATEWAY', 'NO_GATEWAY', 'RATE_LIMITED']);
    const refused = await get('/ip/list');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await get('/healthz')).status).toBe(200);
  });

  test.each([
    ['an unknown path', '/nothing', 'GET'],
    ['a target that is too long', `/ip/list?${'x'.repeat(3000)}`, 'GET'],
    ['preflights', '/ip/list', 'OPTIONS'],
    ['a method that is not allowed', '/ip/list', 'DELETE'],
    ['another one', '/healthz', 'POST'],
  ])('a flood of %s: limited like any other', async (_, path, method) => {
    await start({ ratePerSecond: 0.001, rateBurst: 1 });
    expect((await get(path, { method })).body.code).not.toBe('RATE_LIMITED');
    expect((await get(path, { method })).body.code).toBe('RATE_LIMITED');
  });

  test('too many connections of one address: 429 with a code, until one of them ends', async () => {
    await start({ maxConnectionsPerAddress: 1 });
    const held = connect();
    await once(held, 'connect');
    const request = 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    // The one that is held may be accepted after it.
    await expect.poll(() => raw(request)).toMatch(/^HTTP\/1\.1 429 [^]*"code":"ADDRESS_LIMITED"/);
    held.destroy();
    await expect.poll(() => raw(request)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('too many connections of one address with TLS: cut before the handshake', async () => {
    using authority = new Authority();
    authority.issue('ipconf', 'IP:127.0.0.1');
    const files = { cert: authority.path('ipconf.pem'), key: authority.path('ipconf.key') };
    using certificate = new ServerCertificate(files, silentLogger);
    await start({ maxConnectionsPerAddress: 1, certificate });
    const [host, port] = ipconf.server.address.split(':');
    const dial = () => connectTls({ host, port: Number(port), ca: authority.ca });
    const held = dial();
    await once(held, 'secureConnect');
    const codes = countedCodes();
    await expect(once(dial(), 'secureConnect')).rejects.toThrow(/ECONNRESET|disconnected/);
    expect(codes()).toEqual(['ADDRESS_LIMITED']);
    held.destroy();
    await expect.poll(() => once(dial(), 'secureConnect').catch(() => false)).not.toBe(false);
  });

  test('a flood behind a trusted proxy: only that address is refused', async () => {
    await start({ ratePerSecond: 0.001, rateBurst: 1, trustProxy: '127.0.0.1, 10.0.0.0/8' });
    const ask = async (address: string) =>
      (await get('/ip/list', { headers: { 'x-forwarded-for': `6.6.6.6, ${address}, 10.0.0.1` } })).body.code;
    expect([await ask('9.1.1.1'), await ask('9.1.1.1'), await ask('9.1.1.2')]).toEqual([
      'NO_GATEWAY',
      'RATE_LIMITED',
      'NO_GATEWAY',
    ]);
  });

  test('an unknown path: 404 with a code', async () => {
    await start();
    const answer = await get('/ip/nothing?x=1');
    expect(answer.status).toBe(404);
    expect(answer.body.code).toBe('ROUTE_NOT_FOUND');
  });

  test('a method that is not allowed: 405 with the allowed ones', async () => {
    await start();
    const answer = await get('/ip/list', { method: 'DELETE' });
    expect(answer.status).toBe(405);
    expect(answer.body.code).toBe('METHOD_NOT_ALLOWED');
    expect(answer.headers.get('allow')).toContain('GET');
  });

  test('a query that is too long: 414 with a code', async () => {
    await start();
    const answer = await get(`/ip/list?uid=${'x'.repeat(3000)}`);
    expect(answer.status).toBe(414);
    expect(answer.body.code).toBe('REQUEST_TOO_LARGE');
  });

  test('huge headers: 431 with a code, and the server goes on', async () => {
    await start();
    const answer = await raw(`GET /ip/list HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"REQUEST_TOO_LARGE"/);
    expect((await get('/healthz')).status).toBe(200);
  });

  test('input that is not HTTP: 400 with a code, and the server goes on', async () => {
    await start();
    expect(await raw('\u0000\u0001 garbage\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 [\s\S]*"code":"ARGUMENT_INVALID"/,
    );
    expect((await get('/healthz')).status).toBe(200);
  });

  const post = 'POST /ip/list HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n';
  test.each([
    ['no Host', 'GET /ip/list HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'ARGUMENT_INVALID'],
    ['an unknown Expect', `${post}expect: nonsense\r\nconnection: close\r\n\r\n`, 417, 'ARGUMENT_INVALID'],
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
    ['an end within the body', `${post}\r\n{`, 400, 'ARGUMENT_INVALID'],
  ])('%s: a code, counted once', async (_, bytes, status, code) => {
    await start();
    const codes = countedCodes();
    const answer = await raw(bytes, true);
    expect([Number(answer.split(' ')[1]), /"code":"(\w+)"/.exec(answer)?.[1]]).toEqual([status, code]);
    expect(codes()).toEqual([code]);
  });

  test('a client that disconnects within the body: counted once, as CANCELLED', async () => {
    await start();
    const codes = countedCodes();
    const socket = connect();
    socket.write(`${post}expect: 100-continue\r\n\r\n`);
    // Its headers have been read.
    await within('100 Continue', once(socket, 'data'));
    socket.resetAndDestroy();
    await expect.poll(() => codes()).toEqual(['CANCELLED']);
  });

  test('any bytes: an answer or the end of the connection, and the server goes on', async () => {
    await start();
    const bytes = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc
        .string({ unit: 'binary', maxLength: 300 })
        .map((text) => `GET /ip/list?${text} HTTP/1.1\r\nhost: x\r\n\r\n`),
      fc
        .string({ unit: 'binary', maxLength: 300 })
        .map((text) => `POST /ip/list HTTP/1.1\r\nhost: x\r\n${text}\r\n\r\n`),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (text) => {
        const answer = await raw(text, true);
        expect(answer === '' || answer.startsWith('HTTP/1.1 ')).toBe(true);
        expect(answer).not.toMatch(/^HTTP\/1\.1 500/);
      }),
      { numRuns: 100 },
    );
    expect((await get('/healthz')).status).toBe(200);
  });

  test('metrics: count each refusal by its code', async () => {
    await start({ ratePerSecond: 0.001, rateBurst: 4 });
    await get('/ip/list?n=0');
    await get('/ip/nothing');
    await get('/ip/list', { method: 'DELETE' });
    await get('/ip/list');
    await get('/ip/list');
    await raw(`GET /ip/list HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    const text = await ofAdmin('/metrics');
    const count = (code: string) =>
      Number(
        new RegExp(`gochat_ipconf_requests_total{[^}]*code="${code}"[^}]*} (\\d+)`).exec(text)?.[1] ?? 0,
      );
    for (const code of [
      'ARGUMENT_INVALID',
      'ROUTE_NOT_FOUND',
      'METHOD_NOT_ALLOWED',
      'RATE_LIMITED',
      'REQUEST_TOO_LARGE',
    ])
      expect([code, count(code)]).toEqual([code, 1]);
  });

  test('a batch: each of its requests counts', async () => {
    await start({ ratePerSecond: 0.001, rateBurst: 5 });
    const post = () =>
      get('/ip/list', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ requests: Array.from({ length: 5 }, () => ({})) }),
      });
    expect((await post()).body.code).toBe('NO_GATEWAY');
    expect((await post()).body.code).toBe('RATE_LIMITED');
  });

  test('CORS: no other origin by default; a named origin, and its preflight', async () => {
    const origin = 'https://chat.example';
    const allowed = async (method: string) => {
      const { status, headers } = await get('/ip/list', { method, headers: { origin } });
      return [status, ...['origin', 'methods'].map((name) => headers.get(`access-control-allow-${name}`))];
    };
    await start();
    expect([await allowed('GET'), await allowed('OPTIONS')]).toEqual([
      [503, null, null],
      [204, null, null],
    ]);
    await start({ corsOrigins: origin });
    expect([await allowed('GET'), await allowed('OPTIONS')]).toEqual([
      [503, origin, null],
      [204, origin, 'GET, HEAD, OPTIONS, POST'],
    ]);
  });

  test('OPTIONS: the methods of the path; 404 for an unknown path', async () => {
    await start();
    const answer = await get('/healthz', { method: 'OPTIONS' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
    expect((await get('/nothing', { method: 'OPTIONS' })).body.code).toBe('ROUTE_NOT_FOUND');
  });

  test('a proxy may have any number of connections; other addresses only their own', async () => {
    await start({ maxConnectionsPerAddress: 1, trustProxy: '127.0.0.1' });
    const held = connect();
    await once(held, 'connect');
    expect((await get('/healthz')).status).toBe(200);
    held.destroy();
    await start({ maxConnectionsPerAddress: 1, trustProxy: '10.0.0.1' });
    const own = connect();
    await once(own, 'connect');
    const request = 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    await expect.poll(() => raw(request)).toMatch(/^HTTP\/1\.1 429 /);
    own.destroy();
  });

  test('HEAD: the headers of GET without a body', async () => {
    await start();
    const answer = await get('/healthz', { method: 'HEAD' });
    expect(answer.status).toBe(200);
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0);
  });
});
