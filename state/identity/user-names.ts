/** A cache of user names by id, as the log has only ids. */
import type { UserId } from '../../common/mod.ts';
import type { AccountStore } from '../store/store.ts';

export interface UserNamesOptions {
  readonly store: Pick<AccountStore, 'namesOf'>;
  /** Most names kept; beyond: those not used lately go. */
  readonly maxNames: number;
}

/**
 * Looks up names and caches them. Whatever changes a name has to remove it here, on every node.
 *
 * There are two generations. When the recent one reaches half of `maxNames`, it replaces the earlier one, whose names are
 * dropped. A name that is used moves to the recent one, so most hits are one lookup.
 */
export class UserNames {
  readonly #options: UserNamesOptions;
  #recent = new Map<UserId, string>();
  #earlier: ReadonlyMap<UserId, string> = new Map();

  constructor(options: UserNamesOptions) {
    this.#options = options;
  }

  /** Returns the names of existing accounts, with at most one query for those not cached. */
  async of(users: Iterable<UserId>): Promise<ReadonlyMap<UserId, string>> {
    const names = new Map<UserId, string>();
    const missing = new Set<UserId>();
    for (const user of users) {
      if (names.has(user)) continue;
      const name = this.#recent.get(user) ?? this.#revive(user);
      if (name === undefined) missing.add(user);
      else names.set(user, name);
    }
    if (missing.size > 0)
      for (const [user, name] of await this.#options.store.namesOf([...missing])) {
        names.set(user, name);
        this.#keep(user, name);
      }
    return names;
  }

  #revive(user: UserId): string | undefined {
    const name = this.#earlier.get(user);
    if (name !== undefined) this.#keep(user, name);
    return name;
  }

  #keep(user: UserId, name: string): void {
    this.#recent.set(user, name);
    if (this.#recent.size < this.#options.maxNames / 2) return;
    this.#earlier = this.#recent;
    this.#recent = new Map();
  }
}
