/** The gateway's leased number: no other live gateway has it. */
import type { Logger } from '../../common/mod.ts';
import type { LeasedId, Registry } from '../../crpc/mod.ts';
import { MAX_GATEWAY } from '../limits.ts';

const LEASE = 'gateway';
/** Interval of attempts to lease a new number after the old one was lost. */
const RETRY_INTERVAL_MS = 1000;

/**
 * Holds a number and leases another one when it is lost, that is after etcd was unreachable for as long as the registry
 * reserves a number (an hour). Until there is a new one, existing connections live on under their ids and no new ones are
 * accepted.
 */
export class GatewayNumber {
  readonly #registry: Registry;
  readonly #logger: Logger;
  readonly #onChange: (held: number | undefined) => void;
  #leased: LeasedId | undefined;
  #timer: NodeJS.Timeout | undefined;
  #released = false;

  /** @param onChange called when another process may hold the number; undefined: there is no new one yet */
  constructor(registry: Registry, logger: Logger, onChange: (held: number | undefined) => void) {
    this.#registry = registry;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** The number; the last one while there is none. */
  get value(): number {
    return this.#leased?.value ?? 0;
  }

  /** The number while no other process can hold it. */
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
