/** The real bin/gochat: servers that report when they are up, and clients driven line by line. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { within } from './eventually.ts';

/** This tree. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A gochat process; disposing kills it. */
export class Gochat implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  stdout = '';
  stderr = '';
  readonly #exited: Promise<number | null>;

  /**
   * @param root tree of the bin/gochat
   * @param program what to run in place of bin/gochat: a program and its first arguments
   */
  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    {
      cwd,
      root = ROOT,
      program = [join(root, 'bin/gochat')],
    }: {
      readonly cwd?: string | undefined;
      readonly root?: string | undefined;
      readonly program?: readonly string[] | undefined;
    } = {},
  ) {
    if (!existsSync(join(root, 'dist/cmd/main.js'))) throw new Error(`${root} is not built: run make all`);
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('GOCHAT_')),
    );
    const [file = '', ...first] = program;
    this.child = spawn(file, [...first, ...args], { env: { ...clean, ...env }, ...(cwd && { cwd }) });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    // An ended client takes no more input; its output tells the test why.
    this.child.stdin.on('error', () => undefined);
    this.#exited = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** Resolves with the exit code and all output; rejects when the process outlives the deadline. */
  async exit(deadlineMs?: number): Promise<Exit> {
    const code = await within(() => `the exit of gochat\n${this.#output()}`, this.#exited, deadlineMs);
    return { code, stdout: this.stdout, stderr: this.stderr };
  }

  /** Resolves with the first defined result of `find`, called again with each output. */
  async until<T>(find: (self: this) => T | undefined, what: string, deadlineMs?: number): Promise<T> {
    const waiting = Promise.withResolvers<T>();
    const look = () => {
      const found = find(this);
      if (found !== undefined) waiting.resolve(found);
    };
    const ended = () => {
      look();
      waiting.reject(new Error(`gochat ended before ${what}\n${this.#output()}`));
    };
    this.child.stdout.on('data', look);
    this.child.stderr.on('data', look);
    this.child.once('close', ended);
    try {
      look();
      if (this.child.exitCode !== null) ended();
      return await within(() => `${what}\n${this.#output()}`, waiting.promise, deadlineMs);
    } finally {
      this.child.stdout.off('data', look);
      this.child.stderr.off('data', look);
      this.child.off('close', ended);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#exited;
  }

  #output(): string {
    return `stdout: ${this.stdout.slice(-3000)}\nstderr: ${this.stderr.slice(-3000)}`;
  }
}

/** Runs gochat to its end. */
export async function runGochat(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): Promise<Exit> {
  await using process = new Gochat(args, env, { cwd });
  process.child.stdin.end();
  return await process.exit();
}

export type Json = Readonly<Record<string, unknown>>;

/** A running server; `up` is its log line with its addresses. */
export interface RunningServer extends AsyncDisposable {
  readonly process: Gochat;
  readonly up: Readonly<Record<string, string>>;
}

/** Starts a server on free ports and waits until it says that it is up. */
export async function startServer(
  mode: 'gateway' | 'state' | 'ipconf' | 'api',
  env: Record<string, string>,
  args: readonly string[] = [],
  root = ROOT,
): Promise<RunningServer> {
  const ports = mode === 'gateway' ? ['--port', '0', '--ws-port', '0'] : ['--port', '0'];
  const process = new Gochat([mode, ...ports, '--admin-port', '0', ...args], env, { root });
  try {
    const up = await process.until(
      (self) => jsonLines(self.stderr).find((line) => line['msg'] === `${mode} is up`),
      `"${mode} is up"`,
    );
    return {
      process,
      up: up as Record<string, string>,
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

/** The addresses of a system that runs. */
export interface SystemUrls {
  readonly ipconf: string;
  readonly api: string;
}

/** Starts `gochat up` on free ports. */
export async function startUp(
  dataDir: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<SystemUrls & { process: Gochat; gateway: string; admin: string } & AsyncDisposable> {
  const ports = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);
  // Flags would win over a file.
  const workers = args.includes('--config') ? [] : ['--workers', '2'];
  const process = new Gochat(['up', '--data-dir', dataDir, ...workers, ...ports, ...args], env);
  try {
    const text = await process.until(
      (self) => (self.stdout.includes('Ctrl-C') ? self.stdout : undefined),
      'GoChat is up',
    );
    const find = (pattern: RegExp) => {
      const found = pattern.exec(text)?.[1];
      if (found === undefined) throw new Error(`gochat up did not print ${String(pattern)}:\n${text}`);
      return found;
    };
    return {
      process,
      gateway: find(/tcps?:\/\/(\S+)/),
      ipconf: find(/(https?:\S+)\/ip\/list/),
      api: find(/api {7}(https?:\S+)/),
      admin: find(/(http:\S+)\/metrics/),
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

/** Creates an account; the password is the name and "-secret". */
export async function signup(urls: SystemUrls, name: string): Promise<void> {
  const response = await fetch(`${urls.api}/auth/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password: `${name}-secret` }),
  });
  if (response.status !== 201) throw new Error(`signup ${name}: ${response.status} ${await response.text()}`);
}

/** A `gochat client --plain --json`. */
export class Client extends Gochat {
  readonly #events: Json[] = [];
  #parsed = 0;

  constructor(urls: SystemUrls, user: string, password = `${user}-secret`, more: readonly string[] = []) {
    super(
      ['client', '--plain', '--json', '--user', user, '--ipconf', urls.ipconf, '--api', urls.api, ...more],
      { GOCHAT_PASSWORD: password },
    );
  }

  /** All events so far; each line is parsed once. */
  get events(): readonly Json[] {
    const end = this.stdout.lastIndexOf('\n') + 1;
    if (end > this.#parsed) {
      this.#events.push(...jsonLines(this.stdout.slice(this.#parsed, end)));
      this.#parsed = end;
    }
    return this.#events;
  }

  say(...lines: readonly string[]): void {
    for (const line of lines) this.child.stdin.write(`${line}\n`);
  }

  end(): void {
    this.child.stdin.end();
  }

  /** Waits for the first event of this name that matches. */
  async event(name: string, match: (event: Json) => boolean = () => true): Promise<Json> {
    return await this.until(
      (self) => self.events.find((event) => event['event'] === name && match(event)),
      `event ${name}`,
    );
  }

  texts(): unknown[] {
    return this.events.filter((event) => event['event'] === 'message').map((event) => event['text']);
  }
}

function jsonLines(text: string): Json[] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Json);
}
