/** A cache of profiles by user id, as the log has only ids. */
import type { UserId } from '../../common/mod.ts';
import type { AccountStore, Profile } from '../store/store.ts';

/** Age at which a profile is read again: another node may have changed it. */
const EXPIRY_MS = 60_000;

/** Returns the name to show of a user: a hint, as names change. Empty: unknown. */
export type NameOf = (user: UserId) => string;

export interface ProfilesOptions {
  readonly store: Pick<AccountStore, 'profilesOf'>;
  /** Most profiles kept; beyond: those not used lately go. */
  readonly maxProfiles: number;
  /** Monotonic clock, ms. @default performance.now */
  readonly nowMs?: () => number;
}

interface Cached {
  readonly profile: Profile;
  readonly expiresMs: number;
}

/**
 * Looks up profiles and caches them for a minute; look-ups of one tick are one query.
 *
 * There are two generations: when the recent one is half of what may be kept, it becomes the earlier one, whose profiles
 * go. A profile is moved to the recent one when it is used, so a hit in the usual case is one lookup.
 */
export class Profiles {
  readonly #options: ProfilesOptions;
  readonly #nowMs: () => number;
  #recent = new Map<UserId, Cached>();
  #earlier = new Map<UserId, Cached>();
  /** Users of the next query. */
  #wanted = new Set<UserId>();
  #query: Promise<ReadonlyMap<UserId, Profile>> | undefined;
  /** Number of profiles that have changed here: what a query has read before may be old. */
  #changes = 0;

  constructor(options: ProfilesOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Returns the profiles of existing accounts, with at most one query for those not cached. */
  async of(users: Iterable<UserId>): Promise<ReadonlyMap<UserId, Profile>> {
    const profiles = new Map<UserId, Profile>();
    const missing = new Set<UserId>();
    const now = this.#nowMs();
    for (const user of users) {
      if (profiles.has(user)) continue;
      const cached = this.#cached(user);
      if (cached === undefined || cached.expiresMs <= now) missing.add(user);
      else profiles.set(user, cached.profile);
    }
    if (missing.size === 0) return profiles;
    const found = await this.#load(missing);
    for (const user of missing) {
      const profile = found.get(user);
      if (profile !== undefined) profiles.set(user, profile);
    }
    return profiles;
  }

  /** As `of`, for their names alone. */
  async namesOf(users: Iterable<UserId>): Promise<NameOf> {
    const profiles = await this.of(users);
    return (user) => shownName(profiles.get(user));
  }

  /** Returns the name to show as it was last known, without waiting; looks it up for the next time if it is not known. */
  known(user: UserId): string {
    const cached = this.#cached(user);
    // Whoever shows a name without waiting does without it.
    if (cached === undefined || cached.expiresMs <= this.#nowMs())
      this.#load(new Set([user])).catch(() => undefined);
    return shownName(cached?.profile);
  }

  /** Forgets the profile of a user who has changed it. */
  drop(user: UserId): void {
    this.#changes++;
    this.#recent.delete(user);
    this.#earlier.delete(user);
  }

  /** Keeps a profile that has just been read. */
  learn(user: UserId, profile: Profile): void {
    this.drop(user);
    this.#keep(user, { profile, expiresMs: this.#nowMs() + EXPIRY_MS });
  }

  #cached(user: UserId): Cached | undefined {
    const recent = this.#recent.get(user);
    if (recent !== undefined) return recent;
    const earlier = this.#earlier.get(user);
    if (earlier !== undefined) this.#keep(user, earlier);
    return earlier;
  }

  #keep(user: UserId, cached: Cached): void {
    this.#recent.set(user, cached);
    if (this.#recent.size < this.#options.maxProfiles / 2) return;
    this.#earlier = this.#recent;
    this.#recent = new Map();
  }

  #load(users: ReadonlySet<UserId>): Promise<ReadonlyMap<UserId, Profile>> {
    for (const user of users) this.#wanted.add(user);
    this.#query ??= this.#ask();
    return this.#query;
  }

  async #ask(): Promise<ReadonlyMap<UserId, Profile>> {
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
    const wanted = [...this.#wanted];
    const changes = this.#changes;
    this.#wanted = new Set();
    this.#query = undefined;
    const found = await this.#options.store.profilesOf(wanted);
    const expiresMs = this.#nowMs() + EXPIRY_MS;
    if (changes === this.#changes)
      for (const [user, profile] of found) this.#keep(user, { profile, expiresMs });
    return found;
  }
}

/** Returns what people see: the display name, else the handle. */
export function shownName(profile: Profile | undefined): string {
  if (profile === undefined) return '';
  return profile.displayName === '' ? profile.name : profile.displayName;
}
