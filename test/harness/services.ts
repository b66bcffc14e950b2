/**
 * Real etcd, Redis and PostgreSQL for tests, on their own ports and in their own directory; they end with the test
 * process.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse } from 'yaml';

export const SERVICE_NAMES = ['etcd', 'redis', 'postgres'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export interface ServicesOptions {
  /** @default all three */
  readonly only?: readonly ServiceName[];
  /** An empty directory for the services; it is removed with them. @default a temporary one */
  readonly dir?: string;
  /** Syncs to disk as in production. @default false */
  readonly durable?: boolean;
}

const SCRIPT = new URL('../../scripts/start-services.sh', import.meta.url).pathname;
const CONFIG_KEYS = { etcd: 'registry', redis: 'hot', postgres: 'store' } as const;
/** Below the ephemeral ports, so that nothing takes a port while its service is stopped. */
const MIN_PORT = 20_000;
/** Each concurrent test file takes its ports from its own range. */
const [PORT_RANGES, PORTS_EACH] = [16, 750];
const START_TRIES = 3;

/** Starts services; the test ends them with `await using`, and they end with the process at the latest. */
export async function startServices(options: ServicesOptions = {}): Promise<Services> {
  for (let tries = 1; ; tries++) {
    try {
      return await Services.start(options);
    } catch (error) {
      // Another process may have taken a port after the check.
      if (tries === START_TRIES || !String(error).includes('is used by another program')) throw error;
    }
  }
}

export class Services implements AsyncDisposable {
  readonly dir: string;
  /** URL of each service: etcd://…, redis://…, postgres://…; empty for one that was not started. */
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly #flags: readonly string[];
  readonly #guardian: ChildProcess;

  /** @internal */
  constructor(
    dir: string,
    urls: Readonly<Record<ServiceName, string>>,
    flags: readonly string[],
    guardian: ChildProcess,
  ) {
    this.dir = dir;
    this.urls = urls;
    this.#flags = flags;
    this.#guardian = guardian;
  }

  /** @internal */
  static async start(options: ServicesOptions): Promise<Services> {
    const only = options.only ?? SERVICE_NAMES;
    const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'gochat-services-')));
    // The system user postgres must enter it; secret files in it have their own modes.
    await chmod(dir, 0o711);
    const guardian = guard(dir);
    try {
      const [etcd, peer, redis, postgres] = await freePorts(4);
      const flags = [
        '--dir',
        dir,
        '--engine',
        'local',
        ...(options.durable === true ? [] : ['--unsafe-fast']),
      ];
      const ports = [
        '--etcd-port',
        etcd,
        '--etcd-peer-port',
        peer,
        '--redis-port',
        redis,
        '--postgres-port',
        postgres,
      ];
      await run([...flags, ...ports.map(String), '--yes', '--only', only.join(',')]);
      const config = parse(await readFile(join(dir, 'gochat.yaml'), 'utf8')) as Record<string, string>;
      const url = (name: ServiceName) => (only.includes(name) ? (config[CONFIG_KEYS[name]] ?? '') : '');
      const urls = { etcd: url('etcd'), redis: url('redis'), postgres: url('postgres') };
      return new Services(dir, urls, flags, guardian);
    } catch (error) {
      await release(guardian);
      throw error;
    }
  }

  /** Starts a service that was stopped or killed, with its old port and data; resolves when it answers. */
  async start(name: ServiceName): Promise<void> {
    await run([...this.#flags, '--only', name]);
  }

  /** Stops a service in order. */
  async stop(name: ServiceName): Promise<void> {
    await run(['--dir', this.dir, '--only', name, '--stop']);
  }

  /** Ends a service with SIGKILL, like a crash; resolves when it is gone and its ports are free. */
  async kill(name: ServiceName): Promise<void> {
    const pids = await this.#pids(name);
    for (const pid of pids) signal(pid, 'SIGKILL');
    while ((await Promise.all(pids.map(isAlive))).some(Boolean)) await setTimeout(10);
  }

  /** Freezes a service: connections stay open and nothing answers. */
  async pause(name: ServiceName): Promise<void> {
    for (const pid of await this.#pids(name)) signal(pid, 'SIGSTOP');
  }

  async resume(name: ServiceName): Promise<void> {
    for (const pid of (await this.#pids(name)).toReversed()) signal(pid, 'SIGCONT');
  }

  async pid(name: ServiceName): Promise<number> {
    return Number(await readFile(join(this.dir, `${name}.pid`), 'utf8'));
  }

  /** Stops all and removes the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await release(this.#guardian);
  }

  /** The service's process, then its children: each connection of PostgreSQL is one. */
  async #pids(name: ServiceName): Promise<number[]> {
    const pid = await this.pid(name);
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return [pid, ...children.split(' ').filter(Boolean).map(Number)];
  }
}

/** Sends a signal to a process; one that has ended meanwhile, as a connection of PostgreSQL does, is no error. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Returns whether a process or one of its threads is alive and not a zombie. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    if (!/\) [ZX] /.test(await readFile(`/proc/${pid}/stat`, 'utf8'))) return true;
    // The first thread may be gone while another one, waiting for the disk, still holds the ports.
    return (await readdir(`/proc/${pid}/task`)).length > 1;
  } catch {
    // It is gone: there is nothing to read.
    return false;
  }
}

async function run(args: readonly string[]): Promise<void> {
  await promisify(execFile)('bash', [SCRIPT, ...args]);
}

/**
 * Starts a process that waits for the end of its input, then stops everything in `dir` and removes it. The input ends
 * on release(), and also when this process dies in any way.
 */
function guard(dir: string): ChildProcess {
  const script = 'cat >/dev/null; bash "$1" --dir "$2" --stop >/dev/null 2>&1; rm -rf -- "$2"';
  const child = spawn('bash', ['-c', script, 'guardian', SCRIPT, dir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  return child;
}

async function release(guardian: ChildProcess): Promise<void> {
  if (guardian.exitCode !== null || guardian.signalCode !== null) return;
  const exit = once(guardian, 'exit');
  guardian.ref();
  guardian.stdin?.end();
  await exit;
}

/** Finds ports of 127.0.0.1 that nothing listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const range = Number(process.env['VITEST_POOL_ID'] ?? 0) % PORT_RANGES;
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = MIN_PORT + range * PORTS_EACH + Math.floor(Math.random() * PORTS_EACH);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

/** Returns whether nothing listens on a port of 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  return promise;
}
