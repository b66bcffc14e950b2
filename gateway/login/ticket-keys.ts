/** The keys of the ipconf nodes from the registry. */
import { TICKET_KEY, TICKET_TTL_S } from '../../common/mod.ts';
import type { Endpoint } from '../../crpc/mod.ts';

/** Keeps the key of a stopped ipconf until its tickets have expired. */
export class TicketKeys {
  /** By JWK text: when its ipconf was first missing, ms; Infinity while it is registered. */
  readonly #keys = new Map<string, number>();

  /** The keys as a JSON Web Key Set, without those that do not parse. */
  get jwks(): string {
    const keys = [...this.#keys.keys()].flatMap((text) => {
      try {
        return [JSON.parse(text) as unknown];
      } catch {
        return [];
      }
    });
    return JSON.stringify({ keys });
  }

  /** Applies the current ipconf nodes. Returns whether the keys have changed. @param now monotonic, ms */
  update(nodes: readonly Endpoint[], now: number): boolean {
    let changed = false;
    const there = new Set(nodes.map(({ metadata }) => metadata[TICKET_KEY]));
    for (const key of there) {
      if (key === undefined) continue;
      changed ||= !this.#keys.has(key);
      this.#keys.set(key, Infinity);
    }
    for (const [key, gone] of this.#keys) {
      if (there.has(key)) continue;
      const since = Math.min(gone, now);
      this.#keys.set(key, since);
      // Checked only when nodes come or go, so a key may stay longer: its tickets have expired.
      if (now - since <= TICKET_TTL_S * 1000) continue;
      this.#keys.delete(key);
      changed = true;
    }
    return changed;
  }
}
