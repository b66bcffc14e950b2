/** A lease in etcd and the time for which it is certainly valid. */

/** Most relative difference in speed between two clocks; NTP slews by at most 0.0005. */
const DRIFT = 0.01;

/**
 * A lease that was granted and is renewed.
 *
 * etcd counts from the moment at which a grant or renewal reaches it, so not before it was sent. The time is measured
 * here from the sending, so that the holder learns of the expiry no later than etcd and without asking.
 */
export class Lease {
  readonly id: bigint;
  readonly #liveMs: number;
  #from = 0;
  #wallFrom = 0;

  /** @param sent When the grant was sent. */
  constructor(id: bigint, ttlSeconds: number, sent: Instant) {
    this.id = id;
    this.#liveMs = ttlSeconds * 1000 * (1 - DRIFT);
    this.renewed(sent);
  }

  /** etcd has confirmed the renewal that was sent then. */
  renewed({ at, wallAt }: Instant): void {
    this.#from = at;
    this.#wallFrom = wallAt;
  }

  /** Time for which the lease is certainly valid, ms; 0 or less: it may have expired. */
  get leftMs(): number {
    // The monotonic clock stops while the machine sleeps; the wall clock can be set back. Both at once is unlikely.
    const passed = Math.max(performance.now() - this.#from, Date.now() - this.#wallFrom);
    return this.#liveMs - passed;
  }
}

/** A moment by both the monotonic and the wall clock. */
export interface Instant {
  readonly at: number;
  readonly wallAt: number;
}

/** Returns the current moment. */
export function instantNow(): Instant {
  return { at: performance.now(), wallAt: Date.now() };
}
