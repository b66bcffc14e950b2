import { decodeJwt, importJWK, jwtVerify } from 'jose';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import type { Registry, Snapshot } from '../crpc/mod.ts';
import { writeClientAddresses } from '../proto/mod.ts';
import { Placement } from './placement.ts';
import { IpconfServer } from './server.ts';
import { gatewayEndpoint } from './testing/test-fleet.ts';
import { TestIpconf } from './testing/test-ipconf.ts';

const ipconf = new TestIpconf();
const { start, get, listUntil, raw, explained } = ipconf;

describe('GET /ip/list', () => {
  test('no gateway: 503 NO_GATEWAY with the time to wait', async () => {
    await start();
    const answer = await get('/ip/list');
    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({ code: 'NO_GATEWAY', retry_after: 2, retry_after_ms: 2000 });
    expect(answer.body.message).toContain('gochat gateway');
    expect(answer.headers.get('retry-after')).toBe('2');
  });

  test('two requests on one connection: it is kept for the second', async () => {
    await start();
    const get = 'GET /ip/list HTTP/1.1\r\nhost: ipconf\r\n';
    const answers = await raw(`${get}\r\n${get}connection: close\r\n\r\n`);
    expect(answers.match(/HTTP\/1.1 503/g)).toHaveLength(2);
    expect(answers.match(/connection: \S+/gi)).toEqual(['Connection: keep-alive', 'Connection: close']);
  });

  test('one gateway: its address, both ports, zone and score', async () => {
    await ipconf.registry.register(
      'gateway',
      gatewayEndpoint('g1', { zone: 'a', load: { max_connections: 100 } }),
    );
    await start();
    const answer = await listUntil(({ status }) => status === 200);
    expect(answer.body).toMatchObject({ code: 'OK', message: 'ok', stale: false });
    expect(answer.body.data).toEqual([{ ip: '10.0.0.1', port: 8900, ws_port: 8901, zone: 'a', score: 1 }]);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('each transport: its own address, and only gateways that offer it', async () => {
    const load = { max_connections: 100 };
    const tcp = { host: '192.0.2.1', port: 8900, tls: false };
    const ws = { host: 'web.example', port: 443, tls: true };
    for (const [name, addresses] of Object.entries({
      both: { tcp, ws },
      tcp: { tcp: { ...tcp, host: '192.0.2.2' }, ws: undefined },
      ws: { tcp: undefined, ws: { ...ws, host: 'only.example' } },
    })) {
      const { address, metadata } = writeClientAddresses(addresses);
      await ipconf.registry.register(
        'gateway',
        gatewayEndpoint(name, { address, load, metadata: { name, ...metadata } }),
      );
    }
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    const rest = { zone: '', score: 1 };
    const told = async (transport: string) => {
      const { body } = await get(`/ip/list?transport=${transport}`);
      const data = body.data as readonly { ip: string }[];
      return data.map((item) => ({ ...item, ...rest })).toSorted((a, b) => a.ip.localeCompare(b.ip));
    };
    expect(await told('tcp')).toEqual([
      { ip: '192.0.2.1', port: 8900, ws_port: 0, ...rest },
      { ip: '192.0.2.2', port: 8900, ws_port: 0, ...rest },
    ]);
    expect(await told('ws')).toEqual([
      { ip: 'only.example', port: 0, ws_port: 443, tls: true, ...rest },
      { ip: 'web.example', port: 0, ws_port: 443, tls: true, ...rest },
    ]);
  });

  test('seven gateways: at most five, best first', async () => {
    for (let i = 1; i <= 7; i++) {
      const load = { connections: i * 100, max_connections: 1000 };
      await ipconf.registry.register('gateway', gatewayEndpoint(`g${i}`, { load }));
    }
    await start();
    const { body } = await listUntil(({ body }) => body.data?.length > 0);
    const scores = body.data.map((gateway: { score: number }) => gateway.score);
    expect(scores).toHaveLength(5);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
  });

  test('a change of load: the order changes', async () => {
    const load = { max_connections: 1000 };
    const busy = await ipconf.registry.register(
      'gateway',
      gatewayEndpoint('g1', { load: { ...load, connections: 1 } }),
    );
    await ipconf.registry.register('gateway', gatewayEndpoint('g2', { load: { ...load, connections: 500 } }));
    await start();
    await listUntil(({ body }) => body.data?.[0].ip === '10.0.0.1');
    await busy.update({ load: { ...load, connections: 900 } });
    const { body } = await listUntil(({ body }) => body.data?.[0].ip === '10.0.0.2');
    expect(body.data.map((gateway: { ip: string }) => gateway.ip)).toEqual(['10.0.0.2', '10.0.0.1']);
  });

  test('a draining gateway: left out at once', async () => {
    const going = await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await ipconf.registry.register('gateway', gatewayEndpoint('g2'));
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    await going.update({ load: { ...going.endpoint.load, draining: 1 } });
    const { body } = await listUntil(({ body }) => body.data?.length === 1);
    expect(body.data[0].ip).toBe('10.0.0.2');
  });

  test('the registry is lost: the last view, and the answer says so', async () => {
    let tell: (snapshot: Snapshot) => void = () => {};
    const lost: Registry = {
      register: (service, endpoint) => ipconf.registry.register(service, endpoint),
      watch: (service, listener) => {
        if (service === 'gateway') tell = listener;
        return () => {};
      },
      list: (service) => ipconf.registry.list(service),
      leaseId: (name, max) => ipconf.registry.leaseId(name, max),
      publish: (key, value) => ipconf.registry.publish(key, value),
      follow: (key, listener) => ipconf.registry.follow(key, listener),
      close: () => ipconf.registry.close(),
      [Symbol.asyncDispose]: () => ipconf.registry.close(),
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
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start();
    const { body } = await listUntil(({ status }) => status === 200);
    expect(body.backoff).toEqual({ base_ms: 200, max_ms: 10_000, jitter: 'full' });
    expect(body.ttl_ms).toBe(5000);
    expect(body.suspicion).toBe(0);
  });

  test('all gateways full: 503 OVERLOADED with the time to wait', async () => {
    const load = { connections: 10, max_connections: 10 };
    await ipconf.registry.register('gateway', gatewayEndpoint('g1', { load }));
    await start();
    const answer = await listUntil(({ body }) => body.code === 'OVERLOADED');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('5');
  });

  test('n: bounds the list', async () => {
    for (let i = 1; i <= 4; i++) await ipconf.registry.register('gateway', gatewayEndpoint(`g${i}`));
    await start();
    await listUntil(({ body }) => body.data?.length === 4);
    expect((await get('/ip/list?n=2')).body.data).toHaveLength(2);
  });

  test('transport=ws: only gateways that speak it', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1', { metadata: { name: 'g1' } }));
    await ipconf.registry.register('gateway', gatewayEndpoint('g2'));
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    const { body } = await get('/ip/list?transport=ws');
    expect(body.data.map((gateway: { ip: string }) => gateway.ip)).toEqual(['10.0.0.2']);
  });

  test('transport=ws, and no gateway that speaks it: 503 NO_GATEWAY, however empty the others are', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1', { metadata: { name: 'g1' } }));
    await start();
    await listUntil(({ status }) => status === 200);
    const answer = await get('/ip/list?transport=ws');
    expect([answer.status, answer.body.code]).toEqual([503, 'NO_GATEWAY']);
  });

  test.each(['北京', 'eu west', 'eu/1', '"\\'])('zone %s: carried as it is', async (zone) => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1', { zone: 'other' }));
    await ipconf.registry.register('gateway', gatewayEndpoint('g2', { zone }));
    await start();
    await listUntil(({ body }) => body.data?.length === 2);
    const { status, body } = await get(`/ip/list?zone=${encodeURIComponent(zone)}`);
    expect(status).toBe(200);
    expect(body.data[0].zone).toBe(zone);
  });

  test('clients arrive faster than gateways can accept without queueing: the suggested wait is longer', async () => {
    const placed = vi.spyOn(Placement.prototype, 'placed', 'get');
    onTestFinished(() => placed.mockRestore());
    let count = 0;
    placed.mockImplementation(() => (count += 1_000_000));
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start();
    const { body } = await listUntil(({ body }) => body.backoff?.base_ms > 200);
    expect(body.backoff.max_ms).toBeGreaterThan(10_000);
  });

  test('HEAD: the headers of GET, and no client is on its way', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start();
    await listUntil(({ status }) => status === 200);
    const before = (await get('/ip/list')).body.data[0].score;
    for (let i = 0; i < 10; i++) {
      const { status, headers } = await get('/ip/list', { method: 'HEAD' });
      expect([status, Number(headers.get('content-length')) > 0]).toEqual([200, true]);
    }
    expect(before - (await get('/ip/list')).body.data[0].score).toBeCloseTo(1 / 1000, 6);
  });

  test('zone: the client’s first, others if it has none', async () => {
    for (const [i, zone] of ['a', 'b', 'a', 'b'].entries())
      await ipconf.registry.register('gateway', gatewayEndpoint(`g${i}`, { zone }));
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
      await ipconf.registry.register(
        'gateway',
        gatewayEndpoint(`g${i}`, { load: { max_connections: 1000 } }),
      );
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
    await ipconf.registry.register('gateway', gatewayEndpoint('g1', { load }));
    await using other = new IpconfServer({ port: 0, registry: ipconf.registry, logger: silentLogger });
    await other.start();
    await start();
    const credits = await listUntil(({ body }) => body.data?.[0].score <= 0.996);
    expect(credits.status).toBe(200);
    const before = (await get('/ip/list')).body.data[0].score;
    const after = (await get('/ip/list')).body.data[0].score;
    expect(before - after).toBeCloseTo(2 / 1000, 6);
    await other.drain(0);
    await expect.poll(explained).toMatchObject({ ipconf_nodes: 1 });
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
      await ipconf.registry.register('gateway', gatewayEndpoint(`g${i}`, { zone }));
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

  test('a batch with some that cannot be placed: each has its own code', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1', { metadata: { name: 'g1' } }));
    await start();
    await listUntil(({ status }) => status === 200);
    const { status, body } = await post({ requests: [{ n: 1 }, { transport: 'ws' }, { n: 1 }] });
    expect(status).toBe(200);
    expect(body.results).toMatchObject([
      { code: 'OK', data: [{ ip: '10.0.0.1' }] },
      { code: 'NO_GATEWAY', retry_after: 2 },
      { code: 'OK', data: [{ ip: '10.0.0.1' }] },
    ]);
  });

  test('a batch with none that can be placed: 503 with the time to wait', async () => {
    await start();
    const { status, headers, body } = await post({ requests: [{}, {}] });
    expect([status, headers.get('retry-after'), body.code]).toEqual([503, '2', 'NO_GATEWAY']);
  });

  test.each([
    ['a number that JSON has rounded', { requests: [{ uid: 123_456_789_012_345_680 }] }],
    ['a fraction', { requests: [{ uid: 1.5 }] }],
    ['not JSON', '{'],
    ['no requests', {}],
    ['none in it', { requests: [] }],
    ['too many', { requests: Array.from({ length: 101 }, () => ({})) }],
    ['a malformed request', { requests: [1] }],
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
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start({ tickets: true });
    await listUntil(({ status }) => status === 200);
    const { ticket } = (await get('/ip/list?uid=42')).body;
    const [entry] = await ipconf.registry.list('ipconf');
    const key = await importJWK(JSON.parse(entry?.metadata['ticket_key'] ?? '{}'));
    const { payload, protectedHeader } = await jwtVerify(ticket, key, {
      issuer: 'gochat-ipconf',
      audience: 'gochat-gateway',
      algorithms: ['Ed25519'],
    });
    expect(payload).toMatchObject({ sub: '42', gateways: ['g1'] });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
    expect(protectedHeader.kid).toBe(entry?.id);
  });

  test('a batch: a ticket for each that names a uid', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start({ tickets: true });
    await listUntil(({ status }) => status === 200);
    const { body } = await get('/ip/list', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ requests: [{ uid: '42' }, {}, { uid: 43 }] }),
    });
    const tickets = body.results.map(({ ticket }: { ticket?: string }) => ticket);
    expect(tickets.map((ticket?: string) => ticket && decodeJwt(ticket).sub)).toEqual([
      '42',
      undefined,
      '43',
    ]);
  });

  test('a registry that refuses the key: not ready until the key is registered', async () => {
    const register = vi.spyOn(ipconf.registry, 'register').mockRejectedValueOnce(new Error('away'));
    await start({ tickets: true });
    await listUntil(({ body }) => body.code === 'NO_GATEWAY');
    expect(register).toHaveBeenCalled();
    await expect.poll(() => ipconf.server.readiness()).toBeUndefined();
    const [entry] = await ipconf.registry.list('ipconf');
    expect(entry?.metadata['ticket_key']).toBeDefined();
  });

  test('no uid, or tickets off: none', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await start({ tickets: true });
    expect((await listUntil(({ status }) => status === 200)).body.ticket).toBeUndefined();
    await ipconf.server.stop();
    await start();
    await listUntil(({ status }) => status === 200);
    expect((await get('/ip/list?uid=42')).body.ticket).toBeUndefined();
  });
});

describe('explain', () => {
  test('each gateway, draining ones included: reports, score, credit and why', async () => {
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await ipconf.registry.register('gateway', gatewayEndpoint('g2', { load: { draining: 1 } }));
    await start();
    await listUntil(({ status }) => status === 200);
    expect(await explained()).toMatchObject({
      candidates: 1,
      gateways: [
        { name: 'g1', takes_clients: true, credit: 1, connections: 0, reports: [{ connections: 0 }] },
        { name: 'g2', takes_clients: false, why: [expect.stringContaining('draining'), expect.anything()] },
      ],
    });
  });
});

describe('lifecycle', () => {
  test('a port in use: PORT_IN_USE that names the flag', async () => {
    await start();
    const port = Number(ipconf.server.address.split(':')[1]);
    const second = new IpconfServer({ port, registry: ipconf.registry, logger: silentLogger });
    await expect(second.start()).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { port, flag: '--port' },
    });
    await second.stop();
  });

  test('readiness: after the registry has answered, until drain', async () => {
    ipconf.server = new IpconfServer({ port: 0, registry: ipconf.registry, logger: silentLogger });
    expect(ipconf.server.readiness()).toBe('not listening');
    await ipconf.server.start();
    await ipconf.registry.register('gateway', gatewayEndpoint('g1'));
    await listUntil(({ status }) => status === 200);
    expect(ipconf.server.readiness()).toBeUndefined();
    await ipconf.server.drain(1000);
    expect(ipconf.server.readiness()).toBe('draining');
    await expect(get('/healthz')).rejects.toThrow('fetch failed');
  });

  test('drain and stop: any number of times, in any order', async () => {
    await start();
    await Promise.all([
      ipconf.server.drain(100),
      ipconf.server.drain(100),
      ipconf.server.stop(),
      ipconf.server.stop(),
    ]);
    await ipconf.server.drain(100);
  });
});
