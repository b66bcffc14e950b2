/** The node's leased number and the ids made with it: no two live nodes make the same id. */
import { Backoff, GochatError, type Logger, MAX_NODE, Snowflake } from '../common/mod.ts';
import type { LeasedId, Registry } from '../crpc/mod.ts';

/** Name under which state nodes lease their numbers. */
const LEASE_NAME = 'state';
const RETRY_MAX_MS = 2000;

export interface NodeIdsOptions {
  readonly registry: Pick<Registry, 'leaseId'>;
  readonly logger: Logger;
  /** A number was leased after the old one was lost. */
  readonly onRegained: () => void;
}

/** Makes ids while it holds a number; if that is lost for good, it leases another. */
export class NodeIds {
  readonly #options: NodeIdsOptions;
  #leased: LeasedId | undefined;
  #snowflake: Snowflake | undefined;
  #acquiring: Promise<void> | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: NodeIdsOptions) {
    this.#options = options;
  }

  /** Returns whether ids can be made now. */
  get available(): boolean {
    return this.#snowflake !== undefined && this.#leased?.isHeld === true;
  }

  /** Leases a number unless there is one. @throws GochatError REGISTRY_UNREACHABLE, NUMBERS_EXHAUSTED */
  async acquire(): Promise<void> {
    if (this.#snowflake !== undefined) return;
    this.#acquiring ??= this.#lease().finally(() => {
      this.#acquiring = undefined;
    });
    await this.#acquiring;
  }

  /** Returns the next id. @throws GochatError STATE_UNAVAILABLE while there is no number */
  next(): bigint {
    return this.#source().next();
  }

  /** Returns the next ids, in ascending order. @throws GochatError STATE_UNAVAILABLE while there is no number */
  take(count: number): bigint[] {
    const source = this.#source();
    return Array.from({ length: count }, () => source.next());
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    this.#snowflake = undefined;
    await this.#leased?.release();
    this.#leased = undefined;
  }

  #source(): Snowflake {
    if (this.#snowflake === undefined || this.#leased?.isHeld !== true)
      throw new GochatError('STATE_UNAVAILABLE');
    return this.#snowflake;
  }

  async #lease(): Promise<void> {
    const leased = await this.#options.registry.leaseId(LEASE_NAME, MAX_NODE);
    if (this.#closed) {
      await leased.release();
      return;
    }
    this.#leased = leased;
    this.#snowflake = new Snowflake(leased.value);
    void leased.lost.then(() => {
      if (this.#leased === leased && !this.#closed) this.#onLost();
    });
  }

  #onLost(): void {
    this.#options.logger.warn('the number of this node is lost: leasing another one');
    this.#leased = undefined;
    this.#snowflake = undefined;
    const backoff = new Backoff({ maxMs: RETRY_MAX_MS });
    const attempt = (): void => {
      this.acquire().then(
        () => this.#options.onRegained(),
        (error: unknown) => {
          this.#options.logger.warn({ err: error }, 'no number leased for this node yet');
          if (!this.#closed) this.#retryTimer = setTimeout(attempt, backoff.next());
        },
      );
    };
    attempt();
  }
}
