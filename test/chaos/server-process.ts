/** A server under chaos: restarted whenever it ends, as by an init system, and watched for errors. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ServerProcessOptions {
  readonly name: string;
  /** The bin/gochat to run. */
  readonly bin: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logPath: string;
  /** Called when it ends unexpectedly or logs what must not happen. */
  readonly onCrash: (what: string) => void;
}

const RESTART_MS = 300;

export class ServerProcess implements AsyncDisposable {
  readonly name: string;
  readonly #options: ServerProcessOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #wanted = false;
  #up = Promise.withResolvers<void>();
  #isUp = false;
  #excused = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(options: ServerProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.#log = createWriteStream(options.logPath, { flags: 'a' });
  }

  /** Starts it, unless it runs, and restarts it when it ends. */
  start(): void {
    this.#wanted = true;
    clearTimeout(this.#restart);
    if (this.#child === undefined) this.#spawn();
  }

  /** Resolves when it has said that it is up. */
  async up(): Promise<void> {
    await this.#up.promise;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Ends it with a signal for good; resolves when it is gone. */
  async end(name: 'SIGKILL' | 'SIGTERM', deadlineMs = 30_000): Promise<void> {
    this.#wanted = false;
    this.#excused = true;
    clearTimeout(this.#restart);
    this.#child?.kill(name);
    // A server that hangs in its drain is a defect, but must not block the run.
    const late = setTimeout(() => {
      if (this.#child !== undefined) this.#options.onCrash(`did not end within ${deadlineMs} ms of ${name}`);
      this.#child?.kill('SIGKILL');
    }, deadlineMs);
    await this.#exited;
    clearTimeout(late);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
    await new Promise((resolve) => this.#log.end(resolve));
  }

  #spawn(): void {
    const { bin, args, env, cwd, onCrash } = this.#options;
    this.#excused = false;
    const child = spawn(bin, args, {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd,
    });
    this.#child = child;
    child.stdout.pipe(this.#log, { end: false });
    createInterface({ input: child.stderr }).on('line', (line) => this.#onLine(line));
    this.#exited = once(child, 'close').then(([code, signal]) => {
      this.#child = undefined;
      // It may fail to start while its engines are away; once it was up, no fault may end it.
      if (!this.#excused && this.#isUp) onCrash(`ended by itself (${String(code ?? signal)})`);
      if (this.#isUp) this.#up = Promise.withResolvers();
      this.#isUp = false;
      if (this.#wanted) this.#restart = setTimeout(() => this.#spawn(), RESTART_MS);
    });
  }

  #onLine(line: string): void {
    this.#log.write(`${line}\n`);
    if (!line.startsWith('{')) {
      // Node's own warnings, such as of a listener leak, and what an uncaught error leaves.
      if (/Warning|Error/.test(line)) this.#options.onCrash(line);
      return;
    }
    const { level, msg } = parse(line);
    if (level === 'fatal') this.#options.onCrash(`fatal: ${line}`);
    if (msg?.endsWith(' is up') !== true) return;
    this.#isUp = true;
    this.#up.resolve();
  }
}

/** Parses a log line; one cut by SIGKILL is ignored. */
function parse(line: string): { readonly level?: string; readonly msg?: string } {
  try {
    return JSON.parse(line) as { level: string; msg?: string };
  } catch {
    return {};
  }
}
