/** Processes that the bench starts: waits until each reports that it is up, and ends each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { collectGarbage } from './inspector.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const UP_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 15_000;
const KEPT_OUTPUT = 20_000;
/** Flag of Node processes: the port of their inspector once it is opened. */
export const ANY_INSPECTOR_PORT = '--inspect-port=0';

/** Running processes: they must not outlive the bench, however it ends. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Makes TERM, INT and HUP end the bench as an exit, so that its children end with it. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(130));
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A server process; disposing asks it to stop, and kills it if it does not. */
export class Child implements AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly #listeners = new Set<() => void>();
  #output = '';
  #inspector: string | undefined;

  constructor(name: string, command: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = name;
    // A group of its own: the terminal's Ctrl-C reaches the bench alone, which then stops everything in order.
    this.#child = spawn(command, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...withoutGochat(process.env), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(this.#child);
    this.#exit = once(this.#child, 'close').catch((error: unknown) => {
      this.#output += String(error);
    });
    void this.#exit.then(() => running.delete(this.#child));
    this.pid = this.#child.pid ?? 0;
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT);
        for (const listener of this.#listeners) listener();
      });
    }
    void this.#exit.then(() => {
      for (const listener of this.#listeners) listener();
    });
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.pid === 0;
  }

  /** The end of what it has printed. */
  get output(): string {
    return this.#output;
  }

  /** Resolves with the result of `find` on the output, as soon as that is not undefined. */
  async until<T>(find: (output: string) => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const look = () => {
      const found = find(this.#output);
      if (found !== undefined) resolve(found);
      else if (this.exited) reject(new Error(`${this.name} ended before it was up:\n${this.#output}`));
    };
    const timer = setTimeout(
      () => reject(new Error(`${this.name} is not up after ${UP_DEADLINE_MS} ms:\n${this.#output}`)),
      UP_DEADLINE_MS,
    );
    this.#listeners.add(look);
    try {
      look();
      return await promise;
    } finally {
      this.#listeners.delete(look);
      clearTimeout(timer);
    }
  }

  /** Runs a garbage collection in a Node process that was started with ANY_INSPECTOR_PORT. */
  async collect(): Promise<void> {
    if (this.#inspector === undefined) {
      this.#child.kill('SIGUSR1');
      this.#inspector = await this.until((output) => /Debugger listening on (ws:\S+)/.exec(output)?.[1]);
    }
    await collectGarbage(this.#inspector);
  }

  /** Resolves when it has ended. */
  get ended(): Promise<unknown> {
    return this.#exit;
  }

  /** Ends it like a crash. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.exited) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await this.#exit;
    clearTimeout(timer);
  }
}

/** Starts a Node program of bench/ that prints `{"port":N}`, and waits for that. */
export async function startProgram(
  name: string,
  file: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ child: Child; port: number }> {
  const node = [ANY_INSPECTOR_PORT, join(ROOT, 'bench', file)];
  return await started(new Child(name, process.execPath, [...node, ...args], { env }));
}

/** Waits until a program has printed `{"port":N}`; ends it if it does not. */
export async function started(child: Child): Promise<{ child: Child; port: number }> {
  try {
    const port = await child.until((output) => /^\{"port":(\d+)\}/m.exec(output)?.[1]);
    return { child, port: Number(port) };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

/** Runs a command to its end and returns its standard output. */
export async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** The environment without GoChat's settings, which would change what is measured. */
function withoutGochat(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GOCHAT_')));
}
