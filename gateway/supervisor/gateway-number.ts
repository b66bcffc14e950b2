/** The number that the registry leases to a gateway: no other live one has it. */
import type { Logger } from '../../common/mod.ts';
import type { LeasedId, Registry } from '../../crpc/mod.ts';
import { MAX_GATEWAY } from '../limits.ts';

const LEASE = 'gateway';
/** How often a new number is tried for when the lease of the old one is lost. */
const RETRY_INTERVAL_MS = 1000;

/**
 * Holds a number, and takes another one when it is lost, which is when etcd could not be reached for as long as the
 * registry reserves it (an hour). Until then connections live on under the ids that they have, and nobody new is let in.
 */
export class GatewayNumber {
  readonly #registry: Registry;
  readonly #logger: Logger;
  readonly #onChange: (held: number | undefined) => void;
  #leased: LeasedId | undefined;
  #timer: NodeJS.Timeout | undefined;
  #released = false;

  /** @param onChange Another process may hold the number before by now; undefined: there is none yet in its place. */
  constructor(registry: Registry, logger: Logger, onChange: (held: number | undefined) => void) {
    this.#registry = registry;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** The number, or the last one while there is none. */
  get value(): number {
    return this.#leased?.value ?? 0;
  }

  /** The number as long as no other process can hold it. */
  get held(): number | undefined {
    return this.#leased?.isHeld === true ? this.#leased.value : undefined;
  }

  /** @throws GochatError REGISTRY_UNREACHABLE, NUMBERS_EXHAUSTED */
  async lease(): Promise<void> {
    const leased = await this.#registry.leaseId(LEASE, MAX_GATEWAY);
    if (this.#released) return leased.release();
    this.#leased = leased;
    void leased.lost.then(() => this.#onLost(leased));
  }

  async release(): Promise<void> {
    this.#released = true;
    clearTimeout(this.#timer);
    await this.#leased?.release();
  }

  #onLost(leased: LeasedId): void {
    if (this.#released) return;
    this.#logger.error(
      { number: leased.value },
      "the lease of the gateway's number is lost; taking another one",
    );
    this.#onChange(undefined);
    void this.#replace();
  }

  async #replace(): Promise<void> {
    try {
      await this.lease();
      if (!this.#released) this.#onChange(this.value);
    } catch (error) {
      this.#logger.warn({ err: error }, 'no gateway number can be leased; trying again');
      this.#timer = setTimeout(() => void this.#replace(), RETRY_INTERVAL_MS);
    }
  }
}
