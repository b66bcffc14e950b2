/**
 * An etcd session: a lease kept alive, with its keys. If the lease is lost, a new one is taken and the keys are written
 * again.
 */
import { Backoff } from '../backoff.ts';
import type { Logger } from '../logger.ts';
import { isLeaseUnknown } from './etcd-client.ts';
import type { EtcdClient } from './etcd-client.ts';
import { Lease, instantNow } from './lease.ts';

/** An entry under the lease. */
export interface LeasedEntry {
  /** Writes it under a lease; called again with a new lease after a loss. */
  put(lease: Lease): Promise<void>;
  /** Whether it must be written to etcd. */
  dirty: boolean;
}

export interface SessionOptions {
  readonly client: EtcdClient;
  readonly logger: Logger;
  readonly ttlSeconds: number;
  /** Interval of renewals, ms. @default three times per TTL */
  readonly renewIntervalMs?: number;
}

/**
 * Holds one lease for the process.
 *
 * When etcd reports it gone, a new one is granted and every entry is written again at once, so an entry is absent for
 * less than a TTL after etcd is reachable. While etcd is unreachable, it retries with backoff and jitter.
 */
export class EtcdSession {
  readonly #client: EtcdClient;
  readonly #logger: Logger;
  readonly #ttlSeconds: number;
  readonly #renewIntervalMs: number;
  readonly #entries = new Set<LeasedEntry>();
  readonly #backoff: Backoff;
  #lease: Promise<Lease> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SessionOptions) {
    this.#client = options.client;
    this.#logger = options.logger;
    this.#ttlSeconds = options.ttlSeconds;
    this.#renewIntervalMs = options.renewIntervalMs ?? (options.ttlSeconds * 1000) / 3;
    this.#backoff = new Backoff({ baseMs: 200, maxMs: this.#renewIntervalMs });
  }

  /** Writes an entry and keeps it. @throws CrpcError REGISTRY_UNREACHABLE, and then the entry is not kept */
  async add(entry: LeasedEntry): Promise<void> {
    await this.#put(entry);
    this.#entries.add(entry);
  }

  /** Writes an entry again, now or as soon as etcd is reachable. */
  async refresh(entry: LeasedEntry): Promise<void> {
    entry.dirty = true;
    if (!this.#entries.has(entry)) return;
    try {
      await this.#put(entry);
    } catch (error) {
      this.#logger.debug({ err: error }, 'registry entry will be written later');
    }
  }

  /** Removes an entry; the caller deletes its key. */
  remove(entry: LeasedEntry): void {
    this.#entries.delete(entry);
  }

  /** Revokes the lease, and with it every entry. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#entries.clear();
    if (this.#lease === undefined) return;
    try {
      await this.#client.revokeLease((await this.#lease).id);
    } catch (error) {
      this.#logger.debug({ err: error }, 'lease is left to expire');
    }
  }

  async #put(entry: LeasedEntry): Promise<void> {
    try {
      await entry.put(await this.#currentLease());
    } catch (error) {
      if (!isLeaseUnknown(error)) throw error;
      this.#lease = undefined;
      for (const other of this.#entries) other.dirty = true;
      await entry.put(await this.#currentLease());
      this.#schedule(0);
    }
    entry.dirty = false;
  }

  #currentLease(): Promise<Lease> {
    if (this.#lease === undefined) {
      const lease = this.#grant();
      this.#lease = lease;
      lease.catch(() => {
        if (this.#lease === lease) this.#lease = undefined;
      });
      this.#schedule(this.#renewIntervalMs);
    }
    return this.#lease;
  }

  async #grant(): Promise<Lease> {
    const sent = instantNow();
    return new Lease(await this.#client.grantLease(this.#ttlSeconds), this.#ttlSeconds, sent);
  }

  /** Renews the lease. Returns whether it still exists. */
  async #renew(): Promise<boolean> {
    const lease = await this.#lease;
    if (lease === undefined) return false;
    const sent = instantNow();
    if (!(await this.#client.renewLease(lease.id))) return false;
    lease.renewed(sent);
    return true;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#keepAlive(), delayMs);
  }

  async #keepAlive(): Promise<void> {
    try {
      if (!(await this.#renew())) {
        this.#lease = undefined;
        for (const entry of this.#entries) entry.dirty = true;
        this.#logger.warn({ entries: this.#entries.size }, 'lease lost; registering again');
      }
      for (const entry of this.#entries) if (entry.dirty && !this.#closed) await this.#put(entry);
      if (this.#backoff.failures > 0) this.#logger.info({}, 'registry can be reached again');
      this.#backoff.reset();
      this.#schedule(this.#renewIntervalMs);
    } catch (error) {
      const waitMs = this.#backoff.next();
      const level = this.#backoff.failures === 1 ? 'warn' : 'debug';
      this.#logger[level]({ err: error, waitMs }, 'lease could not be renewed; trying again');
      this.#schedule(waitMs);
    }
  }
}
