/** The registry within one process, for `gochat up` and tests. */
import { CrpcError } from '../errors.ts';
import { once } from '../once.ts';
import type { Endpoint, LeasedId, Registration, Registry, Snapshot, Unwatch } from './registry.ts';

/** State shared by all registries of one URL. */
class Realm {
  readonly services = new Map<string, Map<string, Endpoint>>();
  readonly ids = new Map<string, Set<number>>();
  readonly values = new Map<string, string>();
  readonly watchers = new Map<string, Set<() => void>>();
  readonly followers = new Map<string, Set<() => void>>();
}

const realms = new Map<string, Realm>();

/** A registry in memory; all instances of one URL within the process share it. */
export class MemoryRegistry implements Registry {
  readonly #realm: Realm;
  readonly #cleanups = new Set<() => Promise<void> | void>();
  #closed = false;

  constructor(url: string) {
    let realm = realms.get(url);
    if (realm === undefined) {
      realm = new Realm();
      realms.set(url, realm);
    }
    this.#realm = realm;
  }

  async register(service: string, endpoint: Endpoint): Promise<Registration> {
    this.#assertOpen();
    const endpoints = entry(this.#realm.services, service, () => new Map<string, Endpoint>());
    const changed = (): void => notify(this.#realm.watchers.get(service));
    let current = endpoint;
    let live = true;
    endpoints.set(endpoint.id, endpoint);
    changed();
    const deregister = once(async () => {
      live = false;
      this.#cleanups.delete(deregister);
      // Another registration may have taken over the id.
      if (endpoints.get(endpoint.id) === current) endpoints.delete(endpoint.id);
      changed();
    });
    this.#cleanups.add(deregister);
    return {
      get endpoint() {
        return current;
      },
      update: async (change) => {
        if (!live) return;
        current = { ...current, ...change };
        endpoints.set(endpoint.id, current);
        changed();
      },
      deregister,
      [Symbol.asyncDispose]: deregister,
    };
  }

  watch(service: string, listener: (snapshot: Snapshot) => void): Unwatch {
    return this.#listen(this.#realm.watchers, service, () =>
      listener({ endpoints: this.#endpoints(service), stale: false }),
    );
  }

  async list(service: string): Promise<readonly Endpoint[]> {
    this.#assertOpen();
    return this.#endpoints(service);
  }

  async leaseId(name: string, max: number): Promise<LeasedId> {
    this.#assertOpen();
    const taken = entry(this.#realm.ids, name, () => new Set<number>());
    let value = 0;
    while (taken.has(value)) value++;
    if (value > max) throw new CrpcError('NUMBERS_EXHAUSTED', { details: { name, max } });
    taken.add(value);
    let isHeld = true;
    const release = once(async () => {
      isHeld = false;
      taken.delete(value);
      this.#cleanups.delete(release);
    });
    this.#cleanups.add(release);
    // Within one process the number cannot be lost.
    return {
      value,
      get isHeld() {
        return isHeld;
      },
      lost: new Promise(() => {}),
      release,
      [Symbol.asyncDispose]: release,
    };
  }

  async publish(key: string, value: string): Promise<void> {
    this.#assertOpen();
    this.#realm.values.set(key, value);
    notify(this.#realm.followers.get(key));
  }

  follow(key: string, listener: (value: string | undefined) => void): Unwatch {
    return this.#listen(this.#realm.followers, key, () => listener(this.#realm.values.get(key)));
  }

  readonly close = once(async () => {
    this.#closed = true;
    for (const cleanup of this.#cleanups) await cleanup();
    this.#cleanups.clear();
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #endpoints(service: string): Endpoint[] {
    return [...(this.#realm.services.get(service)?.values() ?? [])];
  }

  /** Calls `read` soon and after each change; changes of one tick are one call. */
  #listen(listeners: Map<string, Set<() => void>>, key: string, read: () => void): Unwatch {
    this.#assertOpen();
    const set = entry(listeners, key, () => new Set<() => void>());
    let pending = false;
    const changed = (): void => {
      if (pending) return;
      pending = true;
      setImmediate(() => {
        pending = false;
        if (set.has(changed)) read();
      });
    };
    set.add(changed);
    changed();
    const unwatch = (): void => {
      set.delete(changed);
      this.#cleanups.delete(unwatch);
    };
    this.#cleanups.add(unwatch);
    return unwatch;
  }

  #assertOpen(): void {
    if (this.#closed)
      throw new CrpcError('REGISTRY_UNREACHABLE', {
        details: { url: 'memory://', reason: 'it is closed' },
      });
  }
}

function notify(listeners: Set<() => void> | undefined): void {
  if (listeners) for (const changed of listeners) changed();
}

function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
