/** What this client knows of the display names of users: the newest hint wins. */

/** Most names kept; the least recently used goes first. */
const MAX_NAMES = 10_000;

export class Names {
  readonly #names = new Map<bigint, string>();
  readonly #onRenamed: (user: bigint, displayName: string) => void;

  constructor(onRenamed: (user: bigint, displayName: string) => void) {
    this.#onRenamed = onRenamed;
  }

  /** Notes what a frame calls a user; empty: it does not. Returns the name. */
  note(user: bigint, displayName: string): string {
    const known = this.#names.get(user);
    if (user === 0n || displayName === '') return known ?? displayName;
    this.#names.delete(user);
    this.#names.set(user, displayName);
    if (this.#names.size > MAX_NAMES) this.#names.delete(this.#names.keys().next().value as bigint);
    if (known !== undefined && known !== displayName) this.#onRenamed(user, displayName);
    return displayName;
  }

  get(user: bigint): string | undefined {
    return this.#names.get(user);
  }
}
