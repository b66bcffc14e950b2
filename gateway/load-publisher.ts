/** Publishes a gateway's load: every second, and at once when it changes sharply or the gateway drains. */
import type { Logger } from '../common/mod.ts';
import type { Registration } from '../crpc/mod.ts';
import { LoadReport } from './load-report.ts';
import type { WorkerStats } from './worker-stats.ts';

/** What ipconf takes for granted: its ages and half-lives are multiples of it. ms. */
const INTERVAL_MS = 1000;
/** Sharp changes are told at most this often: a gateway writes no more than four records a second. ms. */
export const MIN_INTERVAL_MS = 250;
/** A change of fewer connections is no news, whatever its share is. Connections. */
export const SHARP_CONNECTIONS = 64;
/** Change of the connections since the last report that is sharp, as a share of those held then. */
export const SHARP_SHARE = 0.1;
/** Change of the event-loop delay that is sharp: people begin to notice. ms. */
export const SHARP_DELAY_MS = 50;

export interface LoadPublisherOptions {
  readonly maxConnections: () => number;
  readonly workers: () => readonly { readonly stats: WorkerStats }[];
  readonly logger: Logger;
  readonly report?: LoadReport;
}

/** One write at a time; what changes meanwhile is in the next one, so nothing queues up. */
export class LoadPublisher {
  readonly #options: LoadPublisherOptions;
  readonly #report: LoadReport;
  #registration: Registration | undefined;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #last: Record<string, number> = {};
  #lastMs = -Infinity;
  #draining = false;

  constructor(options: LoadPublisherOptions) {
    this.#options = options;
    this.#report = options.report ?? new LoadReport();
  }

  /** Returns the figures as of now. */
  next(): Record<string, number> {
    this.#last = this.#report.next(
      this.#options.workers().map(({ stats }) => stats),
      this.#options.maxConnections(),
      this.#draining,
    );
    this.#lastMs = performance.now();
    return this.#last;
  }

  start(registration: Registration): void {
    this.#registration = registration;
    this.#timer = setInterval(() => void this.#publish(), INTERVAL_MS);
  }

  /** A worker has counted: tells the registry before its time if that is news. */
  onStats(): void {
    if (this.#registration === undefined || this.#soon !== undefined || !this.#isSharp()) return;
    const waitMs = Math.max(0, this.#lastMs + MIN_INTERVAL_MS - performance.now());
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.#publish();
    }, waitMs);
  }

  /** Says that the gateway takes no more clients; it goes on reporting until `stop`. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#writing;
    await this.#publish();
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#registration = undefined;
  }

  #isSharp(): boolean {
    let [connections, delayMs] = [0, 0];
    for (const { stats } of this.#options.workers()) {
      connections += stats.connections.tcp + stats.connections.ws;
      delayMs = Math.max(delayMs, stats.loopDelayMs);
    }
    const before = this.#last['connections'] ?? 0;
    const change = Math.abs(connections - before);
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
