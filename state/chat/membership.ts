/**
 * Membership: create, join, leave, remove, roles, delete. Changes have one order with the room's messages, and the
 * users concerned are told.
 */
import { type ConversationId, GochatError, type MessageId, type UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { encodeEntry } from '../delivery/entry-frames.ts';
import type { Fanout } from '../delivery/fanout.ts';
import type { MemberNews } from '../delivery/member-news.ts';
import { parseName } from '../identity/names.ts';
import type { NameOf, Profiles } from '../identity/profiles.ts';
import { accessCheck, type Role } from '../policy.ts';
import type { Caller } from '../session/location-map.ts';
import type { EntryStamp, Joined, MemberChange, Message, Store } from '../store/store.ts';
import type { Eraser } from './eraser.ts';
import { accept, conversationId, refused } from './input.ts';
import { fromWireRole, type ProfilesById, toConversation, toWireRole } from './present.ts';

const DECIMAL = /^\d{1,20}$/;
/** For the presentation of rooms. */
const NO_PROFILES: ProfilesById = new Map();
const {
  MEMBER_CHANGE_JOINED,
  MEMBER_CHANGE_LEFT,
  MEMBER_CHANGE_REMOVED,
  MEMBER_CHANGE_DELETED,
  MEMBER_CHANGE_ROLE,
} = client.MemberChange;

/** The notice to the other members. */
interface News {
  readonly change: client.MemberChange;
  readonly user: UserId;
  /** Who did it; undefined if it was the user. */
  readonly by?: UserId | undefined;
  readonly role?: Role;
}

/** A change and its place in the room's log. */
interface Place {
  /** The last message before the change. */
  readonly afterSeq: number;
  readonly memberVersion: number;
  readonly entries: readonly Message[];
}

export interface MembershipOptions {
  readonly store: Store;
  readonly profiles: Pick<Profiles, 'namesOf' | 'known'>;
  readonly fanout: Pick<Fanout, 'announce' | 'announceTo' | 'publish'>;
  readonly memberNews: Pick<MemberNews, 'changed' | 'departed'>;
  readonly eraser: Pick<Eraser, 'erase'>;
  readonly nextConversation: () => ConversationId;
  readonly nextIds: (count: number) => readonly MessageId[];
}

/**
 * Every method throws GochatErrors.
 *
 * Members are notified at once, best effort, and get the entry of the change in smaller rooms. A missed notice is repaired
 * by the next sync, which names the conversations that the user has left.
 */
export class Membership {
  readonly #options: MembershipOptions;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  async create({ user, device }: Caller, input: string, hideHistory = false): Promise<client.Conversation> {
    const name = parseName(input);
    const { store, nextConversation } = this.#options;
    const room = await store.createRoom(nextConversation(), name, user, hideHistory, device);
    if (room === undefined) throw new GochatError('NAME_TAKEN', { details: { name } });
    await this.#tellDevices(room, user);
    return toConversation(room, NO_PROFILES);
  }

  /** Opens the direct conversation with a user, who is told with the first message. */
  async openDirect({ user, device }: Caller, input: string): Promise<client.Conversation> {
    const name = parseName(input);
    const { store, nextConversation } = this.#options;
    const peer = await store.findAccount(name);
    if (peer === undefined || peer.state === 'closed')
      throw new GochatError('USER_NOT_FOUND', { details: { name } });
    const opened = await store.openDirect(nextConversation(), user, peer.id, device);
    await this.#tellDevices(opened, user);
    return toConversation(opened, new Map([[peer.id, { name: peer.name, displayName: '' }]]));
  }

  /** Joins by name or decimal id; names begin with a letter. */
  async join({ user, device }: Caller, room: string): Promise<client.Conversation> {
    const { store } = this.#options;
    const key = DECIMAL.test(room) ? roomId(BigInt(room)) : parseName(room);
    const by = accessCheck('joinRoom', user);
    await this.#namesOf([user]);
    const joined = accept(await store.joinRoom(key, by, this.#stamp(1), device), room);
    const { id, isNew, lastSeq, memberVersion, entry } = joined;
    if (isNew) {
      const entries = entry === undefined ? [] : [entry];
      const place = { afterSeq: entry === undefined ? lastSeq : entry.seq - 1, memberVersion, entries };
      this.#tell(id, place, { change: MEMBER_CHANGE_JOINED, user });
    }
    return toConversation(joined, NO_PROFILES);
  }

  async leave({ user }: Caller, room: bigint): Promise<void> {
    const id = roomId(room);
    const by = accessCheck('leaveRoom', user);
    await this.#namesOf([user]);
    const change = accept(await this.#options.store.leaveRoom(id, by, this.#stamp(2)), room);
    await this.#tellChange(id, change, { change: MEMBER_CHANGE_LEFT, user });
  }

  /** Removes a user, by name or decimal id; an actor who names themselves leaves. */
  async remove(actor: Caller, room: bigint, named: string): Promise<void> {
    const id = roomId(room);
    const user = await this.#find(named);
    if (user === actor.user) return this.leave(actor, room);
    const by = accessCheck('removeMember', actor.user);
    await this.#namesOf([user, actor.user]);
    const change = accept(await this.#options.store.removeMember(id, user, by, this.#stamp(1)), room);
    await this.#tellChange(id, change, { change: MEMBER_CHANGE_REMOVED, user, by: actor.user });
  }

  /** Sets the role of a member, by name or decimal id. */
  async setRole(actor: Caller, room: bigint, named: string, wireRole: client.Role): Promise<void> {
    const id = roomId(room);
    const role = fromWireRole(wireRole);
    if (role === undefined) throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The role' } });
    const user = await this.#find(named);
    const by = accessCheck('setRole', actor.user);
    await this.#namesOf([user, actor.user]);
    const change = accept(await this.#options.store.setRole(id, user, role, by, this.#stamp(2)), room);
    const other = user === actor.user ? undefined : actor.user;
    await this.#tellChange(id, change, { change: MEMBER_CHANGE_ROLE, user, by: other, role });
  }

  async delete({ user }: Caller, room: bigint): Promise<void> {
    const { store, fanout, eraser } = this.#options;
    const id = roomId(room);
    const { seq, members } = accept(await store.deleteRoom(id, accessCheck('deleteRoom', user)), room);
    eraser.erase();
    const news = { change: MEMBER_CHANGE_DELETED, user: 0n as UserId, by: user };
    const nameOf = await this.#namesOf([user]);
    fanout.announceTo(members, encodeNews(id, seq, news, nameOf));
  }

  /** Notifies the other devices of the user who opened a conversation; each then synchronises. */
  async #tellDevices({ id, isNew, lastSeq }: Joined, user: UserId): Promise<void> {
    if (!isNew) return;
    const nameOf = await this.#namesOf([user]);
    const frame = encodeNews(id, lastSeq, { change: MEMBER_CHANGE_JOINED, user }, nameOf);
    this.#options.fanout.announceTo([user], frame);
  }

  /** Notifies members of a change, and of a new owner by it. */
  async #tellChange(room: ConversationId, change: MemberChange, news: News): Promise<void> {
    const { changed, seq, memberVersion, entries, newOwner } = change;
    if (!changed) return;
    const place = { afterSeq: seq - entries.length, memberVersion, entries };
    this.#tell(room, place, news);
    if (newOwner === undefined) return;
    await this.#namesOf([newOwner]);
    const succession = { change: MEMBER_CHANGE_ROLE, user: newOwner, role: 'owner' } as const;
    this.#tell(room, { ...place, entries: [] }, succession);
  }

  /**
   * Notifies members of a change. It does not wait, not for names either: the entries have their place among messages that
   * may be committed already.
   */
  #tell(room: ConversationId, { afterSeq, memberVersion, entries }: Place, news: News): void {
    const { fanout, profiles } = this.#options;
    const nameOf: NameOf = (user) => profiles.known(user);
    const frame = encodeNews(room, afterSeq, news, nameOf);
    const { change } = news;
    const isOut = change === MEMBER_CHANGE_LEFT || change === MEMBER_CHANGE_REMOVED;
    if (isOut) this.#options.memberNews.departed(room, news.user);
    if (entries.length === 0 && (change === MEMBER_CHANGE_JOINED || change === MEMBER_CHANGE_LEFT)) {
      // In a large room those who watch are told how many members there are, the user's devices alone of the change.
      this.#options.memberNews.changed(room);
      fanout.announceTo([news.user], frame);
      return;
    }
    fanout.announce(room, memberVersion, frame);
    if (isOut) fanout.announceTo([news.user], frame);
    for (const { extra, ...entry } of entries) {
      if (extra === undefined) continue;
      const encoded = encodeEntry({ ...entry, extra }, nameOf);
      const { seq } = entry;
      fanout.publish({ conversation: room, memberVersion, seq, ...encoded, link: undefined, conn: -1 });
    }
  }

  /** Returns names for notices, and keeps them. Changes are made and told also while names cannot be read. */
  async #namesOf(users: readonly UserId[]): Promise<NameOf> {
    const { profiles } = this.#options;
    return profiles.namesOf(users).catch(() => (user: UserId) => profiles.known(user));
  }

  #stamp(entries: number): EntryStamp {
    return { ids: this.#options.nextIds(entries), atMs: Date.now() };
  }

  /** Resolves a name or an id; an unknown id is no member either. */
  async #find(user: string): Promise<UserId> {
    if (DECIMAL.test(user)) return BigInt(user) as UserId;
    const name = parseName(user);
    const account = await this.#options.store.findAccount(name);
    if (account === undefined) throw new GochatError('USER_NOT_FOUND', { details: { name } });
    return account.id;
  }
}

function encodeNews(
  room: ConversationId,
  afterSeq: number,
  { change, user, by, role }: News,
  nameOf: NameOf,
): Uint8Array {
  const payload = client.MembersChanged.encode({
    change,
    user,
    name: nameOf(user),
    by: by === undefined ? '' : nameOf(by),
    afterSeq: BigInt(afterSeq),
    role: role === undefined ? client.Role.ROLE_UNSPECIFIED : toWireRole(role),
    members: 0,
  }).finish();
  return encodeFrame(FrameType.MEMBERS_CHANGED, 0, room, payload);
}

function roomId(room: bigint): ConversationId {
  const id = conversationId(room);
  if (id === undefined) throw refused('ROOM_NOT_FOUND', room);
  return id;
}
