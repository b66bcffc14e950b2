/** WATCH at the user's node: checks what is to be watched, and answers with its state. */
import { type ConversationId, GochatError, type UserId } from '../../common/mod.ts';
import type { client, WatchRecord } from '../../proto/mod.ts';
import { toWireReceipt } from '../delivery/receipt-news.ts';
import type { SettingsCache } from '../identity/settings-cache.ts';
import type { WatchedUser } from '../session/watch-book.ts';
import {
  type CursorStore,
  MAX_LOGGED_MEMBERS,
  type PresenceStore,
  type ShownReceipt,
} from '../store/store.ts';
import { conversationId } from './input.ts';
import type { Presences } from './presences.ts';

export interface WatchingOptions {
  readonly store: Pick<PresenceStore, 'memberCountsOf'> & Pick<CursorStore, 'receiptsIn'>;
  readonly presences: Pick<Presences, 'admit' | 'of'>;
  readonly settings: Pick<SettingsCache, 'of'>;
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
    const { presences } = this.#options;
    const ids = [...conversations].map((id) => conversationId(id) ?? notVisible());
    const admitted = await presences.admit(user, [...users] as UserId[]);
    const counts: ReadonlyMap<ConversationId, number> =
      ids.length === 0 ? new Map() : await this.#options.store.memberCountsOf(user, ids);
    if (ids.some((id) => !counts.has(id))) notVisible();
    const watched = Array.from(admitted, ([id, { sharesRoom }]) => ({ user: id, sharesRoom }));
    if (!accept(watched)) return undefined;
    const receipts = await this.#receiptsIn(
      user,
      ids.filter((id) => (counts.get(id) ?? 0) <= MAX_LOGGED_MEMBERS),
    );
    return {
      conversations: ids.map((id) => ({
        conversation: id,
        members: counts.get(id) ?? 0,
        receipts: receipts.filter(({ conversation }) => conversation === id).flatMap(toWireReceipt),
      })),
      users: await presences.of(user, admitted),
    };
  }

  /** Returns what other members of small conversations have received and read: nothing to who hides it. */
  async #receiptsIn(
    user: UserId,
    conversations: readonly ConversationId[],
  ): Promise<readonly ShownReceipt[]> {
    if (conversations.length === 0) return [];
    const { store, settings } = this.#options;
    const settingsOf = await settings.of([user]);
    if (!settingsOf(user).receipts) return [];
    const all = await store.receiptsIn(conversations);
    return all.filter((receipt) => receipt.user !== user && hasMoved(receipt));
  }
}

function hasMoved({ shown }: ShownReceipt): boolean {
  return shown !== undefined && (shown.readSeq > 0 || shown.readEpoch > 0 || shown.deliveredSeq > 0);
}

function notVisible(): never {
  throw new GochatError('NOT_VISIBLE');
}
