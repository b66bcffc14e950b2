/** The keys of the ipconf nodes, as the registry has them. */
import { TICKET_KEY, TICKET_TTL_S } from '../../common/mod.ts';
import type { Endpoint } from '../../crpc/mod.ts';

/** Keeps the key of an ipconf that is gone for as long as tickets that it signed may be shown. */
export class TicketKeys {
  /** By the JWK's text: when its ipconf was first seen to be gone, ms; Infinity: it is there. */
  readonly #keys = new Map<string, number>();

  /** The keys as a JSON Web Key Set; what does not parse is no key. */
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

  /** Takes the ipconf nodes that there are; returns whether the keys have changed. @param now monotonic, ms */
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
      // Looked at when nodes come or go, so it may stay longer: its tickets have expired by themselves.
      if (now - since <= TICKET_TTL_S * 1000) continue;
      this.#keys.delete(key);
      changed = true;
    }
    return changed;
  }
}
