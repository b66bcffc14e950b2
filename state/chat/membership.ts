/**
 * Membership: create, join, leave, remove, roles, delete. Changes have one order with the room's messages, and the
 * users concerned are told.
 */
import { Backoff, type ConversationId, GochatError, type Logger, type UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { Fanout } from '../delivery/fanout.ts';
import { accessCheck, type Role } from '../policy.ts';
import type { Joined, MemberChange, Store } from '../store/store.ts';
import { parseName } from '../identity/names.ts';
import type { UserNames } from '../identity/user-names.ts';
import { fromWireRole, type Names, toConversation, toWireRole } from './present.ts';
import { accept, conversationId, refused } from './rooms.ts';

const DECIMAL = /^\d{1,20}$/;
/** Dependencies of the presentation of rooms. */
const NO_NAMES: Names = new Map();
/** Messages erased per transaction, so that nobody waits long for it. */
const ERASE_ROWS = 1000;
/** Longest wait of the eraser for a failing store, ms. */
const MAX_ERASE_RETRY_MS = 60_000;
/** Interval of the search for erasures left by a stopped node, ms. */
const ERASE_AGAIN_MS = 600_000;
const {
  MEMBER_CHANGE_JOINED,
  MEMBER_CHANGE_LEFT,
  MEMBER_CHANGE_REMOVED,
  MEMBER_CHANGE_DELETED,
  MEMBER_CHANGE_ROLE,
} = client.MemberChange;

/** A user, with the name for notices. */
export interface Actor {
  readonly user: UserId;
  readonly userName: string;
  /** As in Caller; undefined for an unnamed device. */
  readonly device?: string;
}

/** The notice to the other members. */
interface News {
  readonly change: client.MemberChange;
  readonly member: Actor;
  /** Name of the actor; undefined if it was the member. */
  readonly by?: string;
  readonly role?: Role;
}

export interface MembershipOptions {
  readonly store: Store;
  readonly names: Pick<UserNames, 'of'>;
  readonly fanout: Pick<Fanout, 'announce' | 'announceTo'>;
  readonly nextConversation: () => ConversationId;
  readonly logger: Logger;
}

/**
 * Every method throws GochatErrors.
 *
 * Members are notified at once, best effort. A missed notice is repaired by the next sync, which names the
 * conversations that the user has left.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #backoff = new Backoff({ baseMs: 100, maxMs: MAX_ERASE_RETRY_MS });
  #isEraseDue = false;
  #erasing: Promise<void> | undefined;
  #eraseTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  async create(actor: Actor, input: string, hideHistory = false): Promise<client.Conversation> {
    const name = parseName(input);
    const { store, nextConversation } = this.#options;
    const room = await store.createRoom(nextConversation(), name, actor.user, hideHistory, actor.device);
    if (room === undefined) throw new GochatError('NAME_TAKEN', { details: { name } });
    this.#tellDevices(room, actor);
    return toConversation(room, NO_NAMES);
  }

  /** Opens the direct conversation with a user, who learns of it with the first message. */
  async openDirect(actor: Actor, input: string): Promise<client.Conversation> {
    const name = parseName(input);
    const { store, nextConversation } = this.#options;
    const peer = await store.findAccount(name);
    if (peer === undefined) throw new GochatError('USER_NOT_FOUND', { details: { name } });
    const opened = await store.openDirect(nextConversation(), actor.user, peer.id, actor.device);
    this.#tellDevices(opened, actor);
    return toConversation(opened, new Map([[peer.id, peer.name]]));
  }

  /** Joins by name or decimal id; names begin with a letter. */
  async join(actor: Actor, room: string): Promise<client.Conversation> {
    const { store } = this.#options;
    const key = DECIMAL.test(room) ? roomId(BigInt(room)) : parseName(room);
    const joined = accept(await store.joinRoom(key, accessCheck('joinRoom', actor.user), actor.device), room);
    if (joined.isNew) {
      const place = { seq: joined.lastSeq, memberVersion: joined.memberVersion };
      this.#announce(joined.id, place, { change: MEMBER_CHANGE_JOINED, member: actor });
    }
    return toConversation(joined, NO_NAMES);
  }

  async leave(actor: Actor, room: bigint): Promise<void> {
    const id = roomId(room);
    const change = accept(
      await this.#options.store.leaveRoom(id, accessCheck('leaveRoom', actor.user)),
      room,
    );
    await this.#tell(id, change, { change: MEMBER_CHANGE_LEFT, member: actor });
  }

  /** Removes a user, by name or decimal id; an actor who names themselves leaves. */
  async remove(actor: Actor, room: bigint, user: string): Promise<void> {
    const id = roomId(room);
    const member = await this.#find(user);
    if (member.user === actor.user) return this.leave(actor, room);
    const by = accessCheck('removeMember', actor.user);
    const change = accept(await this.#options.store.removeMember(id, member.user, by), room);
    await this.#tell(id, change, { change: MEMBER_CHANGE_REMOVED, member, by: actor.userName });
  }

  /** Sets the role of a member, by name or decimal id. */
  async setRole(actor: Actor, room: bigint, user: string, wireRole: client.Role): Promise<void> {
    const id = roomId(room);
    const role = fromWireRole(wireRole);
    if (role === undefined) throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The role' } });
    const member = await this.#find(user);
    const by = accessCheck('setRole', actor.user);
    const change = accept(await this.#options.store.setRole(id, member.user, role, by), room);
    const name = member.user === actor.user ? '' : actor.userName;
    await this.#tell(id, change, { change: MEMBER_CHANGE_ROLE, member, by: name, role });
  }

  async delete(actor: Actor, room: bigint): Promise<void> {
    const id = roomId(room);
    const deleted = await this.#options.store.deleteRoom(id, accessCheck('deleteRoom', actor.user));
    const { seq, members } = accept(deleted, room);
    const nobody = { user: 0n as UserId, userName: '' };
    const frame = encodeNews(id, seq, { change: MEMBER_CHANGE_DELETED, member: nobody, by: actor.userName });
    this.#options.fanout.announceTo(members, frame);
    this.erase();
  }

  /** Erases deleted rooms in the background until all are done, those of an earlier run included. */
  erase(): void {
    this.#isEraseDue = true;
    if (this.#erasing !== undefined || this.#stopped) return;
    clearTimeout(this.#eraseTimer);
    this.#erasing = this.#erase().finally(() => {
      this.#erasing = undefined;
    });
  }

  /** Stops erasing; resolves when no erasure is in flight. Other nodes or the next start do the rest. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#eraseTimer);
    await this.#erasing;
  }

  async #erase(): Promise<void> {
    let againMs = ERASE_AGAIN_MS;
    try {
      while (this.#isEraseDue && !this.#stopped) {
        this.#isEraseDue = false;
        while (!this.#stopped && (await this.#options.store.eraseDeleted(ERASE_ROWS)));
      }
      this.#backoff.reset();
    } catch (error) {
      // The rooms stay marked as deleted, so nothing is lost.
      againMs = this.#backoff.next();
      this.#options.logger.warn({ err: error, againMs }, 'erasing deleted rooms was interrupted');
    }
    if (!this.#stopped) this.#eraseTimer = setTimeout(() => this.erase(), againMs).unref();
  }

  /** Notifies the other devices of the user who opened a conversation; each then synchronises. */
  #tellDevices({ id, isNew, lastSeq }: Joined, actor: Actor): void {
    if (!isNew) return;
    const frame = encodeNews(id, lastSeq, { change: MEMBER_CHANGE_JOINED, member: actor });
    this.#options.fanout.announceTo([actor.user], frame);
  }

  /** Notifies members of a change, and of a new owner by it. */
  async #tell(room: ConversationId, change: MemberChange, news: News): Promise<void> {
    if (!change.changed) return;
    this.#announce(room, change, news);
    if (change.newOwner === undefined) return;
    const newOwner = await this.#find(String(change.newOwner));
    this.#announce(room, change, { change: MEMBER_CHANGE_ROLE, member: newOwner, role: 'owner' });
  }

  #announce(
    room: ConversationId,
    { seq, memberVersion }: Pick<MemberChange, 'seq' | 'memberVersion'>,
    news: News,
  ): void {
    const frame = encodeNews(room, seq, news);
    this.#options.fanout.announce(room, memberVersion, frame);
    const isOut = news.change === MEMBER_CHANGE_LEFT || news.change === MEMBER_CHANGE_REMOVED;
    if (isOut) this.#options.fanout.announceTo([news.member.user], frame);
  }

  /** Resolves a name or an id; an unknown id is no member either. */
  async #find(user: string): Promise<Actor> {
    const { store, names } = this.#options;
    if (DECIMAL.test(user)) {
      const id = BigInt(user) as UserId;
      return { user: id, userName: (await names.of([id])).get(id) ?? '' };
    }
    const name = parseName(user);
    const account = await store.findAccount(name);
    if (account === undefined) throw new GochatError('USER_NOT_FOUND', { details: { name } });
    return { user: account.id, userName: name };
  }
}

function encodeNews(
  room: ConversationId,
  afterSeq: number,
  { change, member, by = '', role }: News,
): Uint8Array {
  const payload = client.MembersChanged.encode({
    change,
    user: member.user,
    name: member.userName,
    by,
    afterSeq: BigInt(afterSeq),
    role: role === undefined ? client.Role.ROLE_UNSPECIFIED : toWireRole(role),
  }).finish();
  return encodeFrame(FrameType.MEMBERS_CHANGED, 0, room, payload);
}

function roomId(room: bigint): ConversationId {
  const id = conversationId(room);
  if (id === undefined) throw refused('ROOM_NOT_FOUND', room);
  return id;
}
