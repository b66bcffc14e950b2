/** A lease in etcd, and how long it is sure to live. */

/** What clocks may differ in by their speed, as a share of the time measured; NTP corrects by at most 0.0005. */
const DRIFT = 0.01;

/**
 * A lease that was granted and is renewed.
 *
 * etcd counts its time from the moment at which a grant or a renewal reaches it, and so not before that was sent. The
 * time from then on is measured here, so that the holder knows of the end no later than etcd and without asking it.
 */
export class Lease {
  readonly id: bigint;
  readonly #liveMs: number;
  #from = 0;
  #wallFrom = 0;

  /** @param asked When the grant was sent. */
  constructor(id: bigint, ttlSeconds: number, asked: Asked) {
    this.id = id;
    this.#liveMs = ttlSeconds * 1000 * (1 - DRIFT);
    this.renewed(asked);
  }

  /** etcd has confirmed what was asked then. */
  renewed({ at, wallAt }: Asked): void {
    this.#from = at;
    this.#wallFrom = wallAt;
  }

  /** How long it is sure to live, ms; 0 or less: etcd may have ended it. */
  get leftMs(): number {
    // The monotonic clock stands still while the machine sleeps; the other one can be set back. Not both at once.
    const passed = Math.max(performance.now() - this.#from, Date.now() - this.#wallFrom);
    return this.#liveMs - passed;
  }
}

/** A moment, by both clocks. */
export interface Asked {
  readonly at: number;
  readonly wallAt: number;
}

/** Returns this moment. */
export function askedNow(): Asked {
  return { at: performance.now(), wallAt: Date.now() };
}
