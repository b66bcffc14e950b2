/** Calls about conversations and their members: lists of them, and single ones. */
import { GochatError, type UserId } from '../../common/mod.ts';
import { client, cutText } from '../../proto/mod.ts';
import { type NameOf, type Profiles, shownName } from '../identity/profiles.ts';
import type { SettingsCache } from '../identity/settings-cache.ts';
import { type Action, accessCheck, refusal } from '../policy.ts';
import type { Caller } from '../session/location-map.ts';
import type { CursorMove, ListedConversation, Store, UserConversation } from '../store/store.ts';
import { accept, conversationId, pageLimit, pageStart, wholeNumber } from './input.ts';
import { jsonBytes } from './page-budget.ts';
import type { Presences } from './presences.ts';
import { type ProfilesById, toConversation, toMessage, toUser, toWireRole, usersIn } from './present.ts';

const CONVERSATIONS = { most: 500, standard: 100 };
const ROOMS = { most: 200, standard: 50 };
const MEMBERS = { most: 1000, standard: 200 };
const READERS = { most: 1000, standard: 100 };
/** Numbers in the page keys of the lists. */
const CONVERSATION_KEY = 2;
const ROOM_KEY = 1;
const MEMBER_KEY = 1;
/** Mean size of a listed conversation, bytes: 500 of them, a client's first page, take at most 200 kB. */
const LISTED_BYTES = 400;
/** Most characters of a last message. */
const PREVIEW_CHARACTERS = 100;
/** What a text adds to the size of its conversation besides its own bytes: lengths and a tag. */
const TEXT_OVERHEAD_BYTES = 8;

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

export interface RoomsOptions {
  readonly store: Store;
  readonly profiles: Pick<Profiles, 'of'>;
  readonly presences: Pick<Presences, 'onlineOf'>;
  readonly settings: Pick<SettingsCache, 'of'>;
  /** A read cursor is stored. */
  readonly onMoved: (moves: readonly CursorMove[]) => void;
}

/** Validates the input, queries the store, converts the answer. Every method throws GochatErrors. */
export class Rooms {
  readonly #options: RoomsOptions;

  constructor(options: RoomsOptions) {
    this.#options = options;
  }

  async conversations(
    { user, device }: Caller,
    { after, limit }: client.ListConversations,
  ): Promise<client.Conversations> {
    const { store, profiles } = this.#options;
    const start = pageStart(after, CONVERSATION_KEY);
    const { items, next } = await store.conversationsOf(user, device, start, pageLimit(limit, CONVERSATIONS));
    const found = await profiles.of(
      items.flatMap(({ peer, lastMessage }) => [peer ?? [], lastMessage ? usersIn(lastMessage) : []].flat()),
    );
    return { conversations: toList(items, found), next: next ?? '' };
  }

  /** @throws GochatError NOT_A_MEMBER */
  async conversation(caller: Caller, conversation: bigint): Promise<client.Conversation> {
    const found = await this.#find('getConversation', caller, conversation);
    return toConversation(
      found,
      await this.#options.profiles.of(found.peer === undefined ? [] : [found.peer]),
    );
  }

  /** Returns whether a conversation is a room, which everybody may know of. */
  async isListed(user: UserId, key: bigint): Promise<boolean> {
    const id = conversationId(key);
    if (id === undefined) return false;
    const { items } = await this.#options.store.listRooms(user, String(id - 1n), 1);
    return items[0]?.id === id;
  }

  /** @throws GochatError NOT_A_MEMBER, CURSOR_BEYOND_END, CURSOR_EPOCH_OLD, TARGET_NOT_FOUND */
  async markRead(
    { user, device }: Caller,
    conversation: bigint,
    { readSeq: seq, readEpoch: epoch, thread: root }: client.MarkRead,
  ): Promise<client.Conversation> {
    const { store, profiles, onMoved } = this.#options;
    const by = accessCheck('markRead', user);
    const cursor = {
      readSeq: wholeNumber(seq, 'read_seq'),
      readEpoch: wholeNumber(epoch, 'read_epoch'),
      thread: wholeNumber(root, 'thread'),
    };
    const id = conversationId(conversation);
    const found =
      id === undefined ? by.requirement.missing : await store.markRead(id, by, { ...cursor, device });
    if (found === 'CURSOR_BEYOND_END' || found === 'CURSOR_EPOCH_OLD' || found === 'TARGET_NOT_FOUND')
      throw new GochatError(found);
    const marked = accept(found, conversation);
    onMoved([{ user, device, conversation: marked.id, deliveredSeq: 0, ...cursor }]);
    return toConversation(marked, await profiles.of(marked.peer === undefined ? [] : [marked.peer]));
  }

  /** Has the user read everything in a conversation, or (key 0) in all. */
  async markAllRead({ user, device }: Caller, key: bigint): Promise<void> {
    const { store, onMoved } = this.#options;
    const id = conversationId(key);
    if (id === undefined && key !== 0n) return;
    const moved = await store.markAllRead(user, id);
    onMoved(moved.map((cursor) => ({ ...cursor, user, device, deliveredSeq: 0 })));
  }

  async listRooms(user: UserId, { after, limit }: client.ListRooms): Promise<client.Rooms> {
    const { store } = this.#options;
    const { items, next } = await store.listRooms(user, pageStart(after, ROOM_KEY), pageLimit(limit, ROOMS));
    return {
      rooms: items.map((room) => ({
        id: room.id,
        name: room.name,
        members: room.members,
        joined: room.joined,
        lastSeq: BigInt(room.lastSeq),
        unread: BigInt(room.unread),
      })),
      next: next ?? '',
    };
  }

  /** @throws GochatError NOT_A_MEMBER */
  async members(
    { user }: Caller,
    conversation: bigint,
    { after, limit }: client.GetMembers,
  ): Promise<client.Members> {
    const { store, profiles, presences } = this.#options;
    const by = accessCheck('getMembers', user);
    const [start, most] = [pageStart(after, MEMBER_KEY), pageLimit(limit, MEMBERS)];
    const id = conversationId(conversation);
    const page = id === undefined ? by.requirement.missing : await store.membersPage(id, by, start, most);
    const { items, next, count } = accept(page, conversation);
    const users = items.map((member) => member.user);
    const [found, isOnline] = await Promise.all([profiles.of(users), presences.onlineOf(user, users)]);
    const members = items.map((member) => {
      const profile = found.get(member.user);
      return {
        user: member.user,
        name: profile?.name ?? '',
        online: isOnline(member.user),
        role: toWireRole(member.role),
        displayName: shownName(profile),
      };
    });
    return { members, next: next ?? '', count };
  }

  /** Lists who has read a message; nobody, to who hides own receipts. @throws GochatError NOT_A_MEMBER, TARGET_NOT_FOUND, TARGET_EXPIRED */
  async readers(
    { user }: Caller,
    conversation: bigint,
    { seq, after, limit }: client.GetReaders,
  ): Promise<client.Readers> {
    const { store, profiles, settings } = this.#options;
    const by = accessCheck('getReaders', user);
    const [start, most] = [pageStart(after, MEMBER_KEY), pageLimit(limit, READERS)];
    const id = conversationId(conversation);
    const page =
      id === undefined
        ? by.requirement.missing
        : await store.readersOf(id, by, wholeNumber(seq, 'seq'), start, most);
    if (page === 'TARGET_NOT_FOUND' || page === 'TARGET_EXPIRED') throw new GochatError(page);
    const { items, next } = accept(page, conversation);
    const settingsOf = await settings.of([user]);
    if (!settingsOf(user).receipts) return { readers: [], next: '' };
    const found = await profiles.of(items);
    const readers = items.flatMap((reader) => {
      const profile = found.get(reader);
      return profile === undefined ? [] : [toUser(reader, profile)];
    });
    return { readers, next: next ?? '' };
  }

  /** Returns a conversation for its user. @throws GochatError if the policy refuses the action */
  async #find(action: Action, { user, device }: Caller, conversation: bigint): Promise<UserConversation> {
    const { requirement } = accessCheck(action, user);
    const id = conversationId(conversation);
    const found = id && (await this.#options.store.conversationOf(id, user, device));
    const reason = refusal(requirement, { kind: found?.kind, actor: found?.role ?? 'nonmember' });
    return accept(reason ?? found ?? requirement.missing, conversation);
  }
}

/** Converts a page of conversations; texts of last messages share what the page has room for. */
function toList(items: readonly ListedConversation[], profiles: ProfilesById): client.Conversation[] {
  const nameOf: NameOf = (user) => shownName(profiles.get(user));
  let left = items.length * LISTED_BYTES;
  return items.map((item, at) => {
    const conversation = toConversation(item, profiles);
    if (item.lastMessage === undefined) return conversation;
    const message = toMessage(item.lastMessage, nameOf);
    const lastMessage = { ...message, clientMsgId: '', quote: undefined, text: '' };
    conversation.lastMessage = lastMessage;
    const size = client.Conversation.encode(conversation).finish().length + TEXT_OVERHEAD_BYTES;
    lastMessage.text = preview(message.text, left / (items.length - at) - size);
    left -= size + jsonBytes(lastMessage.text);
    return conversation;
  });
}

/** Returns the beginning of a text: at most PREVIEW_CHARACTERS and so many bytes, in JSON too, cut at a grapheme. */
function preview(whole: string, bytes: number): string {
  const { text } = cutText(whole, PREVIEW_CHARACTERS);
  let left = bytes - jsonBytes(text);
  if (left >= 0) return text;
  left = bytes;
  for (const { segment, index } of graphemes.segment(text)) {
    left -= jsonBytes(segment);
    if (left < 0) return text.slice(0, index);
  }
  return text;
}
