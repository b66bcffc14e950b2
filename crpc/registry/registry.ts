/** The registry port: endpoints of services, leased numbers, and values shared by all servers. */

/** One instance of a service, as registered. */
export interface Endpoint {
  /** Unique per process start: a restarted process is another endpoint. */
  readonly id: string;
  /** host:port of its crpc server, or of the service itself where it is not a crpc one. */
  readonly address: string;
  /** Relative capacity, > 0. @default 1 */
  readonly weight: number;
  /** Failure domain; empty: none. */
  readonly zone: string;
  readonly version: string;
  /** Facts that do not change while the process lives: names, further ports. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Figures that do change: connections, bytes per second, 1 while draining… */
  readonly load: Readonly<Record<string, number>>;
  /** The lease that the registry keeps it under, in hex; only in what is read from etcd. */
  readonly lease?: string;
}

/** A watcher's snapshot: all endpoints known now. */
export interface Snapshot {
  readonly endpoints: readonly Endpoint[];
  /** Set while the registry cannot be reached and the endpoints are the last known ones. */
  readonly stale: boolean;
}

/** An endpoint's presence in the registry; it is re-registered by itself whenever its lease is lost. */
export interface Registration extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Replaces the load figures or the weight. */
  update(change: { load?: Readonly<Record<string, number>>; weight?: number }): Promise<void>;
  /** Takes the endpoint out; idempotent. */
  deregister(): Promise<void>;
}

/** A number that no other live process holds under the same name. */
export interface LeasedId extends AsyncDisposable {
  readonly value: number;
  /**
   * Whether nobody else can hold it at this moment. A process that was asleep learns of it here first, before any timer
   * runs: whoever makes ids with the number asks each time.
   */
  readonly isHeld: boolean;
  /** Resolves when the number is lost for good (another process may hold it from now on): stop using it. */
  readonly lost: Promise<void>;
  release(): Promise<void>;
}

/** Ends a watch; idempotent. */
export type Unwatch = () => void;

/**
 * Where servers find each other.
 *
 * Listeners are called asynchronously, never inside the call that registers them, first with what is known and then
 * on each change. A registry that cannot be reached does not throw at listeners: the last snapshot stays in force,
 * marked stale.
 */
export interface Registry extends AsyncDisposable {
  /** @throws CrpcError REGISTRY_UNREACHABLE */
  register(service: string, endpoint: Endpoint): Promise<Registration>;
  watch(service: string, listener: (snapshot: Snapshot) => void): Unwatch;
  /** @throws CrpcError REGISTRY_UNREACHABLE */
  list(service: string): Promise<readonly Endpoint[]>;
  /** Leases a number of 0 to `max`. @throws CrpcError REGISTRY_UNREACHABLE, NUMBERS_EXHAUSTED */
  leaseId(name: string, max: number): Promise<LeasedId>;
  /** Stores a value that outlives the process, such as the public keys. @throws CrpcError REGISTRY_UNREACHABLE */
  publish(key: string, value: string): Promise<void>;
  /** Follows a published value; undefined while there is none. */
  follow(key: string, listener: (value: string | undefined) => void): Unwatch;
  /** Ends watches and leases; what is still registered expires or is removed. */
  close(): Promise<void>;
}
