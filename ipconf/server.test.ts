import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import type { MemoryRegistry, Registry, Snapshot } from '../crpc/mod.ts';
import { IpconfServer } from './server.ts';
import { gatewayEndpoint, memoryRegistry } from './test-fleet.ts';

let registry: MemoryRegistry;
let server: IpconfServer;

const start = async (using: Registry = registry) => {
  server = new IpconfServer({ port: 0, registry: using, logger: silentLogger });
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
const raw = (bytes: string) =>
  new Promise<string>((resolve, reject) => {
    const [host, port] = server.address.split(':');
    const socket = connect(Number(port), host, () => socket.write(bytes));
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
    const lost: Registry = Object.assign(Object.create(registry) as Registry, {
      watch: (_: string, listener: (snapshot: Snapshot) => void) => {
        tell = listener;
        return () => {};
      },
    });
    await start(lost);
    const endpoints = [gatewayEndpoint('g1')];
    tell({ endpoints, stale: false });
    await listUntil(({ status }) => status === 200);
    tell({ endpoints, stale: true });
    const { body } = await listUntil(({ body }) => body.stale === true);
    expect(body.data).toHaveLength(1);
  });
});

describe('bad input', () => {
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
