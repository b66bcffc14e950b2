/** A cache of users' settings: what others may know of them must be at hand for each push. */
import type { Logger, UserId } from '../../common/mod.ts';
import { DEFAULT_SETTINGS, type UserSettings } from '../../proto/mod.ts';
import type { SelfStore, StoredSettings } from '../store/store.ts';

/** Interval at which changes of other nodes are read: a change is in force on all nodes after it. */
const LOOK_MS = 1000;
/** How far each look goes back before the last one: clocks differ. */
const WINDOW_MS = 60_000;

/** Returns the settings of a user who was asked for. */
export type SettingsOf = (user: UserId) => UserSettings;

export interface SettingsCacheOptions {
  readonly store: Pick<SelfStore, 'settingsOf' | 'settingsSince'>;
  /** Most users kept; beyond: those not used lately go. */
  readonly maxUsers: number;
  readonly logger: Logger;
  /** A user's settings have changed; `before` are the defaults if they were not known. */
  readonly onChange: (user: UserId, before: UserSettings, after: UserSettings) => void;
}

interface Cached {
  readonly version: number;
  readonly settings: UserSettings;
}

const UNSET: Cached = Object.freeze({ version: 1, settings: DEFAULT_SETTINGS });

/** Two generations, as in Profiles. What is cached stays right, as changes are read every second. */
export class SettingsCache {
  readonly #options: SettingsCacheOptions;
  #recent = new Map<UserId, Cached>();
  #earlier = new Map<UserId, Cached>();
  #timer: NodeJS.Timeout | undefined;
  /** Unix time of the last look that has succeeded, ms. */
  #lookedMs = Date.now();
  /** Whether a look has failed since: what is cached may be old. */
  #isBlind = false;

  constructor(options: SettingsCacheOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Returns the settings of a user if they are at hand. */
  known(user: UserId): UserSettings | undefined {
    return this.#isBlind ? undefined : this.#cached(user)?.settings;
  }

  /** Returns the settings of users, with at most one query. @throws GochatError STORE_UNAVAILABLE */
  async of(users: Iterable<UserId>): Promise<SettingsOf> {
    const found = new Map<UserId, UserSettings>();
    const missing = new Set<UserId>();
    for (const user of users) {
      const cached = this.#isBlind ? undefined : this.#cached(user);
      if (cached === undefined) missing.add(user);
      else found.set(user, cached.settings);
    }
    if (missing.size > 0) {
      const stored = await this.#options.store.settingsOf([...missing]);
      for (const user of missing) {
        const read = toCached(stored.get(user));
        // A later version may have been learned meanwhile.
        const known = this.#cached(user);
        const newest = known !== undefined && known.version > read.version ? known : read;
        this.#keep(user, newest);
        found.set(user, newest.settings);
      }
    }
    return (user) => found.get(user) ?? DEFAULT_SETTINGS;
  }

  /** Takes settings that were just read or changed. */
  learn(user: UserId, stored: StoredSettings): void {
    const known = this.#cached(user) ?? UNSET;
    if (known.version >= stored.version) return;
    const after = toCached(stored);
    this.#keep(user, after);
    this.#options.onChange(user, known.settings, after.settings);
  }

  /** Reads the changes of other nodes; called by the timer. */
  async look(): Promise<void> {
    const { store, logger } = this.#options;
    try {
      const nowMs = Date.now();
      for (const [user, stored] of await store.settingsSince(this.#lookedMs - WINDOW_MS))
        this.learn(user, stored);
      this.#lookedMs = nowMs;
      this.#isBlind = false;
    } catch (error) {
      this.#isBlind = true;
      logger.debug({ err: error }, 'changed settings cannot be read');
    }
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
    if (this.#recent.size < this.#options.maxUsers / 2) return;
    this.#earlier = this.#recent;
    this.#recent = new Map();
  }
}

function toCached(stored: StoredSettings | undefined): Cached {
  if (stored === undefined) return UNSET;
  return { version: stored.version, settings: { ...DEFAULT_SETTINGS, ...stored.values } };
}
