/** Names of users by id: the log keeps ids only. */
import type { UserId } from '../../common/mod.ts';
import type { AccountStore } from '../store/store.ts';

export interface UserNamesOptions {
  readonly store: Pick<AccountStore, 'namesOf'>;
  /** Names kept; beyond: those not asked for lately go. */
  readonly maxNames: number;
}

/** Looks names up, and keeps them: whatever changes a name has to change it here, on every node. */
export class UserNames {
  readonly #options: UserNamesOptions;
  /** Ascending by when they were last asked for. */
  readonly #known = new Map<UserId, string>();

  constructor(options: UserNamesOptions) {
    this.#options = options;
  }

  /** Returns the names of those who have an account. The store is asked once for what is not kept, if anything. */
  async of(users: Iterable<UserId>): Promise<ReadonlyMap<UserId, string>> {
    const names = new Map<UserId, string>();
    const unknown = new Set<UserId>();
    for (const user of users) {
      if (names.has(user)) continue;
      const name = this.#known.get(user);
      if (name === undefined) {
        unknown.add(user);
      } else {
        names.set(user, name);
        this.#keep(user, name);
      }
    }
    if (unknown.size > 0)
      for (const [user, name] of await this.#options.store.namesOf([...unknown])) {
        names.set(user, name);
        this.#keep(user, name);
      }
    return names;
  }

  #keep(user: UserId, name: string): void {
    this.#known.delete(user);
    this.#known.set(user, name);
    if (this.#known.size <= this.#options.maxNames) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
