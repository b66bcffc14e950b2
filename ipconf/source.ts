/** The source: watches the gateways in the registry and counts the ipconf nodes. */
import type { Registry, Snapshot, Unwatch } from '../crpc/mod.ts';

/** Registry service under which gateways register. */
export const GATEWAY_SERVICE = 'gateway';
/** Registry service under which ipconf nodes register. */
export const IPCONF_SERVICE = 'ipconf';
/**
 * Least time between two snapshots that are passed on: a thousand gateways report a thousand times a second, and a
 * change must show within 200 ms. ms.
 */
const MIN_INTERVAL_MS = 50;

export interface SourceListener {
  onGateways(snapshot: Snapshot): void;
  onNodes(nodes: number): void;
}

/** Passes on the newest snapshot and drops those before. */
export class Source {
  readonly #registry: Registry;
  readonly #listener: SourceListener;
  #unwatches: Unwatch[] = [];
  #newest: Snapshot | undefined;
  #timer: NodeJS.Timeout | undefined;
  #handedAt = -Infinity;

  constructor(registry: Registry, listener: SourceListener) {
    this.#registry = registry;
    this.#listener = listener;
  }

  start(): void {
    if (this.#unwatches.length > 0) return;
    this.#unwatches = [
      this.#registry.watch(GATEWAY_SERVICE, (snapshot) => {
        this.#newest = snapshot;
        const wait = this.#handedAt + MIN_INTERVAL_MS - performance.now();
        this.#timer ??= setTimeout(() => this.#handOn(), Math.max(0, wait));
      }),
      this.#registry.watch(IPCONF_SERVICE, ({ endpoints }) => this.#listener.onNodes(endpoints.length)),
    ];
  }

  close(): void {
    for (const unwatch of this.#unwatches) unwatch();
    this.#unwatches = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #handOn(): void {
    this.#timer = undefined;
    this.#handedAt = performance.now();
    if (this.#newest) this.#listener.onGateways(this.#newest);
  }
}
