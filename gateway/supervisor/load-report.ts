/** A gateway's load report for the registry, made from its workers' counters. */
import { availableParallelism, totalmem } from 'node:os';
import type { WorkerStats } from './worker-stats.ts';

/** Resource usage of the process. */
export interface Usage {
  /** CPU time of all threads so far, ms. */
  readonly cpuMs: number;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Memory limit: the container's, or else the machine's memory. */
  readonly maxMemoryBytes: number;
}

function readUsage(): Usage {
  const { user, system } = process.cpuUsage();
  return {
    cpuMs: (user + system) / 1000,
    cores: availableParallelism(),
    memoryBytes: process.memoryUsage.rss(),
    maxMemoryBytes: Math.min(process.constrainedMemory() || Infinity, totalmem()),
  };
}

/** Inputs of a report besides the workers' counters. */
export interface GatewayCondition {
  readonly maxConnections: number;
  /** Network capacity, bytes/s; undefined: unknown, so bytes sent are not counted. */
  readonly maxBytesOutPerS?: number | undefined;
  readonly draining: boolean;
  /** Whether it accepts clients. */
  readonly ready: boolean;
}

/** Makes reports; rates are since the previous report. */
export class LoadReport {
  readonly #now: () => number;
  readonly #usage: () => Usage;
  #cpuMs: number;
  #tick = 0;
  #beforeMs: number;
  #framesIn = 0;
  #framesOut = 0;
  #bytesOut = 0;

  /** @param now monotonic, ms */
  constructor(now: () => number = () => performance.now(), usage: () => Usage = readUsage) {
    this.#now = now;
    this.#usage = usage;
    this.#cpuMs = usage().cpuMs;
    this.#beforeMs = now();
  }

  /** Returns the figures for ipconf. */
  next(workers: readonly WorkerStats[], condition: GatewayCondition): Record<string, number> {
    const { maxConnections, maxBytesOutPerS, draining, ready } = condition;
    const sum = (read: (stats: WorkerStats) => number): number =>
      workers.reduce((total, stats) => total + read(stats), 0);
    const framesIn = sum((stats) => stats.framesIn);
    const framesOut = sum((stats) => stats.framesOut);
    const bytesOut = sum((stats) => stats.bytesOut);
    const nowMs = this.#now();
    const seconds = Math.max(0.001, (nowMs - this.#beforeMs) / 1000);
    // A replaced worker counts from 0 again.
    const rate = (value: number, before: number): number => Math.round(Math.max(0, value - before) / seconds);
    const { cpuMs, cores, memoryBytes, maxMemoryBytes } = this.#usage();
    const load = {
      tick: ++this.#tick,
      connections: sum(({ connections }) => connections.tcp + connections.ws),
      max_connections: maxConnections,
      accepted: sum((stats) => stats.accepts),
      frames_in_per_s: rate(framesIn, this.#framesIn),
      frames_per_s: rate(framesIn + framesOut, this.#framesIn + this.#framesOut),
      bytes_out_per_s: rate(bytesOut, this.#bytesOut),
      ...(maxBytesOutPerS !== undefined && { max_bytes_out_per_s: maxBytesOutPerS }),
      loop_delay_ms: Math.round(Math.max(0, ...workers.map((stats) => stats.loopDelayMs)) * 10) / 10,
      cpu: Math.min(1, Math.round((1000 * (cpuMs - this.#cpuMs)) / (seconds * 1000 * cores)) / 1000),
      memory_bytes: memoryBytes,
      max_memory_bytes: maxMemoryBytes,
      draining: draining ? 1 : 0,
      ready: ready ? 1 : 0,
    };
    this.#cpuMs = cpuMs;
    this.#beforeMs = nowMs;
    this.#framesIn = framesIn;
    this.#framesOut = framesOut;
    this.#bytesOut = bytesOut;
    return load;
  }
}
