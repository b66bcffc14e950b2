/** The one watch of a connection, made of what all tabs show. */
import type { WatchTargets } from '../sdk/mod.ts';

const MAX_CONVERSATIONS = 8;
const MAX_USERS = 500;

export class Watches {
  readonly #targets = new Map<string, Partial<WatchTargets>>();

  /** Sets what a tab shows; undefined: it is closed. Returns what all show. */
  set(tab: string, targets: Partial<WatchTargets> | undefined): WatchTargets {
    this.#targets.delete(tab);
    if (targets !== undefined) this.#targets.set(tab, targets);
    const all = [...this.#targets.values()].toReversed();
    return {
      conversations: first(
        all.flatMap(({ conversations = [] }) => conversations),
        MAX_CONVERSATIONS,
      ),
      users: first(
        all.flatMap(({ users = [] }) => users),
        MAX_USERS,
      ),
      idle: all.every(({ idle = false }) => idle),
    };
  }
}

/** Returns the first different ones. */
function first(values: readonly string[], most: number): readonly string[] {
  return [...new Set(values)].slice(0, most);
}
