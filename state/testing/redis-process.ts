/** Real Redis servers and Sentinels for a test, on free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { freePorts } from '../../test/harness/services.ts';

const READY_DEADLINE_MS = 20_000;

export class RedisProcess implements AsyncDisposable {
  readonly port: number;
  /** A connection for the test itself. */
  readonly admin: Redis;
  readonly #process: ChildProcess;
  readonly #dir: string;

  private constructor(port: number, admin: Redis, process: ChildProcess, dir: string) {
    this.port = port;
    this.admin = admin;
    this.#process = process;
    this.#dir = dir;
  }

  /**
   * Starts a server, or a Sentinel, and waits until it answers.
   *
   * @param config lines of its configuration file; PORT stands for its port
   * @param login of the connection for the test
   */
  static async start(
    config: readonly string[],
    login: RedisOptions = {},
    kind: 'server' | 'sentinel' = 'server',
  ): Promise<RedisProcess> {
    const [port] = (await freePorts(1)) as [number];
    const dir = mkdtempSync(join(tmpdir(), 'gochat-redis-'));
    const file = join(dir, 'redis.conf');
    const lines = [
      'bind 127.0.0.1',
      'port PORT',
      `dir ${dir}`,
      ...(kind === 'server' ? ['save ""'] : []),
      ...config,
    ];
    writeFileSync(file, `${lines.join('\n').replaceAll('PORT', `${port}`)}\n`);
    const process = spawn('redis-server', [file, ...(kind === 'sentinel' ? ['--sentinel'] : [])], {
      stdio: 'ignore',
    });
    const admin = new Redis({
      host: '127.0.0.1',
      port,
      maxRetriesPerRequest: null,
      enableReadyCheck: false,
      ...login,
    });
    admin.on('error', () => undefined);
    const started = new RedisProcess(port, admin, process, dir);
    const answered = await Promise.race([
      admin.ping(),
      setTimeout(READY_DEADLINE_MS, undefined, { ref: false }),
    ]);
    if (answered !== undefined) return started;
    await started[Symbol.asyncDispose]();
    throw new Error(`redis-server does not answer within ${READY_DEADLINE_MS} ms: ${lines.join('; ')}`);
  }

  /** Sends KILL and waits until it is gone. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.admin.disconnect();
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
