/** Handles of `echo-server.ts` processes, and a load of calls on them. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { CallOptions } from '../client/client.ts';
import { hello } from './cluster.ts';
import type { EchoClient } from './cluster.ts';
import type { EchoServerOrder } from './echo-server.ts';

const PROGRAM = new URL('./echo-server.ts', import.meta.url);

const CHECK_EVERY = 25;

export class EchoProcess implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly #child: ChildProcess;

  private constructor(name: string, address: string, child: ChildProcess) {
    this.name = name;
    this.address = address;
    this.#child = child;
  }

  static async start(registry: string, name: string): Promise<EchoProcess> {
    const child = fork(PROGRAM, [registry, name], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const early = once(child, 'exit').then(([code]) => {
      throw new Error(`${name} ended with ${code} before it served`);
    });
    const [address] = (await Promise.race([once(child, 'message'), early])) as [string];
    early.catch(() => {});
    return new EchoProcess(name, address, child);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  tell(order: EchoServerOrder): void {
    this.#child.send(order);
  }

  /** Waits for its end. Returns the exit code, null after a signal. */
  async exit(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exit();
  }
}

/** Results of the calls: answers per server, and failures. */
export interface Tally {
  readonly calls: number;
  readonly by: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** Calls without a pause, a fixed number in flight, until stopped. */
export class Load implements AsyncDisposable {
  readonly #client: EchoClient;
  readonly #options: CallOptions;
  readonly #loops: Promise<void>[];
  readonly #outcomes: { readonly begun: number; readonly server: string; readonly failure?: string }[] = [];
  readonly #watchers = new Set<() => void>();
  #isOver = false;

  constructor(client: EchoClient, concurrency: number, options: CallOptions) {
    this.#client = client;
    this.#options = options;
    this.#loops = Array.from({ length: concurrency }, () => this.#loop());
  }

  /** Calls made so far: a mark for `since`. */
  get mark(): number {
    return this.#outcomes.length;
  }

  /** Returns the results of the calls that have begun since `mark` and ended. */
  since(mark: number): Tally {
    const by: Record<string, number> = {};
    const failures: string[] = [];
    let calls = 0;
    for (const { begun, server, failure } of this.#outcomes.slice(mark)) {
      if (begun < mark) continue;
      calls++;
      if (failure === undefined) by[server] = (by[server] ?? 0) + 1;
      else failures.push(failure);
    }
    return { calls, by, failures };
  }

  /** Waits until the condition holds. */
  async until(isSo: () => boolean, deadlineMs = 60_000): Promise<void> {
    let check = (): void => {};
    const done = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new Error(`it did not come to that within ${deadlineMs} ms: ${JSON.stringify(this.since(0))}`),
          ),
        deadlineMs,
      );
      check = () => {
        if (!isSo()) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#watchers.add(check);
    await done.finally(() => this.#watchers.delete(check));
  }

  /** Waits for `calls` more calls and returns their results. */
  async more(calls: number): Promise<Tally> {
    const { mark } = this;
    await this.until(() => this.since(mark).calls >= calls);
    return this.since(mark);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  async #loop(): Promise<void> {
    while (!this.#isOver) {
      const begun = this.mark;
      const result = await this.#client.tryUnary(hello, this.#options);
      this.#outcomes.push(
        result.ok
          ? { begun, server: result.value.server }
          : { begun, server: '', failure: `${result.error.code}: ${String(result.error.cause)}` },
      );
      // A check covers all calls, so it cannot run after each.
      if (this.mark % CHECK_EVERY === 0) for (const check of this.#watchers) check();
    }
  }
}
