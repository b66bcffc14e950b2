/** The load balancers of deployments/, with addresses, ports, certificate and time-outs of a test. As root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from '../../crpc/testing/certificates.ts';
import { eventually } from '../harness/eventually.ts';
import { ROOT } from '../harness/gochat.ts';
import { freePorts } from '../harness/services.ts';
import { install } from './install.ts';

export const BALANCERS = ['nginx', 'HAProxy'] as const;

/** A port of the two servers of one kind behind the balancer: host:port of each. */
type Pair = readonly [string, string];

export interface Servers {
  readonly api: Pair;
  readonly ipconf: Pair;
  readonly ws: Pair;
  readonly tcp: Pair;
  /** Their admin ports, which the health checks ask. */
  readonly admin: Readonly<Record<'api' | 'ipconf' | 'ws' | 'tcp', Pair>>;
}

/** Where the ports are, for servers that advertise them. */
export interface Ports {
  readonly http: number;
  readonly https: number;
  readonly tcp: number;
}

export async function freeBalancerPorts(): Promise<Ports> {
  const [http, https, tcp] = (await freePorts(3)) as [number, number, number];
  return { http, https, tcp };
}

/** After so long without a new worker HAProxy is told again, ms. */
const AGAIN_MS = 2000;

export class LoadBalancer implements AsyncDisposable {
  readonly #folder: string;
  readonly #process;
  readonly #kind: (typeof BALANCERS)[number];
  output = '';

  /** Starts it with the time-outs of idle connections at `idleS` seconds; resolves when its ports are open. */
  static async start(
    kind: (typeof BALANCERS)[number],
    servers: Servers,
    ports: Ports,
    authority: Authority,
    idleS = 90,
  ): Promise<LoadBalancer> {
    const balancer = new LoadBalancer(kind, servers, ports, authority, idleS);
    try {
      const ready = () => fetch(`http://127.0.0.1:${ports.http}/`, { redirect: 'manual' });
      const ended = once(balancer.#process, 'exit').then(() => {
        throw new Error(`${kind} has ended:\n${balancer.output}`);
      });
      const answers = eventually(`${kind} to redirect to https`, async () => (await ready()).status === 308);
      await Promise.race([answers, ended]);
      ended.catch(() => undefined);
    } catch (error) {
      await balancer[Symbol.asyncDispose]();
      throw error;
    }
    return balancer;
  }

  private constructor(
    kind: (typeof BALANCERS)[number],
    servers: Servers,
    ports: Ports,
    authority: Authority,
    idleS: number,
  ) {
    this.#kind = kind;
    if (kind === 'nginx') install('nginx-light', 'libnginx-mod-stream');
    else install('haproxy');
    const folder = mkdtempSync(join(tmpdir(), 'gochat-balancer-'));
    chmodSync(folder, 0o755);
    this.#folder = folder;
    authority.issue('front', 'IP:127.0.0.1');
    const [certificate, key] = [authority.path('front.pem'), authority.path('front.key')];
    writeFileSync(join(folder, 'both.pem'), readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'));
    let command: string[];
    if (kind === 'nginx') {
      const file = join(folder, 'nginx.conf');
      mkdirSync(join(folder, 'gochat'));
      const idle = replace({ '90s': `${idleS}s` });
      for (const name of ['http.conf', 'stream.conf'])
        writeFileSync(join(folder, 'gochat', name), idle(configuration(`nginx/${name}`)));
      const adapt = replace({
        ...upstreams('192.0.2.11', '192.0.2.12', servers),
        'listen 443 ssl': `listen 127.0.0.1:${ports.https} ssl`,
        'listen 80': `listen 127.0.0.1:${ports.http}`,
        'listen 8900 ssl': `listen 127.0.0.1:${ports.tcp} ssl`,
        '/etc/ssl/gochat.pem': certificate,
        '/etc/ssl/gochat.key': key,
        '/run/nginx.pid': join(folder, 'nginx.pid'),
        'error_log /var/log/nginx/error.log': 'error_log stderr',
      });
      writeFileSync(file, adapt(configuration('nginx/nginx.servers.conf')));
      command = ['/usr/sbin/nginx', '-c', file, '-g', 'daemon off;'];
    } else {
      const file = join(folder, 'haproxy.cfg');
      const checks = (server: keyof Servers['admin']) =>
        servers.admin[server].map((each) => `check addr ${host(each)} port ${port(each)}`);
      const [apiOne, apiTwo] = checks('api');
      const [ipconfOne, ipconfTwo] = checks('ipconf');
      const [wsOne, wsTwo] = checks('ws');
      const [tcpOne, tcpTwo] = checks('tcp');
      const { api, ipconf, ws, tcp } = servers;
      const adapt = replace({
        '192.0.2.11:8080 check port 9104': `${api[0]} ${apiOne}`,
        '192.0.2.12:8080 check port 9104': `${api[1]} ${apiTwo}`,
        '192.0.2.11:6789 check port 9103': `${ipconf[0]} ${ipconfOne}`,
        '192.0.2.12:6789 check port 9103': `${ipconf[1]} ${ipconfTwo}`,
        '192.0.2.11:8901 check port 9105': `${ws[0]} ${wsOne}`,
        '192.0.2.12:8901 check port 9105': `${ws[1]} ${wsTwo}`,
        '192.0.2.11:8900 send-proxy-v2 check port 9101': `${tcp[0]} send-proxy-v2 ${tcpOne}`,
        '192.0.2.12:8900 send-proxy-v2 check port 9101': `${tcp[1]} send-proxy-v2 ${tcpTwo}`,
        'bind :80\n': `bind 127.0.0.1:${ports.http}\n`,
        'bind :443 ': `bind 127.0.0.1:${ports.https} `,
        'bind :8900 ': `bind 127.0.0.1:${ports.tcp} `,
        '/etc/ssl/gochat.both.pem': join(folder, 'both.pem'),
        '90s': `${idleS}s`,
        // What a machine of tests has files for.
        'maxconn 100000': 'maxconn 1000',
      });
      writeFileSync(file, adapt(configuration('haproxy/haproxy.cfg')));
      command = ['/usr/sbin/haproxy', '-W', '-f', file];
    }
    const [program = '', ...args] = command;
    this.#process = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** Reloads the configuration; resolves when workers that were not there before serve. */
  async reload(): Promise<void> {
    const before = new Set(this.#workers());
    const loads = () => this.output.split('Loading success').length;
    const loadsBefore = loads();
    let signalledAt = 0;
    await eventually(`new workers of ${this.#kind}`, () => {
      // HAProxy's master loses a signal that comes while it executes itself anew, a moment after it has said so.
      const isDue = signalledAt === 0 || (this.#kind === 'HAProxy' && Date.now() - signalledAt > AGAIN_MS);
      if (isDue && loads() === loadsBefore) {
        this.#process.kill(this.#kind === 'nginx' ? 'SIGHUP' : 'SIGUSR2');
        signalledAt = Date.now();
      }
      const isLoaded = this.#kind === 'nginx' || loads() > loadsBefore;
      if (isLoaded && this.#workers().some((pid) => !before.has(pid))) return true;
      throw new Error(this.output.slice(-2000));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = this.#workers();
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGKILL');
      await once(this.#process, 'exit');
    }
    for (const pid of workers)
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended with its master.
      }
    rmSync(this.#folder, { recursive: true });
  }

  #workers(): number[] {
    const { pid } = this.#process;
    if (pid === undefined || this.#process.exitCode !== null) return [];
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  }
}

function configuration(name: string): string {
  return readFileSync(join(ROOT, 'deployments', name), 'utf8');
}

/** Returns a function that replaces all of these texts; one that is missing is an error. */
function replace(texts: Readonly<Record<string, string>>): (text: string) => string {
  return (text) =>
    Object.entries(texts).reduce((result, [from, to]) => {
      if (!result.includes(from)) throw new Error(`the configuration has no "${from}"`);
      return result.replaceAll(from, to);
    }, text);
}

function upstreams(one: string, two: string, { api, ipconf, ws, tcp }: Servers): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ 8080: api, 6789: ipconf, 8901: ws, 8900: tcp }).flatMap(([number, pair]) => [
      [`${one}:${number}`, pair[0]],
      [`${two}:${number}`, pair[1]],
    ]),
  );
}

const host = (address: string) => address.slice(0, address.lastIndexOf(':'));
const port = (address: string) => address.slice(address.lastIndexOf(':') + 1);
