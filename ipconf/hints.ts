/** Hints for clients: how long an answer may be used, and how to wait between attempts. */

export interface BackoffHint {
  /** First bound of the wait, ms; it doubles with each failure. */
  readonly base_ms: number;
  readonly max_ms: number;
  /** Each wait is uniform between 0 and the bound. */
  readonly jitter: 'full';
}

/** Too short for people to notice, long enough not to hammer a restarting gateway. ms. */
const BASE_MS = 200;
const MAX_BASE_MS = 5_000;
/** Most growth of the bound, reached after about six failures. */
const MAX_FACTOR = 50;
const MAX_MAX_MS = 60_000;
/** Clients per second that a gateway accepts without queueing: a token check and a login each. */
const ARRIVALS_PER_GATEWAY = 500;

/** How long an answer may be used: the usual age of reports. ms. */
export const TTL_MS = 5_000;

/** Returns the backoff hint. It grows as clients come faster than the gateways can accept without queueing. */
export function backoffHint(placementsPerSecond: number, gateways: number): BackoffHint {
  const pressure = placementsPerSecond / (Math.max(1, gateways) * ARRIVALS_PER_GATEWAY);
  const base = Math.min(MAX_BASE_MS, Math.round(BASE_MS * Math.max(1, pressure)));
  return { base_ms: base, max_ms: Math.min(MAX_MAX_MS, base * MAX_FACTOR), jitter: 'full' };
}

/** Half-life of the measured rate: two seconds of a storm raise the hint, one busy tick does not. ms. */
const ARRIVALS_HALF_LIFE_MS = 2_000;

/** Measures a smoothed rate of events per second from a growing count. */
export class Rate {
  #count = 0;
  #at: number;
  #perSecond = 0;

  constructor(now: number) {
    this.#at = now;
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  update(count: number, now: number): void {
    const elapsed = now - this.#at;
    if (elapsed <= 0) return;
    const keep = 0.5 ** (elapsed / ARRIVALS_HALF_LIFE_MS);
    this.#perSecond = keep * this.#perSecond + (1 - keep) * ((count - this.#count) / (elapsed / 1000));
    this.#count = count;
    this.#at = now;
  }
}
