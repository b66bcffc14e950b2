/** The run's side of a driver: a process of clients that gets commands one after the other. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Command } from './driver.ts';

const DRIVER = fileURLToPath(new URL('driver.ts', import.meta.url));

export class DriverProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor() {
    this.#child = fork(DRIVER, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#exited = once(this.#child, 'close');
  }

  /** Resolves with the command's result; rejects when the driver fails or ends. */
  async tell(command: Command): Promise<number> {
    const answered = once(this.#child, 'message') as Promise<[Answer]>;
    this.#child.send(command);
    const answer = await Promise.race([
      answered.then(([first]) => first),
      this.#exited.then(() => ({ error: `the driver ended during ${command.do}` })),
    ]);
    if ('error' in answer) throw new Error(answer.error);
    return answer.result;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
