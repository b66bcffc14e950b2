import { connect } from 'node:net';
import fc from 'fast-check';
import { importJWK, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { enableMetrics, silentLogger, startAdmin } from '../common/mod.ts';
import type { MemoryRegistry, Registry, Snapshot } from '../crpc/mod.ts';
import { type IpconfOptions, IpconfServer } from './server.ts';
import { gatewayEndpoint, memoryRegistry } from './test-fleet.ts';

let registry: MemoryRegistry;
let server: IpconfServer;

const start = async (options: Partial<IpconfOptions> = {}) => {
  server = new IpconfServer({ port: 0, registry, logger: silentLogger, ratePerSecond: 0, ...options });
  await server.start();
};

/** Gets a path; the answer's body is JSON. */
const get = async (path: string, init?: RequestInit) => {
  const response = await fetch(`http://${server.address}${path}`, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
};

/** Asks for the list until `done` likes it. */
const listUntil = async (done: (answer: Awaited<ReturnType<typeof get>>) => boolean) => {
  for (;;) {
    const answer = await get('/ip/list');
    if (done(answer)) return answer;
    await new Promise(setImmediate);
  }
};

/** Sends bytes and returns all that comes back. */
const raw = (bytes: string, end = false) =>
  new Promise<string>((resolve, reject) => {
    const [host, port] = server.address.split(':');
    const socket = connect(Number(port), host, () =>
      end ? socket.end(bytes, 'latin1') : socket.write(bytes),
    );
    let received = '';
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('close', () => resolve(received));
    socket.on('error', reject);
  });

beforeEach(() => {
  registry = memoryRegistry();
});

afterEach(async () => {
  await server.stop();
  await registry.close();
});

describe('GET /ip/list', () => {
  test('no gateway: 503 NO_GATEWAY that says when to ask again', async () => {
    await start();
    const answer = await get('/ip/list');
    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({ code: 'NO_GATEWAY', retry_after: 2, retry_after_ms: 2000 });
    expect(answer.body.message).toContain('gochat gateway');
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('two requests on one connection: it is kept for the second', async () => {
    await start();
    const get = 'GET /ip/list HTTP/1.1\r\nhost: ipconf\r\n';
    const answers = await raw(`${get}\r\n${get}connection: close\r\n\r\n`);
    expect(answers.match(/HTTP\/1.1 503/g)).toHaveLength(2);
    expect(answers.match(/connection: \S+/gi)).toEqual(['Connection: keep-alive', 'Connection: close']);
  });

  test('one gateway: its address, both ports, zone and score', async () => {
    await registry.register('gateway', gatewayEndpoint('g1', { zone: 'a', load: { max_connections: 100 } }));
    await start();
    const answer = await listUntil(({ status }) => status === 200);
    expect(answer.body).toMatchObject({ code: 'OK', message: 'ok', stale: false });
    expect(answer.body.data).toEqual([{ ip: '10.0.0.1', port: 8900, ws_port: 8901, zone: 'a', score: 1 }]);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('seven gateways: five at most, best first', async () => {
    for (let i = 1; i <= 7; i++) {
      const load = { connections: i * 100, max_connections: 1000 };
      await registry.register('gateway', gatewayEndpoint(`g${i}`, { load }));
    }
    await start();
    const { body } = await listUntil(({ body }) => body.data?.length > 0);
    const scores = body.data.map((gateway: { score: number }) => gateway.score);
    expect(scores).toHaveLength(5);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
  });

  test('a change of load: the order follows', async () => {
    const load = { max_connections: 1000 };
    const busy = await registry.register(
      'gateway',
      gatewayEndpoint('g1', { load: { ...load, connections: 1 } }),
    );
    await registry.register('gateway', gatewayEndpoint('g2', { load: { ...load, connections: 500 } }));
    await start();
    await listUntil(({ body }) => body.data?.[0].ip === '10.0.0.1');
    await busy.update({ load: { ...load, connections: 900 } });
    const { body } = await listUntil(({ body }) => body.data?.[0].ip === '10.0.0.2');
    expect(body.data.map((gateway: { ip: string }) => gateway.ip)).toEqual(['10.0.0.2', '10.0.0.1']);
  });

  test('a draining gateway: left out at once', async () => {
    const going = await registry.register('gateway', gatewayEndpoint('g1'));
    await registry.register('gateway', gatewayEndpoint('g2'));
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    await going.update({ load: { ...going.endpoint.load, draining: 1 } });
    const { body } = await listUntil(({ body }) => body.data?.length === 1);
    expect(body.data[0].ip).toBe('10.0.0.2');
  });

  test('the registry is lost: the last picture, and the answer says so', async () => {
    let tell: (snapshot: Snapshot) => void = () => {};
    const lost: Registry = {
      register: (service, endpoint) => registry.register(service, endpoint),
      watch: (service, listener) => {
        if (service === 'gateway') tell = listener;
        return () => {};
      },
      list: (service) => registry.list(service),
      leaseId: (name, max) => registry.leaseId(name, max),
      publish: (key, value) => registry.publish(key, value),
      follow: (key, listener) => registry.follow(key, listener),
      close: () => registry.close(),
      [Symbol.asyncDispose]: () => registry.close(),
    };
    await start({ registry: lost });
    const endpoints = [gatewayEndpoint('g1')];
    tell({ endpoints, stale: false });
    await listUntil(({ status }) => status === 200);
    tell({ endpoints, stale: true });
    const { body } = await listUntil(({ body }) => body.stale === true);
    expect(body.data).toHaveLength(1);
    expect(body.suspicion).toBeGreaterThanOrEqual(0);
  });

  test('hints: how to wait, and how long the answer may be used', async () => {
    await registry.register('gateway', gatewayEndpoint('g1'));
    await start();
    const { body } = await listUntil(({ status }) => status === 200);
    expect(body.backoff).toEqual({ base_ms: 200, max_ms: 10_000, jitter: 'full' });
    expect(body.ttl_ms).toBe(5000);
    expect(body.suspicion).toBe(0);
  });

  test('all gateways full: 503 OVERLOADED that says when to ask again', async () => {
    const load = { connections: 10, max_connections: 10 };
    await registry.register('gateway', gatewayEndpoint('g1', { load }));
    await start();
    const answer = await listUntil(({ body }) => body.code === 'OVERLOADED');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('5');
  });

  test('n: so many at most', async () => {
    for (let i = 1; i <= 4; i++) await registry.register('gateway', gatewayEndpoint(`g${i}`));
    await start();
    await listUntil(({ body }) => body.data?.length === 4);
    expect((await get('/ip/list?n=2')).body.data).toHaveLength(2);
  });

  test('transport=ws: only gateways that speak it', async () => {
    await registry.register('gateway', gatewayEndpoint('g1', { metadata: { name: 'g1' } }));
    await registry.register('gateway', gatewayEndpoint('g2'));
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    const { body } = await get('/ip/list?transport=ws');
    expect(body.data.map((gateway: { ip: string }) => gateway.ip)).toEqual(['10.0.0.2']);
  });

  test('zone: the own one first, another as long as it is there', async () => {
    for (const [i, zone] of ['a', 'b', 'a', 'b'].entries())
      await registry.register('gateway', gatewayEndpoint(`g${i}`, { zone }));
    await start();
    await listUntil(({ body }) => body.data?.length === 4);
    for (const zone of ['a', 'b']) {
      const { body } = await get(`/ip/list?zone=${zone}`);
      expect(body.data.map((gateway: { zone: string }) => gateway.zone).slice(0, 2)).toEqual([zone, zone]);
    }
    expect((await get('/ip/list?zone=unknown')).body.data).toHaveLength(4);
  });

  test('clients just placed: count at once, before any report', async () => {
    for (let i = 1; i <= 4; i++)
      await registry.register('gateway', gatewayEndpoint(`g${i}`, { load: { max_connections: 1000 } }));
    await start();
    await listUntil(({ body }) => body.data?.length === 4);
    const firsts = new Map<string, number>();
    for (let i = 0; i < 40; i++) {
      const { ip } = (await get('/ip/list')).body.data[0];
      firsts.set(ip, (firsts.get(ip) ?? 0) + 1);
    }
    // One gateway stands for the requests that waited for four to be there.
    for (const count of firsts.values()) expect(count).toBeGreaterThanOrEqual(9);
    expect(firsts.size).toBe(4);
  });

  test('several ipconf nodes: each counts its clients for the others too', async () => {
    const load = { max_connections: 1000 };
    await registry.register('gateway', gatewayEndpoint('g1', { load }));
    await using other = new IpconfServer({ port: 0, registry, logger: silentLogger });
    await other.start();
    await start();
    const credits = await listUntil(({ body }) => body.data?.[0].score <= 0.996);
    expect(credits.status).toBe(200);
    const before = (await get('/ip/list')).body.data[0].score;
    const after = (await get('/ip/list')).body.data[0].score;
    expect(before - after).toBeCloseTo(2 / 1000, 6);
  });
});

describe('POST /ip/list', () => {
  const post = (body: unknown, type = 'application/json') =>
    get('/ip/list', {
      method: 'POST',
      headers: { 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  test('a batch: one result for each request', async () => {
    for (const [i, zone] of ['a', 'b'].entries())
      await registry.register('gateway', gatewayEndpoint(`g${i}`, { zone }));
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    const { status, body } = await post({
      requests: [{ zone: 'a', n: 1 }, { uid: '7' }, { zone: 'b', n: 1 }],
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ code: 'OK', ttl_ms: 5000, stale: false });
    expect(body.results[0].data).toMatchObject([{ zone: 'a' }]);
    expect(body.results[1].data).toHaveLength(2);
    expect(body.results[2].data).toMatchObject([{ zone: 'b' }]);
  });

  test.each([
    ['not JSON', '{'],
    ['no requests', {}],
    ['none in it', { requests: [] }],
    ['too many', { requests: Array.from({ length: 101 }, () => ({})) }],
    ['a request that is none', { requests: [1] }],
    ['a bad value', { requests: [{ n: 0 }] }],
    ['a nested value', { requests: [{ uid: {} }] }],
  ])('%s: 400 ARGUMENT_INVALID', async (_, body) => {
    await start();
    const answer = await post(body);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
  });

  test('too large: 413; another content type: 415', async () => {
    await start();
    expect((await post('x'.repeat(70_000))).body.code).toBe('REQUEST_TOO_LARGE');
    expect((await post('{}', 'text/plain')).body.code).toBe('MEDIA_TYPE_UNSUPPORTED');
    expect((await get('/healthz')).status).toBe(200);
  });
});

describe('tickets', () => {
  test('a uid: a ticket that the key in the registry verifies, for this user and these gateways', async () => {
    await registry.register('gateway', gatewayEndpoint('g1'));
    await start({ tickets: true });
    await listUntil(({ status }) => status === 200);
    const { ticket } = (await get('/ip/list?uid=42')).body;
    const [ipconf] = await registry.list('ipconf');
    const key = await importJWK(JSON.parse(ipconf?.metadata['ticket_key'] ?? '{}'));
    const { payload, protectedHeader } = await jwtVerify(ticket, key, {
      issuer: 'gochat-ipconf',
      audience: 'gochat-gateway',
      algorithms: ['Ed25519'],
    });
    expect(payload).toMatchObject({ sub: '42', gateways: ['g1'] });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
    expect(protectedHeader.kid).toBe(ipconf?.id);
  });

  test('no uid, or tickets off: none', async () => {
    await registry.register('gateway', gatewayEndpoint('g1'));
    await start({ tickets: true });
    expect((await listUntil(({ status }) => status === 200)).body.ticket).toBeUndefined();
    await server.stop();
    await start();
    await listUntil(({ status }) => status === 200);
    expect((await get('/ip/list?uid=42')).body.ticket).toBeUndefined();
  });
});

describe('explain', () => {
  test('each gateway, those that drain too: reports, score, credit and why', async () => {
    await registry.register('gateway', gatewayEndpoint('g1'));
    await registry.register('gateway', gatewayEndpoint('g2', { load: { draining: 1 } }));
    await start();
    await listUntil(({ status }) => status === 200);
    const admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      servers: [server],
      logger: silentLogger,
      routes: { '/ip/explain': server.explain },
    });
    const shown = await (await fetch(`http://${admin.address}/ip/explain`)).json();
    await admin.close();
    expect(shown).toMatchObject({
      candidates: 1,
      gateways: [
        { name: 'g1', takes_clients: true, credit: 1, connections: 0, reports: [{ connections: 0 }] },
        { name: 'g2', takes_clients: false, why: [expect.stringContaining('draining'), expect.anything()] },
      ],
    });
  });
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

  test('names that are not known: passed over', async () => {
    await registry.register('gateway', gatewayEndpoint('g1'));
    await start();
    await listUntil(({ status }) => status === 200);
    expect((await get('/ip/list?__proto__=1&x=2&&n=1&v=1&transport=tcp')).status).toBe(200);
  });

  test('a flood from one address: 429 that says when to come back', async () => {
    await start({ ratePerSecond: 0.001, rateBurst: 3 });
    const codes = [];
    for (let i = 0; i < 4; i++) codes.push((await get('/ip/list')).body.code);
    expect(codes).toEqual(['NO_GATEWAY', 'NO_GATEWAY', 'NO_GATEWAY', 'RATE_LIMITED']);
    const refused = await get('/ip/list');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await get('/healthz')).status).toBe(200);
  });

  test('a flood behind a trusted proxy: only that address is refused', async () => {
    await start({ ratePerSecond: 0.001, rateBurst: 1, trustProxy: true });
    const ask = async (address: string) =>
      (await get('/ip/list', { headers: { 'x-forwarded-for': `6.6.6.6, ${address}` } })).body.code;
    expect([await ask('10.1.1.1'), await ask('10.1.1.1'), await ask('10.1.1.2')]).toEqual([
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

  test('a method that is not allowed: 405 that names those that are', async () => {
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

  test('huge headers: 431 with a code, and the server lives', async () => {
    await start();
    const answer = await raw(`GET /ip/list HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"REQUEST_TOO_LARGE"/);
    expect((await get('/healthz')).status).toBe(200);
  });

  test('what is not HTTP: 400 with a code, and the server lives', async () => {
    await start();
    expect(await raw('\u0000\u0001 garbage\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 [\s\S]*"code":"ARGUMENT_INVALID"/,
    );
    expect((await get('/healthz')).status).toBe(200);
  });

  test('any bytes: an answer or the end, and the server lives', async () => {
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
    enableMetrics('ipconf-test');
    await start({ ratePerSecond: 0.001, rateBurst: 2 });
    await get('/ip/list?n=0');
    await get('/ip/nothing');
    await get('/ip/list', { method: 'DELETE' });
    await get('/ip/list');
    await get('/ip/list');
    await raw(`GET /ip/list HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    const admin = await startAdmin({ host: '127.0.0.1', port: 0, servers: [server], logger: silentLogger });
    const text = await (await fetch(`http://${admin.address}/metrics`)).text();
    await admin.close();
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

  test('a preflight: allowed from anywhere', async () => {
    await start();
    const answer = await get('/ip/list', { method: 'OPTIONS' });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-methods')).toContain('GET');
  });

  test('HEAD: the headers of GET without a body', async () => {
    await start();
    const answer = await get('/healthz', { method: 'HEAD' });
    expect(answer.status).toBe(200);
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0);
  });
});

describe('life', () => {
  test('a port in use: PORT_IN_USE that names the flag', async () => {
    await start();
    const port = Number(server.address.split(':')[1]);
    const second = new IpconfServer({ port, registry, logger: silentLogger });
    await expect(second.start()).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { port, flag: '--port' },
    });
    await second.stop();
  });

  test('readiness: after the registry has answered, until drain', async () => {
    server = new IpconfServer({ port: 0, registry, logger: silentLogger });
    expect(server.readiness()).toBe('not listening');
    await server.start();
    await registry.register('gateway', gatewayEndpoint('g1'));
    await listUntil(({ status }) => status === 200);
    expect(server.readiness()).toBeUndefined();
    await server.drain(1000);
    expect(server.readiness()).toBe('draining');
    await expect(get('/healthz')).rejects.toThrow('fetch failed');
  });

  test('drain and stop: as often as one likes, in any order', async () => {
    await start();
    await Promise.all([server.drain(100), server.drain(100), server.stop(), server.stop()]);
    await server.drain(100);
  });
});
