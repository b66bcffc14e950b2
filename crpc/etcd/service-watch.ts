/** Watch of one service: a mirror of its keys, behind the mass-loss guard. */
import { withFields } from '../logger.ts';
import type { Logger } from '../logger.ts';
import { decodeEndpoint } from '../balance/endpoint-codec.ts';
import { MassLossGuard } from '../balance/mass-loss-guard.ts';
import { crpcMetrics } from '../metrics.ts';
import type { Endpoint, Snapshot } from '../registry/registry.ts';
import type { EtcdClient, KeyRange } from './etcd-client.ts';
import { Mirror } from './mirror.ts';
import type { MirrorValue } from './mirror.ts';

/** Factor between the time to pass on changes and the pause before the next ones: it costs two hundredths of a core. */
const PAUSE_FACTOR = 49;
/** Longest pause before changes are passed on, however slow the machine is. ms. */
const MAX_PAUSE_MS = 50;

export interface ServiceWatchOptions {
  readonly client: EtcdClient;
  readonly logger: Logger;
  readonly service: string;
  readonly range: KeyRange;
  readonly graceMs: number;
  readonly ttlMs: number;
}

/** Shared by all watchers of a service in a process; the last one to leave closes it. */
export class ServiceWatch {
  readonly #options: ServiceWatchOptions;
  readonly #guard: MassLossGuard;
  readonly #mirror: Mirror;
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  /** By key. */
  readonly #endpoints = new Map<string, Endpoint>();
  #snapshot: Snapshot | undefined;
  /** Endpoints that announced their departure since the last flush. */
  readonly #left = new Set<string>();
  #isDoubtful = false;
  /** Whether endpoints have come or gone since the last flush. */
  #hasMoved = false;
  #isPending = false;
  #pausedUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Until then losses may be due to a registry that was away longer than leases last. */
  #doubtUntil = 0;

  constructor(options: ServiceWatchOptions) {
    this.#options = options;
    const { service, graceMs, logger } = options;
    this.#guard = new MassLossGuard({
      graceMs,
      onHold: (held, of) => {
        crpcMetrics().massLosses.add(1, { service });
        logger.warn({ service, held, of, graceMs }, 'most endpoints vanished at once; holding them back');
      },
      onRelease: (released) => {
        logger.warn({ service, released }, 'endpoints did not come back; removing them');
        this.#tell(this.#snapshot?.stale ?? false);
      },
    });
    this.#mirror = new Mirror(
      options.client,
      options.range,
      {
        onList: (values, isReborn) => {
          if (this.#snapshot?.stale) this.#doubtUntil = performance.now() + this.#options.ttlMs;
          this.#endpoints.clear();
          this.#hasMoved = true;
          this.#apply(values, isReborn);
        },
        onChange: (changes) => this.#apply(changes, false),
        onStale: () => {
          this.#flush();
          if (this.#snapshot?.stale !== true) this.#tell(true);
        },
      },
      withFields(logger, { service }),
    );
  }

  get isUnused(): boolean {
    return this.#listeners.size === 0;
  }

  /** Adds a listener, which soon gets the known endpoints, if any. */
  add(listener: (snapshot: Snapshot) => void): void {
    this.#listeners.add(listener);
    if (this.#snapshot === undefined) return;
    setImmediate(() => {
      if (this.#snapshot !== undefined && this.#listeners.has(listener)) listener(this.#snapshot);
    });
  }

  remove(listener: (snapshot: Snapshot) => void): void {
    this.#listeners.delete(listener);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#listeners.clear();
    this.#mirror.close();
    this.#guard.close();
  }

  #apply(changes: ReadonlyMap<string, MirrorValue | undefined>, isReborn: boolean): void {
    for (const [key, value] of changes) {
      const decoded = value === undefined ? undefined : decodeEndpoint(value.text, value.lease);
      if (value !== undefined && decoded === undefined)
        this.#options.logger.warn({ key }, 'this key in the registry is not an endpoint');
      if (decoded?.leaving) this.#left.add(decoded.endpoint.id);
      if (decoded === undefined || decoded.leaving) {
        this.#endpoints.delete(key);
        this.#hasMoved = true;
        continue;
      }
      const { endpoint } = decoded;
      if (this.#endpoints.get(key)?.id !== endpoint.id) this.#hasMoved = true;
      else if (!this.#hasMoved) this.#guard.renew(endpoint);
      this.#endpoints.set(key, endpoint);
      this.#left.delete(endpoint.id);
    }
    this.#isDoubtful ||= isReborn || performance.now() < this.#doubtUntil;
    this.#isPending = true;
    // With ten thousand endpoints one changes all the time, and passing them on checks each.
    const waitMs = this.#pausedUntil - performance.now();
    if (waitMs <= 0) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), waitMs);
  }

  /** Applies and passes on changes, then pauses for a multiple of the time that took. */
  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#isPending) return;
    this.#isPending = false;
    const begin = performance.now();
    if (this.#hasMoved || this.#isDoubtful) {
      const truth = new Map([...this.#endpoints.values()].map((endpoint) => [endpoint.id, endpoint]));
      this.#guard.update(truth, this.#left, this.#isDoubtful);
      this.#left.clear();
      [this.#hasMoved, this.#isDoubtful] = [false, false];
    }
    this.#tell(false);
    const end = performance.now();
    this.#pausedUntil = end + Math.min(MAX_PAUSE_MS, PAUSE_FACTOR * (end - begin));
  }

  #tell(stale: boolean): void {
    this.#snapshot = { endpoints: this.#guard.shown, stale };
    for (const listener of this.#listeners) {
      try {
        listener(this.#snapshot);
      } catch (error) {
        this.#options.logger.error({ err: error }, 'a registry listener failed');
      }
    }
  }
}
