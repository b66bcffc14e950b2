/** The fleet: every gateway known, its window and its score. */
import type { Endpoint, Snapshot } from '../crpc/mod.ts';
import { type GatewayAddress, readAddress, readLoad } from './gateway-report.ts';
import { headroom } from './scorer.ts';
import { Window } from './window.ts';

/** One gateway of the fleet. */
export interface Gateway {
  readonly address: GatewayAddress;
  readonly window: Window;
  /** As registered; another object is another report. */
  endpoint: Endpoint;
  /** Headroom, 0 to 1. */
  score: number;
}

/** Keeps the last picture of the gateways. */
export class Fleet {
  readonly #gateways = new Map<string, Gateway>();
  #ranked: Gateway[] = [];
  #stale = false;
  #known = false;

  /** The registry has answered at least once. */
  get known(): boolean {
    return this.#known;
  }

  /** The registry cannot be reached: the picture is the last one. */
  get stale(): boolean {
    return this.#stale;
  }

  /** Gateways that take clients, best first. */
  get ranked(): readonly Gateway[] {
    return this.#ranked;
  }

  /** Takes a picture from the registry. */
  update(snapshot: Snapshot, now: number): void {
    this.#known = true;
    this.#stale = snapshot.stale;
    const present = new Set<string>();
    for (const endpoint of snapshot.endpoints) {
      const known = this.#gateways.get(endpoint.id);
      if (known) {
        present.add(endpoint.id);
        if (known.endpoint !== endpoint) known.window.add(readLoad(endpoint), now);
        known.endpoint = endpoint;
        continue;
      }
      const address = readAddress(endpoint);
      if (!address) continue;
      present.add(endpoint.id);
      const window = new Window(readLoad(endpoint), now);
      this.#gateways.set(endpoint.id, { address, endpoint, window, score: 0 });
    }
    for (const id of this.#gateways.keys()) if (!present.has(id)) this.#gateways.delete(id);
    for (const gateway of this.#gateways.values()) gateway.score = scoreOf(gateway.window);
    this.#ranked = [...this.#gateways.values()]
      .filter((gateway) => !gateway.window.load.draining)
      .sort((a, b) => b.score - a.score || (a.address.id < b.address.id ? -1 : 1));
  }
}

function scoreOf({ load, usedRate }: Window): number {
  return headroom(load.connections, load.maxConnections, usedRate);
}
