/** PgBouncer in front of a PostgreSQL server, for tests; ends when disposed. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePorts } from './services.ts';

const INSTALL = new URL('../../scripts/install-for-tests.sh', import.meta.url).pathname;
const PROGRAMS = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'];
const START_MS = 20_000;
/** Number of server connections shared by the clients. */
const POOL_SIZE = 2;

export class PgBouncer implements AsyncDisposable {
  /** URL of the server's database through PgBouncer. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #dir: string;

  private constructor(url: string, child: ChildProcess, dir: string) {
    this.url = url;
    this.#child = child;
    this.#dir = dir;
  }

  /** Installs the program if missing, as root on Debian; rejects with instructions if that is impossible. */
  static async start(server: string, mode: 'session' | 'transaction' | 'statement'): Promise<PgBouncer> {
    if (!PROGRAMS.some((path) => existsSync(path))) await promisify(execFile)('bash', [INSTALL, 'pgbouncer']);
    const program = PROGRAMS.find((path) => existsSync(path));
    if (program === undefined) throw new Error(`pgbouncer is not in ${PROGRAMS.join(' or ')}`);
    const { hostname, port: serverPort, username, password, pathname } = new URL(server);
    const [port = 0] = await freePorts(1);
    const dir = await mkdtemp(join(tmpdir(), 'gochat-pgbouncer-'));
    await chmod(dir, 0o755);
    const config = join(dir, 'pgbouncer.ini');
    await writeFile(
      config,
      `[databases]
* = host=${hostname} port=${serverPort} user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${POOL_SIZE}
`,
    );
    const child = spawn(program, ['-q', ...(await userFlags()), config], { stdio: 'ignore' });
    const bouncer = new PgBouncer(`postgres://gochat@127.0.0.1:${port}${pathname}`, child, dir);
    for (const end = Date.now() + START_MS; !(await answers(port)); await setTimeout(10)) {
      if (child.exitCode !== null) throw new Error(`pgbouncer ended with ${child.exitCode} while starting`);
      if (Date.now() > end) throw new Error(`pgbouncer does not listen after ${START_MS} ms`);
    }
    return bouncer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exit;
    }
    await rm(this.#dir, { recursive: true });
  }
}

/** Flags for another user, as it does not run as root. */
async function userFlags(): Promise<string[]> {
  const { uid } = await stat('/proc/self');
  return uid === 0 ? ['-u', 'postgres'] : [];
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
