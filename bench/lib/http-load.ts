/** Compiles and runs the HTTP load generator (bench/load/http.cpp), one run at a time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './child.ts';

const SOURCE = fileURLToPath(new URL('../load/http.cpp', import.meta.url));

export interface HttpLoadOptions {
  readonly port: number;
  /** Asked for in turn. */
  readonly paths: readonly string[];
  /** Each carries one request at a time; requests due while all are busy wait in the generator. */
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second of all connections together, due whether or not answers come; undefined: as many as possible. */
  readonly rate?: number;
  /** A header of each request, `name: value`. */
  readonly header?: string;
}

/** Output of the generator. */
export interface HttpLoadResult {
  readonly perSecond: number;
  /** Latency from the moment at which a request was due. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Lateness of the generator itself at a `rate`: part of the latencies, and not the server's. */
  readonly lateP99Ms: number;
  /** Kept-alive connections that the server ended, and that were opened again. */
  readonly reconnects: number;
}

export class HttpLoad {
  readonly #binary: string;

  private constructor(binary: string) {
    this.#binary = binary;
  }

  /** Compiles it into the folder. */
  static async build(folder: string): Promise<HttpLoad> {
    const binary = join(folder, 'http');
    await run('g++', ['-std=c++17', '-O2', '-Wall', '-Wextra', '-o', binary, SOURCE]);
    return new HttpLoad(binary);
  }

  /** Runs it. @throws Error if answers are missing, or are not 200 */
  async run({
    port,
    paths,
    connections,
    seconds,
    rate = 0,
    header,
  }: HttpLoadOptions): Promise<HttpLoadResult> {
    const child = spawn(
      this.#binary,
      [...[port, connections, seconds, rate].map(String), ...(header ? [header] : [])],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.end(`${paths.join('\n')}\n`);
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`the HTTP load generator ended with ${code ?? 'a signal'}: ${stderr}`);
    return JSON.parse(stdout) as HttpLoadResult;
  }
}
