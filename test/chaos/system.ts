/** The system under chaos: real servers on real engines, with a fault proxy on every link. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SystemUrls } from '../harness/gochat.ts';
import { freePorts, type ServiceName, type Services, startServices } from '../harness/services.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { Random } from './random.ts';
import { ServerProcess } from './server-process.ts';

export const GOCHAT = fileURLToPath(new URL('../../bin/gochat', import.meta.url));
/** Servers listen on HERE. Those that register are reached at THERE, where a proxy has the same port. */
const [HERE, THERE] = ['127.0.0.1', '127.0.0.2'];
/** Deadline for the start; a busy machine may be slow. */
const UP_DEADLINE_MS = 180_000;

type Mode = 'gateway' | 'state' | 'ipconf' | 'api';
/** Default number of state nodes. */
export const STATES = 3;
/** Servers by name. */
function serversOf(states: number): Readonly<Record<string, Mode>> {
  return {
    ...Object.fromEntries(Array.from({ length: states }, (_, i) => [`state-${i}`, 'state' as const])),
    'gateway-0': 'gateway',
    'gateway-1': 'gateway',
    ipconf: 'ipconf',
    api: 'api',
  };
}
const ENGINES_OF: Readonly<Record<Mode, readonly ServiceName[]>> = {
  state: ['etcd', 'redis', 'postgres'],
  gateway: ['etcd'],
  ipconf: ['etcd'],
  api: ['etcd'],
};
const SETTING_OF = { etcd: 'GOCHAT_REGISTRY', redis: 'GOCHAT_HOT', postgres: 'GOCHAT_STORE' } as const;

/** Targets of faults, by kind. */
export interface Targets {
  readonly servers: readonly string[];
  readonly links: readonly string[];
  readonly engines: readonly ServiceName[];
}

/** Returns the targets of faults in a system with `states` state nodes. */
export function targetsOf(states = STATES): Targets {
  const servers = Object.entries(serversOf(states));
  return {
    servers: servers.map(([name]) => name),
    links: [
      ...servers.map(([name, mode]) => `${mode === 'state' ? 'servers' : 'clients'} to ${name}`),
      ...servers.flatMap(([name, mode]) => ENGINES_OF[mode].map((engine) => `${name} to ${engine}`)),
    ],
    engines: ['etcd', 'redis', 'postgres'],
  };
}

export interface SystemOptions {
  /** A folder for the servers' logs. */
  readonly dir: string;
  readonly random: Random;
  /** State nodes. @default STATES */
  readonly states?: number;
  /** @default this repository's */
  readonly bin?: string;
  readonly onCrash: (process: string, what: string) => void;
}

/** State nodes, two gateways, ipconf and api. */
export class System implements AsyncDisposable {
  readonly services: Services;
  /** As clients reach it. */
  readonly urls: SystemUrls;
  /** URLs of the servers' admin ports, by name. */
  readonly admins: Readonly<Record<string, string>>;
  readonly #servers: ReadonlyMap<string, ServerProcess>;
  readonly #links: ReadonlyMap<string, readonly FaultProxy[]>;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    services: Services,
    urls: SystemUrls,
    admins: Readonly<Record<string, string>>,
    servers: ReadonlyMap<string, ServerProcess>,
    links: ReadonlyMap<string, readonly FaultProxy[]>,
    owned: AsyncDisposableStack,
  ) {
    this.services = services;
    this.urls = urls;
    this.admins = admins;
    this.#servers = servers;
    this.#links = links;
    this.#owned = owned;
  }

  static async start(options: SystemOptions): Promise<System> {
    const { random, dir, bin = GOCHAT } = options;
    await using owned = new AsyncDisposableStack();
    const services = owned.use(await startServices({ durable: true }));
    const links = new Map<string, FaultProxy[]>();
    const link = async (name: string, host: string, port: number, target: { host: string; port: number }) => {
      const proxy = owned.use(await FaultProxy.start({ host, port, target, random }));
      links.set(name, [...(links.get(name) ?? []), proxy]);
      return proxy;
    };
    const servers = new Map<string, ServerProcess>();
    const http: Record<string, number> = {};
    const admins: Record<string, string> = {};
    const modes = Object.entries(serversOf(options.states ?? STATES));
    // All at once: a port that was given and is not listened on yet would be given again.
    const ports = await freePorts(3 * modes.length);
    for (const [name, mode] of modes) {
      const [port, admin, wsPort] = ports.splice(0, 3) as [number, number, number];
      const args = [mode, '--port', `${port}`, '--admin-port', `${admin}`];
      admins[name] = `http://${HERE}:${admin}`;
      const to = `${mode === 'state' ? 'servers' : 'clients'} to ${name}`;
      http[name] = (await link(to, THERE, port, { host: HERE, port })).port;
      if (mode === 'gateway') {
        args.push('--ws-port', `${wsPort}`);
        await link(to, THERE, wsPort, { host: HERE, port: wsPort });
      }
      if (mode === 'gateway' || mode === 'state') args.push('--advertise-host', THERE);
      const env: Record<string, string> = { ...SETTINGS };
      for (const engine of ENGINES_OF[mode]) {
        const url = services.urls[engine];
        const target = { host: HERE, port: Number(/:(\d+)(?:\/|$)/.exec(url)?.[1]) };
        const proxy = await link(`${name} to ${engine}`, HERE, 0, target);
        env[SETTING_OF[engine]] = url.replace(`:${target.port}`, `:${proxy.port}`);
      }
      const server = new ServerProcess({
        name,
        bin,
        args,
        env,
        // Not where a configuration file of the developer may lie.
        cwd: dir,
        logPath: join(dir, `${name}.log`),
        onCrash: (what) => options.onCrash(name, what),
      });
      servers.set(name, owned.use(server));
      server.start();
    }
    const urls = { ipconf: `http://${THERE}:${http['ipconf']}`, api: `http://${THERE}:${http['api']}` };
    const system = new System(services, urls, admins, servers, links, owned.move());
    try {
      await system.up();
      return system;
    } catch (error) {
      await system[Symbol.asyncDispose]();
      throw error;
    }
  }

  server(name: string): ServerProcess {
    return get(this.#servers, name);
  }

  /** The proxies on a link: a gateway has one for each of its ports. */
  link(name: string): readonly FaultProxy[] {
    return get(this.#links, name);
  }

  /** Resolves when every server has said that it is up; rejects with the names of those that have not. */
  async up(): Promise<void> {
    const waiting = new Set(this.#servers.keys());
    const all = [...this.#servers].map(async ([name, server]) => {
      await server.up();
      waiting.delete(name);
    });
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`not up within ${UP_DEADLINE_MS} ms: ${[...waiting].join(', ')}`)),
      UP_DEADLINE_MS,
    );
    try {
      await Promise.race([Promise.all(all), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

const SETTINGS = {
  // Servers restart all the time: keep Node's compiled code.
  NODE_COMPILE_CACHE: join(tmpdir(), 'gochat-chaos-compiled'),
  GOCHAT_WORKERS: '2',
  // Hanging connections are found within seconds, so that a short run has many of them.
  GOCHAT_HEARTBEAT_INTERVAL_MS: '4000',
  GOCHAT_DRAIN_MS: '4000',
  GOCHAT_START_TIMEOUT_MS: '30000',
  // Tokens expire in the middle of a run.
  GOCHAT_TOKEN_TTL_MS: '75000',
} as const;

function get<T>(map: ReadonlyMap<string, T>, name: string): T {
  const found = map.get(name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}
