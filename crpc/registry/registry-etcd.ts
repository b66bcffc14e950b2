/** The registry on etcd. */
import { randomUUID } from 'node:crypto';
import { CrpcError } from '../errors.ts';
import { withFields } from '../logger.ts';
import type { Logger } from '../logger.ts';
import { once } from '../once.ts';
import { decodeEndpoint, encodeEndpoint } from '../balance/endpoint-codec.ts';
import { EtcdClient } from '../etcd/etcd-client.ts';
import type { EtcdClientOptions, KeyRange } from '../etcd/etcd-client.ts';
import { leaseNumber } from '../etcd/number.ts';
import { Mirror } from '../etcd/mirror.ts';
import { ServiceWatch } from '../etcd/service-watch.ts';
import { EtcdSession } from '../etcd/session.ts';
import type { LeasedEntry } from '../etcd/session.ts';
import type { Endpoint, LeasedId, Registration, Registry, Snapshot, Unwatch } from './registry.ts';

const DEFAULT_TTL_SECONDS = 10;
const DEFAULT_NUMBER_TTL_SECONDS = 3600;
const DEFAULT_PREFIX = '/gochat/';

export interface EtcdRegistryOptions extends EtcdClientOptions {
  readonly logger: Logger;
  /** Time after which a dead process's entries expire, s. etcd's minimum is 2. @default 10 */
  readonly ttlSeconds?: number;
  /**
   * Time for which a number stays reserved for a process that was killed or cannot reach etcd, s: numbers survive an
   * outage of etcd of this length.
   *
   * @default 3600
   */
  readonly numberTtlSeconds?: number;
  /** Time for which a mass loss is held back, ms. @default 1.5 × TTL */
  readonly graceMs?: number;
  /** Prefix of all keys in etcd. @default /gochat/ */
  readonly prefix?: string;
}

/**
 * A Registry on etcd: keys under one lease per process, watches that survive etcd, numbers by transaction and under
 * a long lease of their own.
 *
 *     PREFIX services/SERVICE/ID   an endpoint, JSON
 *     PREFIX ids/NAME/NUMBER       who holds the number
 *     PREFIX values/KEY            a published value
 */
export class EtcdRegistry implements Registry {
  readonly #client: EtcdClient;
  readonly #session: EtcdSession;
  readonly #numberSession: EtcdSession;
  readonly #logger: Logger;
  readonly #prefix: string;
  readonly #ttlSeconds: number;
  readonly #graceMs: number;
  readonly #watches = new Map<string, ServiceWatch>();
  readonly #mirrors = new Set<Mirror>();
  #closed = false;

  constructor(options: EtcdRegistryOptions) {
    const ttlSeconds = options.ttlSeconds ?? DEFAULT_TTL_SECONDS;
    this.#client = new EtcdClient(options);
    this.#logger = withFields(options.logger, { registry: this.#client.url });
    this.#session = new EtcdSession({ client: this.#client, logger: this.#logger, ttlSeconds });
    this.#numberSession = new EtcdSession({
      client: this.#client,
      logger: this.#logger,
      ttlSeconds: options.numberTtlSeconds ?? DEFAULT_NUMBER_TTL_SECONDS,
      // Renewed as often as the other lease, so that a loss is noticed soon.
      renewIntervalMs: (ttlSeconds * 1000) / 3,
    });
    this.#prefix = options.prefix ?? DEFAULT_PREFIX;
    this.#ttlSeconds = ttlSeconds;
    this.#graceMs = options.graceMs ?? ttlSeconds * 1500;
  }

  async register(service: string, endpoint: Endpoint): Promise<Registration> {
    this.#assertOpen();
    const key = Buffer.from(`${this.#prefix}services/${service}/${endpoint.id}`);
    let current = endpoint;
    const entry: LeasedEntry = {
      dirty: false,
      put: ({ id }) => this.#client.put(key, encodeEndpoint(current), id),
    };
    await this.#session.add(entry);
    const deregister = once(async () => {
      this.#session.remove(entry);
      try {
        // A mark that expires, and not a delete: so watchers, even disconnected ones, can tell a departure from a loss.
        const lease = await this.#client.grantLease(this.#ttlSeconds * 2);
        await this.#client.put(key, encodeEndpoint(current, true), lease);
      } catch (error) {
        this.#logger.warn({ err: error, service }, 'could not deregister; the lease will expire');
      }
    });
    return {
      get endpoint() {
        return current;
      },
      update: async (change) => {
        current = { ...current, ...change };
        await this.#session.refresh(entry);
      },
      deregister,
      [Symbol.asyncDispose]: deregister,
    };
  }

  watch(service: string, listener: (snapshot: Snapshot) => void): Unwatch {
    this.#assertOpen();
    let watch = this.#watches.get(service);
    if (watch === undefined) {
      watch = new ServiceWatch({
        client: this.#client,
        logger: this.#logger,
        service,
        range: this.#under(`services/${service}/`),
        graceMs: this.#graceMs,
        ttlMs: this.#ttlSeconds * 1000,
      });
      this.#watches.set(service, watch);
    }
    const joined = watch;
    const own = (snapshot: Snapshot): void => listener(snapshot);
    joined.add(own);
    return () => {
      joined.remove(own);
      if (!joined.isUnused || this.#watches.get(service) !== joined) return;
      this.#watches.delete(service);
      joined.close();
    };
  }

  async list(service: string): Promise<readonly Endpoint[]> {
    this.#assertOpen();
    const { kvs } = await this.#client.range(this.#under(`services/${service}/`));
    return kvs.flatMap(({ value, lease }) => {
      const decoded = decodeEndpoint(value.toString(), lease);
      return decoded === undefined || decoded.leaving ? [] : [decoded.endpoint];
    });
  }

  async leaseId(name: string, max: number): Promise<LeasedId> {
    this.#assertOpen();
    return leaseNumber({
      name,
      client: this.#client,
      session: this.#numberSession,
      logger: this.#logger,
      range: this.#under(`ids/${name}/`),
      max,
      owner: randomUUID(),
    });
  }

  async publish(key: string, value: string): Promise<void> {
    this.#assertOpen();
    await this.#client.put(Buffer.from(`${this.#prefix}values/${key}`), value);
  }

  follow(key: string, listener: (value: string | undefined) => void): Unwatch {
    this.#assertOpen();
    const path = Buffer.from(`${this.#prefix}values/${key}`);
    let known: string | undefined;
    let wasTold = false;
    const tell = (value: string | undefined): void => {
      if (wasTold && value === known) return;
      wasTold = true;
      known = value;
      listener(value);
    };
    const mirror = new Mirror(
      this.#client,
      { key: path, end: Buffer.alloc(0) },
      {
        onList: (values, isReborn) => {
          // An etcd that came back empty was not asked to delete the value.
          if (!isReborn || values.size > 0) tell(values.get(path.toString())?.text);
        },
        onChange: (changes) => tell(changes.get(path.toString())?.text),
        onStale: () => {},
      },
      withFields(this.#logger, { key }),
    );
    this.#mirrors.add(mirror);
    return () => {
      this.#mirrors.delete(mirror);
      mirror.close();
    };
  }

  readonly close = once(async () => {
    this.#closed = true;
    for (const watch of this.#watches.values()) watch.close();
    for (const mirror of this.#mirrors) mirror.close();
    await Promise.all([this.#session.close(), this.#numberSession.close()]);
    this.#client.close();
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Returns the range of all keys that begin with this. */
  #under(path: string): KeyRange {
    const key = Buffer.from(this.#prefix + path);
    const end = Buffer.from(key);
    // Every path here ends in a slash, so its last byte can be incremented.
    end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
    return { key, end };
  }

  #assertOpen(): void {
    if (!this.#closed) return;
    const details = { url: this.#client.url, reason: 'the connection is closed' };
    throw new CrpcError('REGISTRY_UNREACHABLE', { details });
  }
}
