/**
 * Two servers and a client on etcd; under load one server leaves and another joins, and no call fails.
 *
 *     node crpc/example/main.ts [etcd://127.0.0.1:2379]
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

const [url = 'etcd://127.0.0.1:2379'] = process.argv.slice(2);
const running = new Set<ChildProcess>();

/** A program of this folder, with its output shown. */
class Program {
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;

  constructor(file: string, ...args: string[]) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    this.#process = spawn(process.execPath, [path, url, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(this.#process);
    this.#exited = once(this.#process, 'close').then(() => {
      running.delete(this.#process);
      this.#wake?.();
    });
    createInterface(this.#process.stdout as NodeJS.ReadableStream).on('line', (line) => {
      console.log(line);
      this.#lines.push(line);
      this.#wake?.();
    });
  }

  /** Waits for a line with these words, after the last one found. */
  async says(words: string): Promise<void> {
    for (;;) {
      const line = this.#lines.shift();
      if (line?.includes(words)) return;
      if (line !== undefined) continue;
      if (!running.has(this.#process)) throw new Error(`it ended before it said "${words}"`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async leave(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#exited;
  }
}

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const one = new Program('server.ts', 'echo-1');
const two = new Program('server.ts', 'echo-2');
await Promise.all([one.says('serves'), two.says('serves')]);
const client = new Program('client.ts');
await client.says('answering: echo-1 echo-2');
await one.leave();
await client.says('answering: echo-2');
const three = new Program('server.ts', 'echo-3');
await client.says('answering: echo-2 echo-3');
await client.leave();
await client.says(' 0 failed');
await Promise.all([two.leave(), three.leave()]);
console.log('A node left and one joined under load, and no call failed.');
