/** One of three server processes is killed, frozen or slow under a steady load: failures and p99 before, after, and a window later. */
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger as logger } from '../../common/mod.ts';
import { createClient, openRegistry } from '../../crpc/mod.ts';
import type { BalancerName, CrpcClient } from '../../crpc/mod.ts';
import { EchoProcess } from '../../crpc/testing/echo-process.ts';
import { TestEtcd } from '../../crpc/testing/etcd.ts';
import { EchoService } from '../../crpc/testing/gen/echo.ts';
import type { Timing } from './compete.ts';
import type { Row } from './report.ts';
import type { BenchServer } from './server.ts';

const POLICIES = ['round-robin', 'least-loaded', 'rendezvous'] as const satisfies readonly BalancerName[];
/** The balancers' outlier window, as it is by default. */
const WINDOW_MS = 10_000;
const CALLS_PER_SECOND = 100;
const TIMEOUT_MS = 2000;
const SLOW_MS = 500;
/** The server that the fault hits. */
const STRUCK = 'a';
/** A call is bad if it fails, or if the faulty server delays it for so long; a second is bad if a hundredth of its calls are. */
const BAD_MS = SLOW_MS / 2;
const BAD_SHARE = 0.01;

const FAULTS: Readonly<Record<string, (server: EchoProcess) => void>> = {
  'kill -9': (server) => server.signal('SIGKILL'),
  SIGSTOP: (server) => server.signal('SIGSTOP'),
  [`slow (${SLOW_MS} ms)`]: (server) => server.tell({ slowMs: SLOW_MS }),
};

/** A call that has ended; times in ms. */
interface Outcome {
  readonly begun: number;
  readonly ms: number;
  /** Name of the answering server; empty if none. */
  readonly server: string;
}

/** All balancers face each fault at the same time, without retries, which would hide it. */
export async function measureFaults(_server: BenchServer, { rounds }: Timing): Promise<Row[]> {
  // A quick run looks at half of each window.
  const windowMs = rounds === 1 ? WINDOW_MS / 2 : WINDOW_MS;
  await using etcd = await TestEtcd.start();
  const rows: Row[] = [];
  for (const [fault, strike] of Object.entries(FAULTS)) {
    const url = `etcd://${etcd.address}/bench-${rows.length}`;
    const servers = await Promise.all([STRUCK, 'b', 'c'].map((name) => EchoProcess.start(url, name)));
    await using registry = openRegistry(url, { logger });
    const loads = await Promise.all(
      POLICIES.map((balancer) =>
        SteadyLoad.start(createClient(EchoService, 'etcd:///echo', { registry, balancer, retry: false })),
      ),
    );
    await sleep(windowMs);
    const at = performance.now();
    strike(servers[0] as EchoProcess);
    await sleep(2 * windowMs);
    for (const [i, policy] of POLICIES.entries()) {
      const outcomes = await (loads[i] as SteadyLoad).stop();
      rows.push(...report(`${fault}, ${policy}`, outcomes, at, windowMs));
    }
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  }
  return rows;
}

function report(what: string, outcomes: readonly Outcome[], at: number, windowMs: number): Row[] {
  const within = (from: number, to: number): Outcome[] =>
    outcomes.filter(({ begun }) => begun >= at + from && begun < at + to);
  const phases = [
    ['before', within(-windowMs, 0)],
    ['in the first window', within(0, windowMs)],
    ['in the second window', within(windowMs, 2 * windowMs)],
  ] as const;
  let lastBad = 0;
  for (let second = 0; second < (2 * windowMs) / 1000; second++) {
    const calls = within(second * 1000, (second + 1) * 1000);
    const bad = calls.filter(({ server, ms }) => server === '' || (server === STRUCK && ms >= BAD_MS));
    if (bad.length > BAD_SHARE * calls.length) lastBad = second + 1;
  }
  return [
    { what: `${what}: recovered after`, value: lastBad, unit: 's', atMost: windowMs / 1000 },
    ...phases.map(([phase, calls]) => ({ what: `  failed ${phase}`, value: failedShare(calls), unit: '%' })),
    ...phases.map(([phase, calls]) => ({ what: `  p99 ${phase}`, value: p99(calls), unit: 'ms' })),
  ];
}

function failedShare(calls: readonly Outcome[]): number {
  return (100 * calls.filter(({ server }) => server === '').length) / calls.length;
}

function p99(calls: readonly Outcome[]): number {
  const sorted = calls.map(({ ms }) => ms).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] as number;
}

/** Starts calls on schedule, whether or not earlier ones have ended, and measures them from their scheduled time. */
class SteadyLoad {
  readonly #client: CrpcClient<typeof EchoService>;
  readonly #outcomes: Outcome[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #begin = performance.now();
  readonly #timer: NodeJS.Timeout;
  #count = 0;

  private constructor(client: CrpcClient<typeof EchoService>) {
    this.#client = client;
    this.#timer = setInterval(() => {
      for (; this.#due(this.#count) <= performance.now(); this.#count++) this.#call(this.#due(this.#count));
    }, 1);
  }

  static async start(client: CrpcClient<typeof EchoService>): Promise<SteadyLoad> {
    // Until all three have answered, connections are still being made.
    const seen = new Set<string>();
    while (seen.size < 3) {
      const answer = await client.tryUnary({ text: '', count: 1 });
      if (answer.ok) seen.add(answer.value.server);
    }
    return new SteadyLoad(client);
  }

  /** Waits for running calls. */
  async stop(): Promise<readonly Outcome[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    this.#client[Symbol.dispose]();
    return this.#outcomes;
  }

  #due(call: number): number {
    return this.#begin + (call * 1000) / CALLS_PER_SECOND;
  }

  #call(begun: number): void {
    const call = this.#client.tryUnary({ text: 'x', count: 1 }, { timeoutMs: TIMEOUT_MS }).then((result) => {
      const server = result.ok ? result.value.server : '';
      this.#outcomes.push({ begun, ms: performance.now() - begun, server });
      this.#running.delete(call);
    });
    this.#running.add(call);
  }
}
