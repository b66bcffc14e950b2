/** Publisher of a gateway's load: every second, and at once when the load or the readiness changes sharply. */
import type { Logger } from '../../common/mod.ts';
import type { Registration } from '../../crpc/mod.ts';
import { LoadReport } from './load-report.ts';
import type { WorkerStats } from './worker-stats.ts';

/** Interval of reports. ipconf's ages and half-lives are multiples of it. ms. */
const INTERVAL_MS = 1000;
/** Least time between two reports: at most four a second, plus one when it drains. ms. */
export const MIN_INTERVAL_MS = 250;
/** Least change in connections that counts as sharp. */
export const SHARP_CONNECTIONS = 64;
/** Least change in connections that counts as sharp, as a share of those at the last report. */
export const SHARP_SHARE = 0.1;
/** Least change of the event-loop delay that counts as sharp: people begin to notice it. ms. */
export const SHARP_DELAY_MS = 50;

export interface LoadPublisherOptions {
  readonly maxConnections: () => number;
  readonly maxBytesOutPerS?: number | undefined;
  readonly isReady: () => boolean;
  readonly workers: () => readonly { readonly stats: WorkerStats }[];
  readonly logger: Logger;
  readonly report?: LoadReport;
}

/** Writes one report at a time. Changes during a write go into the next one, so nothing queues up. */
export class LoadPublisher {
  readonly #options: LoadPublisherOptions;
  readonly #report: LoadReport;
  #registration: Registration | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSoon = false;
  #writing: Promise<void> | undefined;
  #last: Record<string, number> = {};
  #lastMs = -Infinity;
  #draining = false;

  constructor(options: LoadPublisherOptions) {
    this.#options = options;
    this.#report = options.report ?? new LoadReport();
  }

  /** Returns the current figures. */
  next(): Record<string, number> {
    const { workers, maxConnections, maxBytesOutPerS, isReady } = this.#options;
    this.#last = this.#report.next(
      workers().map(({ stats }) => stats),
      { maxConnections: maxConnections(), maxBytesOutPerS, draining: this.#draining, ready: isReady() },
    );
    this.#lastMs = performance.now();
    return this.#last;
  }

  start(registration: Registration): void {
    this.#registration = registration;
    this.#plan(INTERVAL_MS);
  }

  /** Handles a worker's stats: reports early if they have changed sharply. */
  onStats(): void {
    if (this.#registration === undefined || this.#isSoon || !this.#isSharp()) return;
    this.#isSoon = true;
    this.#plan(Math.max(0, this.#lastMs + MIN_INTERVAL_MS - performance.now()));
  }

  /** Reports that the gateway is draining; reports go on until `stop`. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#writing;
    await this.#publish();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#registration = undefined;
  }

  /** Schedules the next report. One timer for all, so that reports keep their least distance. */
  #plan(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isSoon = false;
      this.#plan(INTERVAL_MS);
      void this.#publish();
    }, waitMs);
  }

  #isSharp(): boolean {
    let [connections, delayMs] = [0, 0];
    for (const { stats } of this.#options.workers()) {
      connections += stats.connections.tcp + stats.connections.ws;
      delayMs = Math.max(delayMs, stats.loopDelayMs);
    }
    const before = this.#last['connections'] ?? 0;
    const change = Math.abs(connections - before);
    if (Number(this.#options.isReady()) !== this.#last['ready']) return true;
    if (change >= Math.max(SHARP_CONNECTIONS, before * SHARP_SHARE)) return true;
    return Math.abs(delayMs - (this.#last['loop_delay_ms'] ?? 0)) >= SHARP_DELAY_MS;
  }

  #publish(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    try {
      await this.#registration?.update({ load: this.next() });
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'the load could not be published; the next report follows');
    }
  }
}
