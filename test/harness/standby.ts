/** A synchronous standby of a PostgreSQL server of services.ts, for tests; it ends before its services. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, readlink, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePorts, type Services } from './services.ts';

const NAME = 'gochat_standby';

export class Standby implements AsyncDisposable {
  readonly port: number;
  /** The primary as its superuser. */
  readonly admin: string;
  readonly #dir: string;
  readonly #bin: string;
  readonly #owner: { readonly uid: number; readonly gid: number };

  private constructor(
    port: number,
    admin: string,
    dir: string,
    bin: string,
    owner: { uid: number; gid: number },
  ) {
    this.port = port;
    this.admin = admin;
    this.#dir = dir;
    this.#bin = bin;
    this.#owner = owner;
  }

  /** Copies and follows the primary, whose commits then wait for it. */
  static async start(primary: Services): Promise<Standby> {
    const pid = await primary.pid('postgres');
    const bin = dirname(await readlink(`/proc/${pid}/exe`));
    const { uid, gid } = await stat(`/proc/${pid}`);
    const password = (await readFile(join(primary.dir, 'postgres.superuser.password'), 'utf8')).trim();
    const { host } = new URL(primary.urls.postgres);
    const admin = `postgres://postgres:${encodeURIComponent(password)}@${host}/gochat`;
    const [port = 0] = await freePorts(1);
    // In a folder owned by the server's user, such as initdb's.
    const dir = join(primary.dir, 'standby');
    await mkdir(dir, { mode: 0o700 });
    await promisify(execFile)('chown', [`${uid}:${gid}`, dir]);
    const standby = new Standby(port, admin, dir, bin, { uid, gid });
    await standby.#run('pg_basebackup', [
      '-D',
      dir,
      '-R',
      '-X',
      'stream',
      '--checkpoint=fast',
      '--no-sync',
      '-d',
      `${admin.replace(/\/gochat$/, '/postgres')}?application_name=${NAME}`,
    ]);
    // A standby must allow at least as many connections as its primary.
    const options = `-p ${port} -c max_connections=200 -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off`;
    await standby.#run('pg_ctl', ['-s', '-w', '-D', dir, '-l', join(dir, 'log'), '-o', options, 'start']);
    await execute(admin, `alter system set synchronous_standby_names = '${NAME}'`);
    await execute(admin, 'select pg_reload_conf()');
    return standby;
  }

  /** Promotes it; resolves when it is writable. */
  async promote(): Promise<void> {
    await this.#run('pg_ctl', ['-s', '-w', '-D', this.#dir, 'promote']);
  }

  /** Freezes it: its primary's commits wait. */
  async pause(): Promise<void> {
    for (const pid of await this.#pids()) signal(pid, 'SIGSTOP');
  }

  async resume(): Promise<void> {
    for (const pid of (await this.#pids()).toReversed()) signal(pid, 'SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resume();
    await this.#run('pg_ctl', ['-s', '-w', '-D', this.#dir, '-m', 'immediate', 'stop']);
  }

  async #pids(): Promise<number[]> {
    const [line = ''] = (await readFile(join(this.#dir, 'postmaster.pid'), 'utf8')).split('\n');
    const children = await readFile(`/proc/${line}/task/${line}/children`, 'utf8');
    return [line, ...children.split(' ').filter(Boolean)].map(Number);
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    await promisify(execFile)(join(this.#bin, program), args, {
      ...this.#owner,
      cwd: '/',
      env: { HOME: '/' },
    });
  }
}

/** Signals a process, which may have ended since its pid was read. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Runs SQL text on a server. */
export async function execute(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}
