/** The real `gochat ipconf` on a real etcd: what it does when etcd dies, and with hostile requests. */
import { randomInt, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import { openRegistry, type Registration, type Registry } from '../../crpc/mod.ts';
import { type RunningServer, startServer } from '../harness/gochat.ts';
import { type Services, startServices } from '../harness/services.ts';
import { eventually } from '../harness/eventually.ts';

const REPORT_MS = 1000;
const USERS = Array.from({ length: 20 }, (_, i) => `user-${i}`);

let services: Services;

beforeAll(async () => {
  services = await startServices({ only: ['etcd'] });
});
afterAll(async () => {
  await services?.[Symbol.asyncDispose]();
});

interface List {
  readonly code: string;
  readonly data?: readonly { readonly ip: string; readonly score: number }[];
  readonly stale?: boolean;
  readonly suspicion?: number;
}

/** A part of etcd of a test's own. */
const ownRegistry = () => `${services.urls.etcd.replace(/(:\/\/[^/]+).*$/, '$1')}/${randomUUID()}`;
const startIpconf = (registry: string, args: readonly string[] = []) =>
  startServer('ipconf', { GOCHAT_REGISTRY: registry, GOCHAT_LOG_LEVEL: 'info' }, args);
const ask = async ({ up }: RunningServer, query = '') =>
  (await (await fetch(`http://${up['http']}/ip/list${query}`)).json()) as List;
const addresses = ({ data = [] }: List) => data.map(({ ip }) => ip).toSorted();

/** Registers gateways 10.0.0.FROM and further, which report every second until the registry is closed. */
class Gateways implements AsyncDisposable {
  readonly #registry: Registry;
  readonly #all: Registration[] = [];
  readonly #timer: NodeJS.Timeout;
  #tick = 0;

  private constructor(registry: Registry) {
    this.#registry = registry;
    this.#timer = setInterval(() => void this.#report(), REPORT_MS);
  }

  static async register(url: string, from: number, count: number): Promise<Gateways> {
    const own = new Gateways(openRegistry(url, { logger: silentLogger }));
    for (let i = from; i < from + count; i++)
      own.#all.push(
        await own.#registry.register('gateway', {
          id: randomUUID(),
          address: `10.0.0.${i}:8900`,
          weight: 1,
          zone: 'a',
          version: '1',
          metadata: { name: `gateway-${i}`, ws_port: '8901' },
          load: own.#load(),
        }),
      );
    return own;
  }

  async drain(index: number): Promise<void> {
    await this.#all[index]?.update({ load: { ...this.#load(), draining: 1 } });
  }

  /** Ends their common lease without a goodbye, as when the machine is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#registry.close();
  }

  async #report(): Promise<void> {
    for (const gateway of this.#all)
      await gateway.update({ load: { ...gateway.endpoint.load, tick: ++this.#tick } });
  }

  #load(): Record<string, number> {
    return { tick: ++this.#tick, connections: 10_000, max_connections: 100_000, accepted: 0, cpu: 0.1 };
  }
}

describe('two ipconf nodes on one etcd', () => {
  test('etcd is killed: both go on with the last view and say so, with growing suspicion; then it is fresh again', async () => {
    const url = ownRegistry();
    await using gateways = await Gateways.register(url, 1, 4);
    await using one = await startIpconf(url);
    await using other = await startIpconf(url);
    const nodes = [one, other];
    const all = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
    for (const node of nodes) await eventually('all known', async () => (await ask(node)).data?.length === 4);
    const homes = async (node: RunningServer) =>
      await Promise.all(USERS.map(async (uid) => (await ask(node, `?uid=${uid}`)).data?.[0]?.ip));
    expect(await homes(one)).toEqual(await homes(other));
    expect(await ask(one)).toMatchObject({ code: 'OK', stale: false, suspicion: 0 });

    await services.kill('etcd');
    for (const node of nodes) {
      await eventually('said to be stale', async () => (await ask(node)).stale === true);
      let before = 0;
      for (let grown = 0; grown < 2; grown++) {
        await eventually('more suspicious', async () => ((await ask(node)).suspicion ?? 0) > before);
        before = (await ask(node)).suspicion ?? 0;
      }
      expect(addresses(await ask(node))).toEqual(all);
      const ready = await fetch(`http://${node.up['admin']}/readyz`);
      expect(ready.status).toBe(200);
    }

    await services.start('etcd');
    for (const node of nodes)
      await eventually('fresh', async () => {
        const { stale, suspicion } = await ask(node);
        return stale === false && suspicion === 0;
      });
    await gateways.drain(0);
    for (const node of nodes)
      await eventually('the drained one is out', async () =>
        addresses(await ask(node)).every((ip) => ip !== all[0]),
      );
    expect(addresses(await ask(one))).toEqual(all.slice(1));
  }, 120_000);

  test('most gateways vanish at once: kept at first, then removed', async () => {
    const url = ownRegistry();
    await using stack = new AsyncDisposableStack();
    stack.use(await Gateways.register(url, 1, 1));
    const vanishing = await Gateways.register(url, 2, 4);
    await using ipconf = await startIpconf(url);
    await eventually('all known', async () => (await ask(ipconf)).data?.length === 5);
    await vanishing[Symbol.asyncDispose]();
    await ipconf.process.until(
      ({ stderr }) => (stderr.includes('most endpoints vanished at once') ? true : undefined),
      'the guard',
    );
    expect((await ask(ipconf)).data).toHaveLength(5);
    await eventually('let go', async () => addresses(await ask(ipconf)).join() === '10.0.0.1');
  }, 120_000);
});

describe('one ipconf node', () => {
  test('explain: each gateway with its reports, score, credit and why', async () => {
    const url = ownRegistry();
    await using gateways = await Gateways.register(url, 1, 2);
    await using ipconf = await startIpconf(url);
    await eventually('both known', async () => (await ask(ipconf)).data?.length === 2);
    await gateways.drain(1);
    await eventually('one left', async () => (await ask(ipconf)).data?.length === 1);
    const shown = (await (await fetch(`http://${ipconf.up['admin']}/ip/explain`)).json()) as {
      gateways: Record<string, unknown>[];
    };
    expect(shown).toMatchObject({ candidates: 1, stale_for_ms: 0, suspicion: 0, ipconf_nodes: 1 });
    const [taking, draining] = shown.gateways;
    expect(taking).toMatchObject({
      name: 'gateway-1',
      takes_clients: true,
      connections: 10_000,
      capacity: 100_000,
      used: { cpu: 0.1 },
      why: [
        expect.stringMatching(/^scarcest are connections: 10000 connections and \d+ on their way of 100000$/),
      ],
    });
    expect(taking?.['credit']).toBeGreaterThan(0);
    expect(taking?.['score']).toBeGreaterThan(0.8);
    expect(taking?.['reports']).toContainEqual({
      age_ms: expect.any(Number),
      connections: 10_000,
      used_rate: 0.1,
    });
    expect(draining).toMatchObject({ name: 'gateway-2', takes_clients: false, score: 0 });
    expect(draining?.['why']).toContain('it is draining: it gets no clients');
  });

  test('hostile requests: each is refused with a code and counted, and the server goes on', async () => {
    const url = ownRegistry();
    await using stack = new AsyncDisposableStack();
    stack.use(await Gateways.register(url, 1, 1));
    await using ipconf = await startIpconf(url);
    await eventually('known', async () => (await ask(ipconf)).code === 'OK');
    const get = (target: string) => `GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`;
    const post = (body: string, type = 'application/json') =>
      `POST /ip/list HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const requests: readonly (readonly [string, number, string])[] = [
      [get('/ip/list?n=0'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?n=6'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?n=-1'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?n=1e1'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?n=99999999999999999999'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?transport=udp'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?v=0'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?v=65536'), 400, 'ARGUMENT_INVALID'],
      [get("/ip/list?uid=';drop--"), 400, 'ARGUMENT_INVALID'],
      [get(`/ip/list?uid=${'9'.repeat(65)}`), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?uid=%00'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?uid=%f0%28'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?zone=%0a'), 400, 'ARGUMENT_INVALID'],
      [get('/ip/list?uid=1&uid=2'), 400, 'ARGUMENT_INVALID'],
      [get(`/ip/list?x=${'y'.repeat(4000)}`), 414, 'REQUEST_TOO_LARGE'],
      [get('/'), 404, 'ROUTE_NOT_FOUND'],
      [get('/ip/list/'), 404, 'ROUTE_NOT_FOUND'],
      [get('/ip/explain'), 404, 'ROUTE_NOT_FOUND'],
      [get('/../../etc/passwd'), 404, 'ROUTE_NOT_FOUND'],
      ['DELETE /ip/list HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
      ['TRACE /ip/list HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
      ['BREW /ip/list HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'ARGUMENT_INVALID'],
      ['GET /ip/list HTTP/9.9\r\nhost: x\r\n\r\n', 400, 'ARGUMENT_INVALID'],
      ['GET /ip/list HTTP/1.1\r\n\r\n', 400, 'ARGUMENT_INVALID'],
      ['GET /ip/list HTTP/1.1\r\nhost: x\r\nexpect: nonsense\r\n\r\n', 417, 'ARGUMENT_INVALID'],
      ['CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
      ['\u0016\u0003\u0001\u0002 a TLS hello', 400, 'ARGUMENT_INVALID'],
      [`GET /ip/list HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(10_000)}\r\n\r\n`, 431, 'REQUEST_TOO_LARGE'],
      [post('{"requests":'), 400, 'ARGUMENT_INVALID'],
      [post('[]'), 400, 'ARGUMENT_INVALID'],
      [post('{"requests":[{"n":6}]}'), 400, 'ARGUMENT_INVALID'],
      [post('{"requests":[{"uid":["1"]}]}'), 400, 'ARGUMENT_INVALID'],
      [post('{"requests":[{"uid":123456789012345678}]}'), 400, 'ARGUMENT_INVALID'],
      [post(JSON.stringify({ requests: Array.from({ length: 101 }, () => ({})) })), 400, 'ARGUMENT_INVALID'],
      [post(' '.repeat(70_000)), 413, 'REQUEST_TOO_LARGE'],
      [post('{}', 'text/plain'), 415, 'MEDIA_TYPE_UNSUPPORTED'],
    ];
    const counted = new Map<string, number>();
    for (const [request, status, code] of requests) {
      const answer = await exchange(ipconf.up['http'] as string, request);
      expect([request.slice(0, 60), ...judge(answer)]).toEqual([request.slice(0, 60), status, code]);
      counted.set(code, (counted.get(code) ?? 0) + 1);
    }
    const metrics = await (await fetch(`http://${ipconf.up['admin']}/metrics`)).text();
    for (const [code, count] of counted) {
      const line = new RegExp(`^gochat_ipconf_requests_total\\{.*code="${code}".*\\} ${count}$`, 'm');
      expect(metrics).toMatch(line);
    }
    expect((await ask(ipconf, '?uid=1&zone=a&n=1&transport=ws&v=1')).data).toHaveLength(1);
  });

  test('a flood from one address: 429 with the time to wait, counted; others are served on', async () => {
    const url = ownRegistry();
    await using stack = new AsyncDisposableStack();
    stack.use(await Gateways.register(url, 1, 1));
    await using ipconf = await startIpconf(url, [
      '--rate-per-second',
      '1',
      '--rate-burst',
      '20',
      '--trust-proxy',
      '1',
    ]);
    const from = async (address: string) =>
      await fetch(`http://${ipconf.up['http']}/ip/list`, { headers: { 'x-forwarded-for': address } });
    await eventually('known', async () => (await from(`192.0.2.${randomInt(256)}`)).status === 200);
    const flood = await Promise.all(Array.from({ length: 60 }, () => from('198.51.100.1')));
    const refused = flood.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(20);
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused[0]?.json()).toMatchObject({ code: 'RATE_LIMITED' });
    expect((await from('198.51.100.2')).status).toBe(200);
    const metrics = await (await fetch(`http://${ipconf.up['admin']}/metrics`)).text();
    expect(metrics).toMatch(/^gochat_ipconf_requests_total\{.*code="RATE_LIMITED".*\} [1-9]/m);
  });
});

/** Sends bytes and returns what comes back until the first whole answer or the end. */
function exchange(address: string, bytes: string): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host, () => socket.write(bytes, 'latin1'));
    let received = '';
    const done = (): void => {
      resolve(received);
      socket.destroy();
    };
    socket.setTimeout(30_000, () => reject(new Error(`no answer to ${bytes.slice(0, 60)}`)));
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      const head = received.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(received)?.[1];
      if (head >= 0 && received.length >= head + 4 + Number(length)) done();
    });
    socket.on('close', done);
    socket.on('error', reject);
  });
}

function judge(answer: string): [number, string] {
  return [Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), /"code":"(\w+)"/.exec(answer)?.[1] ?? ''];
}
