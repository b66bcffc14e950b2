/** The interface of a registry: endpoints of services, leased numbers, and values shared by all servers. */

/** A registered instance of a service. */
export interface Endpoint {
  /** Unique for each run of a process: a restarted process is another endpoint. */
  readonly id: string;
  /** host:port of its crpc server, or of the service itself where it is not a crpc one. */
  readonly address: string;
  /** Relative capacity, > 0. @default 1 */
  readonly weight: number;
  /** Failure domain; empty: none. */
  readonly zone: string;
  readonly version: string;
  /** Facts that are fixed for the life of the process: names, further ports. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Changing figures: connections, bytes per second, 1 while draining… */
  readonly load: Readonly<Record<string, number>>;
  /** Lease in the registry, in hex; only in endpoints read from etcd. */
  readonly lease?: string;
}

/** A watcher's snapshot: all endpoints known now. */
export interface Snapshot {
  readonly endpoints: readonly Endpoint[];
  /** Whether the registry is unreachable and the endpoints are the last known ones. */
  readonly stale: boolean;
}

/** An endpoint's registration. It is renewed by itself whenever its lease is lost. */
export interface Registration extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Replaces the load figures or the weight. */
  update(change: { load?: Readonly<Record<string, number>>; weight?: number }): Promise<void>;
  /** Removes the endpoint. Idempotent. */
  deregister(): Promise<void>;
}

/** A number that no other live process holds under the same name. */
export interface LeasedId extends AsyncDisposable {
  readonly value: number;
  /**
   * Whether no other process can hold it now. A process that was asleep learns of a loss here first, before any timer:
   * check it before each use of the number.
   */
  readonly isHeld: boolean;
  /** Resolves when the number is lost for good and another process may hold it: stop using it. */
  readonly lost: Promise<void>;
  release(): Promise<void>;
}

/** Ends a watch; idempotent. */
export type Unwatch = () => void;

/**
 * Service discovery.
 *
 * Listeners are called asynchronously, never within the call that adds them: first with what is known, then on each
 * change. An unreachable registry does not throw at listeners; the last snapshot stays valid, marked stale.
 */
export interface Registry extends AsyncDisposable {
  /** @throws CrpcError REGISTRY_UNREACHABLE */
  register(service: string, endpoint: Endpoint): Promise<Registration>;
  watch(service: string, listener: (snapshot: Snapshot) => void): Unwatch;
  /** @throws CrpcError REGISTRY_UNREACHABLE */
  list(service: string): Promise<readonly Endpoint[]>;
  /** Leases a number of 0 to `max`. @throws CrpcError REGISTRY_UNREACHABLE, NUMBERS_EXHAUSTED */
  leaseId(name: string, max: number): Promise<LeasedId>;
  /** Stores a value that outlives the process, such as public keys. @throws CrpcError REGISTRY_UNREACHABLE */
  publish(key: string, value: string): Promise<void>;
  /** Follows a published value; undefined while there is none. */
  follow(key: string, listener: (value: string | undefined) => void): Unwatch;
  /** Ends watches and leases; registered endpoints expire or are removed. */
  close(): Promise<void>;
}
