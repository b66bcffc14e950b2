/** Compiles and runs the load generator (bench/load), one run at a time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run as runCommand } from './child.ts';
import { type Sample, sample, type Tracked, type Usage, usageSince } from './usage.ts';

/** Beyond its own deadlines (150 s to connect, 10 s to drain), it has failed. */
const SLACK_MS = 180_000;

/** The generator's name among the servers in the report. */
export const LOAD = 'load';

export type Protocol =
  | 'gochat'
  | 'gochat-ws'
  | 'bare'
  | 'bare-ws'
  | 'socket.io'
  | 'nats'
  | 'jetstream'
  | 'mqtt0'
  | 'mqtt1'
  | 'xmpp';

export type Entries = 'text' | 'edit' | 'retract' | 'reply' | 'thread' | 'mix';

/** One connection of a run. */
export interface PlannedConnection {
  readonly conversation: bigint;
  /** Conversations to send to in turn; `conversation` is the first. */
  readonly conversations?: readonly bigint[];
  readonly sends: boolean;
  readonly token: string;
}

export interface LoadRun {
  readonly protocol: Protocol;
  readonly scenario: 'direct' | 'room' | 'idle';
  readonly ports: readonly number[];
  readonly connections: readonly PlannedConnection[];
  /** Messages that each sender keeps in flight, unless a rate is given. */
  readonly window?: number;
  /** Messages per second of all senders together (open loop). */
  readonly rate?: number;
  /** Texts sent before anything is measured, in a closed loop of `window` per sender. */
  readonly firstSends?: number;
  /** What is sent after them; of a mix 90 % are texts. @default 'text' */
  readonly entries?: Entries;
  readonly seconds: number;
  readonly warmup: number;
  /** idle: this many connect first and are held for `seconds` before the others connect. */
  readonly first?: number;
  /** Connections that the server ends reconnect; the run is over when all are back, or after `seconds`. */
  readonly reconnect?: boolean;
  /** Longest wait at the end for messages in flight, s. @default 10 s */
  readonly drain?: number;
  /** Cores to run on, as taskset's list; undefined: any. */
  readonly cores?: string | undefined;
}

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Output of the generator. */
export interface LoadResult {
  readonly connections: number;
  readonly acked_per_s: number;
  readonly delivered_per_s: number;
  readonly connect_s: number;
  /** Acks from the first to the last message, warm-up included. */
  readonly acked_in_all: number;
  readonly resyncs: number;
  readonly held_up: number;
  /** Number of seqs that arrived ahead of others: a real client then asks for what is missing. */
  readonly gaps: number;
  /** How far the server coalesced its writes to one connection. */
  readonly frames_per_read: number;
  readonly ack_ms: Quantiles;
  readonly delivery_ms: Quantiles;
  readonly connect_ms: Quantiles;
  readonly refused: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Measured {
  readonly load: LoadResult;
  /** Usage of the servers during the measurement, and of the generator under the name LOAD. */
  readonly usage: readonly Usage[];
  /** Statements of PostgreSQL per message, if the peer counts them. */
  readonly statementsPerMessage?: number;
}

export class LoadGenerator {
  readonly #binary: string;
  readonly #folder: string;
  #runs = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#binary = join(folder, 'load');
  }

  /** Compiles it into the folder. @param root the tree with its sources */
  static async build(folder: string, root = ROOT): Promise<LoadGenerator> {
    const generator = new LoadGenerator(folder);
    const source = join(root, 'bench/load/load.cpp');
    await runCommand('g++', ['-std=c++17', '-O2', '-Wall', '-Wextra', '-o', generator.#binary, source]);
    return generator;
  }

  /**
   * Runs it and measures the servers' CPU meanwhile. `onPhase` is called with "connect", "connected", "measure" and
   * "measured". An aborted signal kills it.
   */
  async run(
    what: LoadRun,
    servers: readonly Tracked[],
    signal: AbortSignal,
    onPhase?: (phase: string) => void,
  ): Promise<Measured> {
    const plan = join(this.#folder, `plan-${++this.#runs}`);
    writeFileSync(plan, what.connections.map(planLine).join(''), { mode: 0o600 });
    const args = [
      '--protocol',
      what.protocol,
      '--scenario',
      what.scenario,
      '--plan',
      plan,
      ...what.ports.flatMap((port) => ['--port', String(port)]),
      '--window',
      String(what.window ?? 1),
      '--rate',
      String(what.rate ?? 0),
      '--first-sends',
      String(what.firstSends ?? 0),
      '--seconds',
      String(what.seconds),
      '--warmup',
      String(what.warmup),
      '--drain',
      String(what.drain ?? 10),
      '--first',
      String(what.first ?? 0),
      '--reconnect',
      what.reconnect ? '1' : '0',
      // The generators of earlier commits do not know it.
      ...(what.entries === undefined ? [] : ['--entries', what.entries]),
    ];
    const [command, all] =
      what.cores === undefined
        ? [this.#binary, args]
        : ['taskset', ['-c', what.cores, this.#binary, ...args]];
    const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const kill = () => child.kill('SIGKILL');
    signal.addEventListener('abort', kill);
    const timer = setTimeout(kill, SLACK_MS + (what.seconds + what.warmup) * 1000);
    const tracked = [...servers, { name: LOAD, pid: child.pid ?? 0 }];
    let before: Sample | undefined;
    let usage: Usage[] = [];
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      for (const [, phase] of text.matchAll(/^phase (\w+)$/gm)) {
        if (phase === 'measure') before = sample(tracked);
        if (phase === 'measured' && before !== undefined) usage = usageSince(before, tracked);
        onPhase?.(phase as string);
      }
    });
    try {
      const [code] = (await once(child, 'close')) as [number | null];
      signal.throwIfAborted();
      if (!stdout.startsWith('{')) {
        const what = stderr.replaceAll(/^phase .*\n/gm, '');
        throw new Error(`The load generator ended with ${code ?? 'a signal'}: ${what}`);
      }
      return { load: JSON.parse(stdout) as LoadResult, usage };
    } finally {
      signal.removeEventListener('abort', kill);
      clearTimeout(timer);
    }
  }
}

function planLine(connection: PlannedConnection): string {
  return `${connection.conversations?.join(',') ?? connection.conversation} ${connection.sends ? 1 : 0} ${connection.token}\n`;
}
