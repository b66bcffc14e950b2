import { createServer, type AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../common/mod.ts';
import { type Endpoint, MemoryRegistry, type Registry } from '../crpc/mod.ts';
import { encodeFrame, FrameType, readClientAddresses } from '../proto/mod.ts';
import { type GatewayOptions, GatewayServer } from './server.ts';
import { TestClient } from './testing/test-client.ts';
import { FakeState } from './testing/test-state.ts';
import { TokenMaker } from './testing/test-tokens.ts';

const HOST = '127.0.0.1';

describe('GatewayServer, with real threads and sockets', () => {
  let registry: Registry;
  let tokens: TokenMaker;
  let cleanups: (() => Promise<void> | void)[];

  beforeEach(async () => {
    registry = new MemoryRegistry(`memory://${randomUUID()}`);
    tokens = await TokenMaker.make();
    await registry.publish('jwks', tokens.jwks);
    cleanups = [() => registry.close()];
  });

  afterEach(async () => {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  });

  async function startState(): Promise<FakeState> {
    const state = await FakeState.start(registry);
    cleanups.push(() => state.stop());
    return state;
  }

  function gatewayOf(options: Partial<GatewayOptions> = {}): GatewayServer {
    const gateway = new GatewayServer({
      name: 'gateway-test',
      host: HOST,
      port: 0,
      wsPort: 0,
      workers: 2,
      registry,
      logger: silentLogger,
      ...options,
    });
    cleanups.push(() => gateway.stop());
    return gateway;
  }

  async function connect(address: string, user: bigint, kind: 'tcp' | 'ws' = 'tcp'): Promise<TestClient> {
    const client = await TestClient[kind](address);
    cleanups.push(() => client.destroy());
    await client.login(await tokens.token(user));
    return client;
  }

  test('two TCP clients and one WebSocket client: each message reaches the others', async () => {
    await startState();
    const gateway = gatewayOf();
    await gateway.start();
    expect(gateway.readiness()).toBeUndefined();
    const a = await connect(gateway.address, 1n);
    const b = await connect(gateway.address, 2n);
    const c = await connect(gateway.wsAddress, 3n, 'ws');
    a.send(7, 42n, 'hello all');
    expect((await a.next(FrameType.SENT)).ref).toBe(7);
    for (const receiver of [b, c])
      expect(await receiver.nextMessage()).toMatchObject({ text: 'hello all', from: 'user-1' });
    c.send(8, 42n, 'hello TCP');
    for (const receiver of [a, b])
      expect(await receiver.nextMessage()).toMatchObject({ text: 'hello TCP', sender: 3n });
  });

  test('clients: are spread over all workers, which share the ports', async () => {
    const state = await startState();
    const gateway = gatewayOf();
    await gateway.start();
    for (let user = 1n; user <= 40n; user++) await connect(gateway.address, user);
    const streams = [...state.streams];
    expect(new Set(streams.map(({ open }) => open?.worker))).toEqual(new Set([0, 1]));
    expect(streams.reduce((sum, { attached }) => sum + attached.size, 0)).toBe(40);
    for (const { attached } of streams) expect(attached.size).toBeGreaterThan(0);
  });

  test('its registration: both ports, name and number, and load that is kept up to date', async () => {
    await startState();
    const gateway = gatewayOf({
      advertise: { tcp: { host: 'gw.example', port: 443, tls: true }, ws: { host: 'web.example' } },
      zone: 'z1',
      weight: 3,
      version: '1.2',
      metadata: { admin: 'host:1' },
    });
    await gateway.start();
    const [endpoint] = await registry.list('gateway');
    expect(endpoint).toMatchObject({
      address: 'gw.example:443',
      zone: 'z1',
      weight: 3,
      version: '1.2',
      metadata: {
        name: 'gateway-test',
        tls: '1',
        ws_host: 'web.example',
        ws_port: gateway.wsAddress.split(':')[1],
        ws_tls: '0',
        number: expect.stringMatching(/^\d+$/) as string,
        epoch: expect.stringMatching(/^\d{13}$/) as string,
        admin: 'host:1',
      },
      load: { connections: 0, max_connections: 1_000_000, draining: 0 },
    });
    await connect(gateway.address, 1n);
    await expect
      .poll(async () => (await registry.list('gateway'))[0]?.load, { timeout: 10_000 })
      .toMatchObject({ connections: 1, accepted: 1 });
    await gateway.stop();
    expect(await registry.list('gateway')).toEqual([]);
  });

  test.each([
    ['TCP', { port: 'off' }],
    ['WebSocket', { wsPort: 'off' }],
  ] as const)('%s off: the other port alone is open and in the registry', async (_, off) => {
    await startState();
    const gateway = gatewayOf({ workers: 1, ...off });
    await gateway.start();
    const { tcp, ws } = readClientAddresses((await registry.list('gateway'))[0] as Endpoint);
    const [open, closed] = 'port' in off ? [ws, tcp] : [tcp, ws];
    expect(closed).toBeUndefined();
    expect([gateway.address, gateway.wsAddress]).toContain(`127.0.0.1:${open?.port}`);
    expect([gateway.address, gateway.wsAddress]).toContain('off');
  });

  test('both ports off: CONFIG_INVALID', async () => {
    const gateway = gatewayOf({ port: 'off', wsPort: 'off' });
    await expect(gateway.start()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('the gateway number: each gateway has its own, free again after stop', async () => {
    const gateways = [gatewayOf({ workers: 1 }), gatewayOf({ workers: 1 })];
    for (const gateway of gateways) await gateway.start();
    const numbers = (await registry.list('gateway')).map(({ metadata }) => metadata['number']);
    expect(new Set(numbers).size).toBe(2);
    for (const gateway of gateways) await gateway.stop();
    await using leased = await registry.leaseId('gateway', 0);
    expect(leased.value).toBe(0);
  });

  test.each([
    ['port', '--port'],
    ['wsPort', '--ws-port'],
  ])(
    '%s in use, even by a listener that shares it: PORT_IN_USE, and nothing keeps running',
    async (key, flag) => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen({ host: HOST, port: 0, reusePort: true }, resolve));
      cleanups.push(() => void other.close());
      const { port } = other.address() as AddressInfo;
      const gateway = gatewayOf({ [key]: port });
      const failure = await gateway.start().catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'PORT_IN_USE', details: { host: HOST, port, flag } });
      expect(await registry.list('gateway')).toEqual([]);
    },
  );

  test('readiness: says what is missing', async () => {
    const bare = new MemoryRegistry(`memory://${randomUUID()}`);
    cleanups.push(() => bare.close());
    const gateway = gatewayOf({ registry: bare, workers: 1 });
    expect(gateway.readiness()).toBe('not started');
    await gateway.start();
    expect(gateway.readiness()).toContain('signing keys');
    await bare.publish('jwks', tokens.jwks);
    await expect.poll(() => gateway.readiness()).toContain('no state server');
    const state = await FakeState.start(bare);
    cleanups.push(() => state.stop());
    await expect.poll(() => gateway.readiness()).toBeUndefined();
    const draining = gateway.drain(1000);
    expect(gateway.readiness()).toBe('draining');
    await draining;
  });

  test('its readiness in the registry: is published, and again when state is lost', async () => {
    const state = await startState();
    const gateway = gatewayOf();
    await gateway.start();
    const ready = async () => (await registry.list('gateway'))[0]?.load['ready'];
    await expect.poll(ready).toBe(1);
    await state.stop();
    await expect.poll(ready).toBe(0);
  });

  test('a state node that joins, and one that dies: clients get RESYNC', async () => {
    const first = await startState();
    const gateway = gatewayOf({ workers: 1 });
    await gateway.start();
    const client = await connect(gateway.address, 1n);
    await startState();
    const { ref } = await client.next(FrameType.RESYNC);
    client.write(encodeFrame(FrameType.RESYNCED, ref, 0n));
    await first.crash();
    await client.next(FrameType.RESYNC, (frame) => frame.ref !== ref);
  });

  test('drain: reports it in the registry, then closes the clients, and ends when they are gone', async () => {
    await startState();
    const gateway = gatewayOf();
    await gateway.start();
    const clients = [await connect(gateway.address, 1n), await connect(gateway.wsAddress, 2n, 'ws')];
    const left: unknown[] = [];
    const unwatch = registry.watch('gateway', ({ endpoints }) => {
      if (endpoints[0]?.load['draining'] === 1) left.push(clients.map(({ received }) => received.length));
    });
    await gateway.drain(10_000);
    for (const client of clients) {
      expect(await client.nextClose()).toMatchObject({ code: 'SERVER_DRAINING', retryable: true });
      await client.closed;
    }
    expect(left[0]).toEqual([0, 0]);
    unwatch();
    await gateway.stop();
    expect(await registry.list('gateway')).toEqual([]);
    await gateway.stop();
    await expect(TestClient.tcp(gateway.address)).rejects.toThrow('ECONNREFUSED');
  });

  test('drain: names another gateway that accepts clients', async () => {
    await startState();
    const [gateway, other] = [gatewayOf({ workers: 1 }), gatewayOf({ workers: 1 })];
    await gateway.start();
    const alone = await connect(gateway.address, 1n);
    await other.start();
    const draining = gateway.drain(10_000);
    const [host, port] = other.address.split(':');
    const wsPort = Number(other.wsAddress.split(':')[1]);
    expect((await alone.nextClose()).elsewhere).toEqual({ host, port: Number(port), wsPort, tls: false });
    await draining;
    const last = await connect(other.address, 1n);
    await other.drain(10_000);
    expect((await last.nextClose()).elsewhere).toBeUndefined();
  });

  test('reconfigure: added workers share the ports, and clients of removed ones move to the others', async () => {
    const state = await startState();
    const gateway = gatewayOf({ workers: 1 });
    await gateway.start();
    await gateway.reconfigure(3, {});
    await expect.poll(() => gateway.readiness()).toBeUndefined();
    const clients = await Promise.all(
      Array.from({ length: 40 }, (_, i) => connect(gateway.address, BigInt(i + 1))),
    );
    await gateway.reconfigure(1, {});
    const left = () =>
      clients.filter(({ received }) => received.some(({ type }) => type === FrameType.CLOSE));
    // Those of the worker that is kept stay.
    const stay = () => [...state.streams].reduce((sum, { attached }) => sum + attached.size, 0);
    await expect.poll(() => state.streams.size, { message: 'workers that are left' }).toBe(1);
    await expect.poll(() => left().length + stay(), { message: 'clients that left or stay' }).toBe(40);
    expect(left().length).toBeGreaterThan(0);
    expect(stay()).toBeGreaterThan(0);
    const port = Number(gateway.address.split(':')[1]);
    for (const client of left())
      expect(await client.nextClose()).toMatchObject({ code: 'SERVER_DRAINING', elsewhere: { port } });
    await connect(gateway.address, 99n);
  });

  test('reconfigure: changed limits apply to new clients', async () => {
    await startState();
    const gateway = gatewayOf({ workers: 2 });
    await gateway.start();
    await gateway.reconfigure(2, { maxConnectionsPerAddress: 1, exemptAddresses: '' });
    const clients = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const client = await TestClient.tcp(gateway.address);
        cleanups.push(() => client.destroy());
        return client;
      }),
    );
    // One for each worker at most.
    await expect
      .poll(() => clients.filter(({ received }) => received.length > 0).length)
      .toBeGreaterThanOrEqual(6);
  });

  test('stop: clients get the code, the ports are free', async () => {
    await startState();
    const gateway = gatewayOf();
    await gateway.start();
    const client = await connect(gateway.address, 1n);
    await gateway.stop();
    expect((await client.nextClose()).code).toBe('SERVER_DRAINING');
    const port = Number(gateway.address.split(':')[1]);
    const again = gatewayOf({ port });
    await again.start();
    expect(again.address).toBe(`${HOST}:${port}`);
  });

  test('stop before start, drain before start: nothing happens', async () => {
    const gateway = gatewayOf();
    await gateway.drain(100);
    await gateway.stop();
    expect(gateway.readiness()).toBe('not started');
  });
});
