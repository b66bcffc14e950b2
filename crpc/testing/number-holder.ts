/** A process that leases a number and reports whether it holds it; tests can stop it. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { silentLogger as logger } from '../../common/mod.ts';
import { EtcdRegistry } from '../registry/registry-etcd.ts';

export class NumberHolder implements AsyncDisposable {
  readonly value: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, value: number) {
    this.#process = process;
    this.value = value;
  }

  /** Leases one of 0 to `max` for `ttlSeconds` at a time. */
  static async start(etcd: string, name: string, max: number, ttlSeconds: number): Promise<NumberHolder> {
    const child = fork(import.meta.filename, [etcd, name, String(max), String(ttlSeconds)]);
    const [value] = (await once(child, 'message')) as [number];
    return new NumberHolder(child, value);
  }

  /** Asks it. A stopped process answers before any of its timers has run. */
  async isHeld(): Promise<boolean> {
    const answer = once(this.#process, 'message');
    this.#process.send('held?');
    const [isHeld] = (await answer) as [boolean];
    return isHeld;
  }

  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL');
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, 'exit');
  }
}

async function hold(etcd: string, name: string, max: number, ttlSeconds: number): Promise<void> {
  const registry = new EtcdRegistry({ hosts: [etcd], logger, ttlSeconds, numberTtlSeconds: ttlSeconds });
  const number = await registry.leaseId(name, max);
  process.on('message', () => process.send?.(number.isHeld));
  process.send?.(number.value);
}

if (process.argv[1] === import.meta.filename) {
  const [, , etcd = '', name = '', max, ttlSeconds] = process.argv;
  await hold(etcd, name, Number(max), Number(ttlSeconds));
}
