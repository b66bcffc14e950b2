/** The number that the registry leases to a gateway: no other live one has it. */
import type { Logger } from '../common/mod.ts';
import type { LeasedId, Registry } from '../crpc/mod.ts';
import { MAX_GATEWAY } from './limits.ts';

const LEASE = 'gateway';
/** How often a new number is tried for when the lease of the old one is lost. */
const RETRY_INTERVAL_MS = 1000;

/** Holds a number, and takes another one when its lease is lost. */
export class GatewayNumber {
  readonly #registry: Registry;
  readonly #logger: Logger;
  readonly #onChange: (value: number) => void;
  #leased: LeasedId | undefined;
  #timer: NodeJS.Timeout | undefined;
  #released = false;

  /** @param onChange Another process may hold the number before by now. */
  constructor(registry: Registry, logger: Logger, onChange: (value: number) => void) {
    this.#registry = registry;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  get value(): number {
    return this.#leased?.value ?? 0;
  }

  /** @throws GochatError REGISTRY_UNREACHABLE, OVERLOADED when none is free */
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
