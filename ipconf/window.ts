/** The window: a gateway's newest report, with earlier ones fading. */
import type { GatewayLoad } from './gateway-report.ts';
import { scarcestRate } from './scorer.ts';

/**
 * Half-life of the rates (bytes, frames, CPU, delay): long enough that one odd second does not move clients, short
 * enough that clients avoid a gateway in trouble within seconds. ms.
 */
export const RATE_HALF_LIFE_MS = 3_000;
/** Reports kept for people to see. */
const RECENT_REPORTS = 5;

/** A report for people. */
export interface RecentReport {
  /** Time on the window's clock, ms. */
  readonly at: number;
  readonly connections: number;
  /** Used share of the scarcest rate. */
  readonly rate: number;
}

/**
 * Ages the reports of a gateway. Connections are known exactly, so only the newest report counts. Rates are noisy, so
 * they are averaged with exponentially fading weights.
 */
export class Window {
  #load: GatewayLoad;
  #usedRate: number;
  #sampledAt: number;
  readonly #recent: RecentReport[] = [];

  /** @param now ms of a monotonic clock */
  constructor(load: GatewayLoad, now: number) {
    this.#load = load;
    this.#usedRate = scarcestRate(load);
    this.#sampledAt = now;
    this.#remember();
  }

  /** The newest report. */
  get load(): GatewayLoad {
    return this.#load;
  }

  /** Used share of the scarcest rate, averaged; 0 (idle) to 1 (full). */
  get usedRate(): number {
    return this.#usedRate;
  }

  /** The last reports, oldest first. */
  get recent(): readonly RecentReport[] {
    return this.#recent;
  }

  /** Returns the age of the newest report, ms. */
  age(now: number): number {
    return Math.max(0, now - this.#sampledAt);
  }

  /** Adds a report. Returns the number of clients that have arrived since the previous one. */
  add(load: GatewayLoad, now: number): number {
    const before = this.#load;
    const keep = 0.5 ** (this.age(now) / RATE_HALF_LIFE_MS);
    this.#usedRate = keep * this.#usedRate + (1 - keep) * scarcestRate(load);
    this.#load = load;
    this.#sampledAt = now;
    this.#remember();
    // Without the counter only net growth shows, which misses arrivals offset by departures.
    const arrived =
      load.accepted !== undefined && before.accepted !== undefined
        ? load.accepted - before.accepted
        : load.connections - before.connections;
    return Math.max(0, arrived);
  }

  #remember(): void {
    if (this.#recent.length === RECENT_REPORTS) this.#recent.shift();
    this.#recent.push({
      at: Math.round(this.#sampledAt),
      connections: this.#load.connections,
      rate: scarcestRate(this.#load),
    });
  }
}
