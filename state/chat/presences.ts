/** How users are, as a viewer is shown it: the answers to get_presence, WATCH and get_members. */
import { GochatError, type UserId } from '../../common/mod.ts';
import { type client, DEFAULT_SETTINGS, MAX_WATCHED_USERS } from '../../proto/mod.ts';
import type { SettingsCache } from '../identity/settings-cache.ts';
import type { LastSeen } from '../session/last-seen.ts';
import type { Caller } from '../session/location-map.ts';
import type { Presence } from '../session/presence.ts';
import { seesLastSeen, shownStatus, toPresence } from '../session/visibility.ts';
import type { Acquaintance, PresenceStore } from '../store/store.ts';
import { invalid } from './input.ts';

/** Users whom the viewer may see. */
export type Acquaintances = ReadonlyMap<UserId, Acquaintance>;

export interface PresencesOptions {
  readonly store: Pick<PresenceStore, 'acquaintancesOf' | 'seenOf'>;
  readonly settings: Pick<SettingsCache, 'of'>;
  readonly presence: Pick<Presence, 'statusOf'>;
  readonly lastSeen: Pick<LastSeen, 'noted'>;
}

export class Presences {
  readonly #options: PresencesOptions;

  constructor(options: PresencesOptions) {
    this.#options = options;
  }

  /** @throws GochatError NOT_VISIBLE, ARGUMENT_INVALID */
  async get({ user }: Caller, { users }: client.GetPresence): Promise<client.Presence> {
    if (users.length > MAX_WATCHED_USERS) throw invalid('users');
    const ids = [...new Set(users as UserId[])];
    const acquaintances = await this.admit(user, ids);
    return { users: await this.of(user, acquaintances) };
  }

  /** Returns the users if the viewer may see all of them. @throws GochatError NOT_VISIBLE */
  async admit(viewer: UserId, users: readonly UserId[]): Promise<Acquaintances> {
    if (users.length === 0) return new Map();
    const found = await this.#options.store.acquaintancesOf(viewer, users);
    if (users.some((user) => !found.has(user))) throw new GochatError('NOT_VISIBLE');
    return found;
  }

  /** Returns how users are, as of the answer. */
  async of(viewer: UserId, users: Acquaintances): Promise<client.UserPresence[]> {
    const { store, settings, presence, lastSeen } = this.#options;
    const settingsOf = await settings.of([viewer, ...users.keys()]);
    const statusOf = (user: UserId) =>
      user === viewer ? presence.statusOf(user) : shownStatus(presence.statusOf(user), settingsOf(user));
    const offline = [...users.keys()].filter((user) => statusOf(user) === 'offline');
    const seen = offline.length === 0 ? new Map<UserId, number>() : await store.seenOf(offline);
    // Nothing is awaited from here on: what changes later is pushed later.
    return Array.from(users, ([user, acquaintance]) => {
      const status = statusOf(user);
      const of = settingsOf(user);
      const isTold =
        status === 'offline' && (user === viewer || seesLastSeen(settingsOf(viewer), of, acquaintance));
      const noted = of.invisible ? undefined : lastSeen.noted(user);
      return toPresence(user, status, isTold ? Math.max(seen.get(user) ?? 0, noted ?? 0) : 0);
    });
  }

  /** Returns those of the users who are shown to the viewer as online. */
  async onlineOf(viewer: UserId, users: readonly UserId[]): Promise<(user: UserId) => boolean> {
    const { settings, presence } = this.#options;
    const connected = users.filter((user) => presence.statusOf(user) !== 'offline');
    const settingsOf = connected.length === 0 ? () => DEFAULT_SETTINGS : await settings.of(connected);
    return (user) => {
      const status = presence.statusOf(user);
      return (user === viewer ? status : shownStatus(status, settingsOf(user))) !== 'offline';
    };
  }
}
