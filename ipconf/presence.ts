/** This ipconf's registry entry, retried until it is registered. */
import { Backoff, type Logger } from '../common/mod.ts';
import type { Endpoint, Registration, Registry } from '../crpc/mod.ts';
import { IPCONF_SERVICE } from './source.ts';

export class Presence {
  readonly #registry: Registry;
  readonly #endpoint: Endpoint;
  readonly #logger: Logger;
  readonly #backoff = new Backoff();
  #registration: Registration | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(registry: Registry, endpoint: Endpoint, logger: Logger) {
    this.#registry = registry;
    this.#endpoint = endpoint;
    this.#logger = logger;
  }

  /** Whether it has been registered once; the registry keeps it from then on. */
  get isRegistered(): boolean {
    return this.#registration !== undefined;
  }

  /** Resolves after the first attempt; further ones follow until one succeeds. */
  async register(): Promise<void> {
    try {
      const registration = await this.#registry.register(IPCONF_SERVICE, this.#endpoint);
      this.#registration = registration;
      if (this.#closed) await registration.deregister();
    } catch (error) {
      if (this.#closed) return;
      const retryInMs = this.#backoff.next();
      this.#logger.warn({ err: error, retryInMs }, 'ipconf is not registered');
      this.#timer = setTimeout(() => void this.register(), retryInMs);
    }
  }

  /** Deregisters. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#registration?.deregister();
  }
}
