/** Compiles and runs the attackers (bench/load/abuse.cpp). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './child.ts';
import type { Tracked } from './usage.ts';

const SOURCE = fileURLToPath(new URL('../load/abuse.cpp', import.meta.url));

/** The attacks of bench/load/abuse.cpp. */
export const ABUSE_KINDS = ['flood', 'nonmember', 'repeated', 'sync', 'half', 'churn', 'password'] as const;
export type AbuseKind = (typeof ABUSE_KINDS)[number];

/** A connection of an attack: who it logs in as and where it sends to. */
export interface Attacker {
  readonly conversation: bigint;
  /** For `password`, the name of the account. */
  readonly token: string;
}

/** Result of an attack. */
export interface AbuseResult {
  readonly connects: number;
  /** Frames, or requests. */
  readonly sent: number;
  /** Answers by type and code, or by HTTP status. */
  readonly answers: Readonly<Record<string, number>>;
}

export class AbuseGenerator {
  readonly #binary: string;
  readonly #plan: string;

  private constructor(folder: string) {
    this.#binary = join(folder, 'abuse');
    this.#plan = join(folder, 'abuse-plan');
  }

  /** Compiles it into the folder. */
  static async build(folder: string): Promise<AbuseGenerator> {
    const generator = new AbuseGenerator(folder);
    await run('g++', ['-std=c++17', '-O2', '-Wall', '-Wextra', '-o', generator.#binary, SOURCE]);
    return generator;
  }

  /** Prepares an attack, which starts with begin(). */
  start(kind: AbuseKind, port: number, attackers: readonly Attacker[]): Attack {
    const lines = attackers.map(({ conversation, token }) => `${conversation} ${token}\n`);
    writeFileSync(this.#plan, lines.join(''), { mode: 0o600 });
    return new Attack(spawn(this.#binary, [kind, String(port), this.#plan], { stdio: 'pipe' }));
  }
}

/** Disposing ends it, started or not; it also ends with the bench. */
export class Attack implements AsyncDisposable {
  readonly tracked: Tracked;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #stdout = '';
  #stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    this.tracked = { name: 'attack', pid: child.pid ?? 0 };
    this.#closed = once(child, 'close');
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    // It may have ended already.
    child.stdin?.on('error', () => undefined);
  }

  begin(): void {
    this.#child.stdin?.write('\n');
  }

  /** Ends the attack and returns its result. */
  async end(): Promise<AbuseResult> {
    await this[Symbol.asyncDispose]();
    if (!this.#stdout.startsWith('{')) throw new Error(`The attack failed: ${this.#stderr}`);
    return JSON.parse(this.#stdout) as AbuseResult;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
  }
}
