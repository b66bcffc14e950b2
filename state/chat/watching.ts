/** WATCH at the user's node: checks what is to be watched, and answers with its state. */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { client, WatchRecord } from '../../proto/mod.ts';
import type { WatchBook, WatchedUser } from '../session/watch-book.ts';
import type { PresenceStore } from '../store/store.ts';
import { conversationId } from './input.ts';
import type { Presences } from './presences.ts';

export interface WatchingOptions {
  readonly store: Pick<PresenceStore, 'memberCountsOf'>;
  readonly presences: Pick<Presences, 'admit' | 'of'>;
  readonly watches: WatchBook;
}

export class Watching {
  readonly #options: WatchingOptions;

  constructor(options: WatchingOptions) {
    this.#options = options;
  }

  /**
   * Returns the state of what is watched.
   *
   * @param accept called when the watch is allowed, before its state is read: returns false if the connection has ended
   * @throws GochatError NOT_VISIBLE
   */
  async begin(
    user: UserId,
    { conversations, users }: WatchRecord,
    accept: (users: readonly WatchedUser[]) => boolean,
  ): Promise<client.Watched | undefined> {
    const { store, presences } = this.#options;
    const ids = [...conversations].map((id) => conversationId(id) ?? notVisible());
    const admitted = await presences.admit(user, [...users] as UserId[]);
    const counts = ids.length === 0 ? new Map() : await store.memberCountsOf(user, ids);
    if (ids.some((id) => !counts.has(id))) notVisible();
    const watched = Array.from(admitted, ([id, { sharesRoom }]) => ({ user: id, sharesRoom }));
    if (!accept(watched)) return undefined;
    return {
      conversations: ids.map((id) => ({ conversation: id, members: counts.get(id) ?? 0 })),
      users: await presences.of(user, admitted),
    };
  }
}

function notVisible(): never {
  throw new GochatError('NOT_VISIBLE');
}
