/** The window: what is known of one gateway, from its newest report and, faded, from those before. */
import type { GatewayLoad } from './gateway-report.ts';
import { scarcestRate } from './scorer.ts';

/**
 * Half-life of the rates (bytes, frames, CPU, delay): long enough that one odd second does not move clients, short
 * enough that a gateway in trouble is left within seconds. ms.
 */
export const RATE_HALF_LIFE_MS = 3_000;
/** Reports kept to be shown to people. */
const RECENT_REPORTS = 5;

/** A report as it is shown. */
export interface RecentReport {
  /** ms on the window's clock. */
  readonly at: number;
  readonly connections: number;
  /** Used share of the scarcest rate. */
  readonly rate: number;
}

/**
 * Ages the reports of one gateway. Connections are a level that is known exactly, so the newest report counts alone;
 * rates are noisy, so they are averaged with exponentially fading weights.
 */
export class Window {
  #load: GatewayLoad;
  #usedRate: number;
  #sampledAt: number;
  readonly #recent: RecentReport[] = [];

  /** @param now ms on any clock that only grows */
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

  /** Used share of the scarcest rate, averaged; 0 idle, 1 spent. */
  get usedRate(): number {
    return this.#usedRate;
  }

  /** The last reports, oldest first. */
  get recent(): readonly RecentReport[] {
    return this.#recent;
  }

  /** Returns how old the newest report is, ms. */
  age(now: number): number {
    return Math.max(0, now - this.#sampledAt);
  }

  /** Takes a report and returns how many clients arrived since the one before. */
  add(load: GatewayLoad, now: number): number {
    const before = this.#load;
    const keep = 0.5 ** (this.age(now) / RATE_HALF_LIFE_MS);
    this.#usedRate = keep * this.#usedRate + (1 - keep) * scarcestRate(load);
    this.#load = load;
    this.#sampledAt = now;
    this.#remember();
    // Without the counter only net growth shows, which misses arrivals that departures cover.
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
