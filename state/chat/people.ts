/** Calls about users: their profiles. */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import { parseDisplayName } from '../identity/display-names.ts';
import { type Profiles, shownName } from '../identity/profiles.ts';
import type { Caller } from '../session/location-map.ts';
import type { AccountStore } from '../store/store.ts';
import { invalid } from './input.ts';
import { toUser } from './present.ts';

/** Most users of one look-up. */
const MAX_USERS = 200;

export interface PeopleOptions {
  readonly store: Pick<AccountStore, 'setDisplayName'>;
  readonly profiles: Pick<Profiles, 'of' | 'drop'>;
  /** Tells the connections of a user their new name, for what they send. */
  readonly rename: (user: UserId, shown: string) => void;
}

export class People {
  readonly #options: PeopleOptions;

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  /** Returns those of the users who exist; without ids, the caller. */
  async users({ user }: Caller, { users }: client.GetUsers): Promise<client.Users> {
    if (users.length > MAX_USERS) throw invalid('users');
    const found = await this.#options.profiles.of(users.length === 0 ? [user] : (users as UserId[]));
    return { users: [...found].map(([id, profile]) => toUser(id, profile)) };
  }

  /** Sets the caller's display name; empty: none. @throws GochatError DISPLAY_NAME_INVALID */
  /** @throws GochatError DISPLAY_NAME_INVALID, PRECONDITION_FAILED */
  async setProfile(caller: Caller, { displayName, ifDisplayName }: client.SetProfile): Promise<client.Users> {
    const { store, profiles, rename } = this.#options;
    const name = parseDisplayName(displayName);
    const isSet = await store.setDisplayName(caller.user, name, ifDisplayName || undefined);
    profiles.drop(caller.user);
    if (!isSet && ifDisplayName !== '') throw new GochatError('PRECONDITION_FAILED');
    const profile = (await profiles.of([caller.user])).get(caller.user);
    if (profile === undefined)
      throw new GochatError('USER_NOT_FOUND', { details: { name: String(caller.user) } });
    rename(caller.user, shownName(profile));
    return { users: [toUser(caller.user, profile)] };
  }
}
