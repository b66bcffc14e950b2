/** The source: follows the gateways in the registry and hands on each picture of them, at most one per event-loop tick. */
import type { Registry, Snapshot, Unwatch } from '../crpc/mod.ts';

/** Registry service under which gateways register. */
export const GATEWAY_SERVICE = 'gateway';

/** Follows the registered gateways until it is closed. */
export class Source {
  readonly #registry: Registry;
  readonly #listener: (snapshot: Snapshot) => void;
  #unwatch: Unwatch | undefined;
  #newest: Snapshot | undefined;
  #scheduled: NodeJS.Immediate | undefined;

  /** @param listener is told the newest snapshot; those that it overtook within a tick are dropped. */
  constructor(registry: Registry, listener: (snapshot: Snapshot) => void) {
    this.#registry = registry;
    this.#listener = listener;
  }

  start(): void {
    this.#unwatch ??= this.#registry.watch(GATEWAY_SERVICE, (snapshot) => {
      this.#newest = snapshot;
      this.#scheduled ??= setImmediate(() => {
        this.#scheduled = undefined;
        if (this.#newest) this.#listener(this.#newest);
      });
    });
  }

  close(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    if (this.#scheduled) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
  }
}
