/** nginx and HAProxy as deployments/ configures them, in front of two servers of each kind. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Authority } from '../../crpc/testing/certificates.ts';
import { engineUrl, freshDatabase } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { Client, type RunningServer, signup, startServer } from '../harness/gochat.ts';
import { BALANCERS, freeBalancerPorts, LoadBalancer, type Ports, type Servers } from './load-balancer.ts';

/** As many connections of an address as the gateways of the test take. */
const PER_ADDRESS = 4;
/** As the defaults: a third of the time-outs of idle connections. */
const HEARTBEAT_MS = 2000;
const IDLE_S = 6;
const IDLE_HEARTBEATS = 5;

let authority: Authority;
beforeAll(() => {
  authority = new Authority();
});
afterAll(() => authority[Symbol.dispose]());

/** A server that counts what it gets. */
class StandIn implements AsyncDisposable {
  readonly requests: IncomingMessage[] = [];
  /** Bytes of bodies that have arrived. */
  received = 0;
  connections = 0;
  readonly #server = createServer((incoming, response) => {
    this.requests.push(incoming);
    incoming.on('data', (chunk: Buffer) => (this.received += chunk.length));
    incoming.on('end', () => response.end('ok'));
    incoming.on('error', () => undefined);
  }).on('connection', () => this.connections++);

  static async start(): Promise<StandIn> {
    const standIn = new StandIn();
    standIn.#server.listen(0, '127.0.0.1');
    await once(standIn.#server, 'listening');
    return standIn;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function standIns(cleanup: AsyncDisposableStack) {
  const start = async () => cleanup.use(await StandIn.start());
  const [one, two] = [await start(), await start()] as const;
  const [others, admin] = [await start(), await start()] as const;
  const both = (each: StandIn) => [each.address, each.address] as const;
  const servers = {
    api: [one.address, two.address],
    ipconf: both(others),
    ws: both(others),
    tcp: both(others),
    admin: { api: both(admin), ipconf: both(admin), ws: both(admin), tcp: both(admin) },
  } as const;
  return { one, two, others, admin, servers };
}

/** Opens a request to the balancer from an address of loopback. */
function call({ https }: Ports, options: { method?: string; headers?: Record<string, string> } = {}) {
  return request({
    host: '127.0.0.1',
    port: https,
    localAddress: '127.0.0.5',
    ca: authority.ca,
    agent: false,
    ...options,
  });
}

async function statusOf(ports: Ports, headers: Record<string, string> = {}): Promise<number | undefined> {
  const outgoing = call(ports, { headers });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

describe.each(BALANCERS)('%s', (kind) => {
  test('HTTP: in turns, with the address of the client; a server that has ended gets none', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { one, two, servers } = await standIns(cleanup);
    const ports = await freeBalancerPorts();
    await using _ = await LoadBalancer.start(kind, servers, ports, authority);
    for (let count = 0; count < 10; count++)
      expect(await statusOf(ports, { 'x-forwarded-for': '198.51.100.1' })).toBe(200);
    for (const { requests } of [one, two]) {
      expect(requests).toHaveLength(5);
      for (const { headers } of requests) {
        expect(String(headers['x-forwarded-for']).split(/, ?/).at(-1)).toBe('127.0.0.5');
        expect(headers['x-forwarded-proto']).toBe('https');
      }
    }
    await one[Symbol.asyncDispose]();
    for (let count = 0; count < 10; count++) expect(await statusOf(ports)).toBe(200);
    expect(two.requests).toHaveLength(15);
  });

  test('a large body reaches the server while it is still sent', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { one, two, servers } = await standIns(cleanup);
    const ports = await freeBalancerPorts();
    await using _ = await LoadBalancer.start(kind, servers, ports, authority);
    const part = Buffer.alloc(4 << 20);
    const outgoing = call(ports, { method: 'POST', headers: { 'content-length': String(2 * part.length) } });
    outgoing.write(part);
    await eventually('the first half at the server', () => one.received + two.received === part.length);
    outgoing.end(part);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    expect(one.received + two.received).toBe(2 * part.length);
  });

  test('health checks ask the admin ports: those of clients see none of them', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { others, admin, servers } = await standIns(cleanup);
    await using _ = await LoadBalancer.start(kind, servers, await freeBalancerPorts(), authority);
    // nginx asks nobody: it learns from what fails.
    if (kind === 'HAProxy')
      await eventually('two checks of each of eight servers', () => admin.requests.length >= 16);
    expect(admin.requests.every(({ url }) => url === '/readyz')).toBe(true);
    expect(others.connections).toBe(0);
  });

  describe('in front of GoChat', () => {
    let ports: Ports;
    let balancer: LoadBalancer;
    let servers: Servers;
    let api: string;
    const gateways: Record<'ws' | 'tcp', RunningServer[]> = { ws: [], tcp: [] };
    const cleanup = new AsyncDisposableStack();

    beforeAll(async () => {
      vi.stubEnv('NODE_EXTRA_CA_CERTS', authority.path('ca.pem'));
      ports = await freeBalancerPorts();
      const database = cleanup.use(await freshDatabase());
      const env = {
        GOCHAT_REGISTRY: `${engineUrl('ETCD')}/balancer-${kind}-${process.pid}`,
        GOCHAT_STORE: database.url,
        GOCHAT_HOT: engineUrl('REDIS'),
        GOCHAT_WORKERS: '1',
      };
      const limits = {
        GOCHAT_MAX_CONNECTIONS_PER_ADDRESS: String(PER_ADDRESS),
        GOCHAT_EXEMPT_ADDRESSES: '127.0.0.9',
        // Connections that never say who they are stay for the time of the test.
        GOCHAT_HELLO_TIMEOUT_MS: '60000',
        GOCHAT_HEARTBEAT_INTERVAL_MS: String(HEARTBEAT_MS),
      };
      const advertised = {
        GOCHAT_ADVERTISE_HOST: '127.0.0.1',
        GOCHAT_ADVERTISE_PORT: String(ports.tcp),
        GOCHAT_ADVERTISE_TLS: 'true',
        GOCHAT_ADVERTISE_WS_PORT: String(ports.https),
        GOCHAT_ADVERTISE_WS_TLS: 'true',
      };
      // As docs/deploy.md says: gateways for TCP take the PROXY header, those for WebSocket X-Forwarded-For.
      const gateway = { ...env, ...limits, ...advertised };
      const trust = { GOCHAT_TRUST_PROXY: '127.0.0.1' };
      const start = async (...args: Parameters<typeof startServer>) =>
        cleanup.use(await startServer(...args));
      const tcp = () =>
        start('gateway', { ...gateway, GOCHAT_PROXY_PROTOCOL: '127.0.0.1' }, ['--ws-port', 'off']);
      const ws = () => start('gateway', { ...gateway, ...trust }, ['--port', 'off']);
      const [, ipconf, apiOne, apiTwo, tcpOne, tcpTwo, wsOne, wsTwo] = await Promise.all([
        start('state', env),
        start('ipconf', { ...env, ...trust }),
        start('api', { ...env, ...trust }),
        start('api', { ...env, ...trust }),
        tcp(),
        tcp(),
        ws(),
        ws(),
      ]);
      gateways.tcp = [tcpOne, tcpTwo];
      gateways.ws = [wsOne, wsTwo];
      const both = (one: RunningServer, two: RunningServer, key: string) => {
        const found = [one.up[key], two.up[key]] as [string, string];
        return found.map((address) => address.replace(/^\w+:\/\//, '').replace(/\/.*$/, '')) as [
          string,
          string,
        ];
      };
      servers = {
        api: both(apiOne, apiTwo, 'http'),
        ipconf: both(ipconf, ipconf, 'http'),
        ws: both(wsOne, wsTwo, 'ws'),
        tcp: both(tcpOne, tcpTwo, 'tcp'),
        admin: {
          api: both(apiOne, apiTwo, 'admin'),
          ipconf: both(ipconf, ipconf, 'admin'),
          ws: both(wsOne, wsTwo, 'admin'),
          tcp: both(tcpOne, tcpTwo, 'admin'),
        },
      };
      api = `http://${servers.api[0]}`;
      balancer = cleanup.use(await LoadBalancer.start(kind, servers, ports, authority, IDLE_S));
      const urls = { api, ipconf: api };
      await eventually('accounts', async () => {
        await signup(urls, 'ann');
        return true;
      });
      await signup(urls, 'bob');
    }, 180_000);
    afterAll(async () => {
      await cleanup.disposeAsync();
      vi.unstubAllEnvs();
    });

    const client = (name: string, transport: 'tcp' | 'ws') => {
      const front = `https://127.0.0.1:${ports.https}`;
      const more = ['--tls-ca', authority.path('ca.pem'), '--transport', transport];
      return new Client({ api: front, ipconf: front }, name, undefined, more);
    };
    const metric = async (of: readonly RunningServer[], name: string, label: string) =>
      await Promise.all(
        of.map(async ({ up }) => {
          const text = await (await fetch(`http://${up['admin']}/metrics`)).text();
          return text
            .split('\n')
            .filter((line) => line.startsWith(`${name}{`) && line.includes(label))
            .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
        }),
      );

    const dial = {
      tcp: async ({ tcp: port }: Ports, from: string) => {
        const options = { host: '127.0.0.1', port, ca: authority.ca, localAddress: from };
        const socket = connect(options).on('error', () => undefined);
        onTestFinished(() => void socket.destroy());
        await once(socket, 'secureConnect');
      },
      ws: async ({ https }: Ports, from: string) => {
        const socket = new WebSocket(`wss://127.0.0.1:${https}/ws`, ['gochat.v2.json'], {
          ca: authority.ca,
          localAddress: from,
        });
        onTestFinished(() => socket.terminate());
        // A refusal is an answer other than 101, which is an error here.
        await new Promise((resolve) => socket.on('open', resolve).on('error', resolve));
      },
    };

    test.each(['tcp', 'ws'] as const)(
      '%s: connections in turns; the limit per address counts those of the client',
      async (transport) => {
        const of = gateways[transport];
        // These connections say nothing: at shortened time-outs they would be cut.
        const at = await freeBalancerPorts();
        await using _ = await LoadBalancer.start(kind, servers, at, authority);
        const open = () => metric(of, 'gochat_gateway_connections', transport);
        const refused = async () => {
          const all = await metric(of, 'gochat_gateway_refusals_total', 'address_connections');
          return all.reduce((sum, each) => sum + each, 0);
        };
        for (let count = 1; count <= 2 * PER_ADDRESS; count++) {
          await dial[transport](at, '127.0.0.5');
          await expect
            .poll(async () => (await open()).reduce((a, b) => a + b), { message: `${count} connections` })
            .toBe(count);
        }
        expect(await open()).toEqual([PER_ADDRESS, PER_ADDRESS]);
        expect(await refused()).toBe(0);
        await dial[transport](at, '127.0.0.5');
        await expect.poll(refused, { message: 'one more of this address is refused' }).toBe(1);
        await dial[transport](at, '127.0.0.6');
        await expect
          .poll(async () => (await open()).reduce((a, b) => a + b), { message: 'one of another is not' })
          .toBe(2 * PER_ADDRESS + 1);
        expect(await refused()).toBe(1);
      },
    );

    test('idle for five heartbeats, then a chat through reloads: no connection ends, no message is lost', async () => {
      await using ann = client('ann', 'tcp');
      await using bob = client('bob', 'ws');
      await Promise.all([ann.event('synced'), bob.event('synced')]);
      const heard = async () => {
        const all = [...gateways.tcp, ...gateways.ws];
        return await metric(all, 'gochat_gateway_frames_total', 'direction="in"');
      };
      const before = await heard();
      // Each of the two clients is at a gateway of its own.
      await eventually(`${IDLE_HEARTBEATS} heartbeats of both`, async () => {
        const beats = (await heard()).map((count, index) => count - (before[index] ?? 0));
        return beats.filter((count) => count >= IDLE_HEARTBEATS).length === 2;
      });

      ann.say('/dm bob 0');
      await bob.event('message', ({ text }) => text === '0');
      bob.say('/dm ann 0');
      await ann.event('message', ({ text }) => text === '0');
      for (let reload = 0; reload < 3; reload++) {
        const texts = Array.from({ length: 50 }, (_, index) => `${reload}-${index}`);
        ann.say(...texts.slice(0, 25));
        bob.say(...texts.slice(0, 25));
        await balancer.reload();
        ann.say(...texts.slice(25));
        bob.say(...texts.slice(25));
        for (const each of [ann, bob]) await each.event('message', ({ text }) => text === texts.at(-1));
      }
      for (const each of [ann, bob]) {
        expect(each.texts()).toHaveLength(1 + 3 * 50);
        expect(new Set(each.texts()).size).toBe(1 + 3 * 50);
        expect(each.events.filter(({ event }) => event === 'connected')).toHaveLength(1);
      }
      // Who comes after a reload is served, too.
      await using third = client('ann', 'ws');
      await third.event('synced');
    }, 180_000);
  });
});
