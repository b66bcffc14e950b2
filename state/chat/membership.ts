/** Making, joining, leaving, removing, deleting: in one order with the room's messages; whom it concerns is told. */
import { Backoff, type ConversationId, GochatError, type Logger, type UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { Fanout } from '../delivery/fanout.ts';
import type { Joined, MemberChange, RoomRefusal, Store } from '../store/store.ts';
import { parseName, quoted } from '../identity/names.ts';
import type { UserNames } from '../identity/user-names.ts';
import { type Names, toConversation } from './present.ts';
import { conversationId } from './rooms.ts';

const DECIMAL = /^\d{1,20}$/;
/** What rooms are presented with. */
const NO_NAMES: Names = new Map();
/** Messages erased in one transaction, so that nobody waits long for it. */
const ERASE_ROWS = 1000;
/** How long erasing waits at most for a store that fails, ms. */
const MAX_ERASE_RETRY_MS = 60_000;
/** How often to look for what a node that stopped has left behind, ms. */
const ERASE_AGAIN_MS = 600_000;
const { MEMBER_CHANGE_JOINED, MEMBER_CHANGE_LEFT, MEMBER_CHANGE_REMOVED, MEMBER_CHANGE_DELETED } =
  client.MemberChange;

/** A user and the name that the others are told. */
export interface Actor {
  readonly user: UserId;
  readonly userName: string;
  /** As in Caller; none: an unnamed one. */
  readonly device?: string;
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
 * Who is told learns it at once; who is not (the push is best effort) learns it from the next sync, which names the
 * conversations that the user is out of.
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

  /** Opens the direct conversation with a user; the user hears of it when something is said there. */
  async openDirect(actor: Actor, input: string): Promise<client.Conversation> {
    const name = parseName(input);
    const { store, nextConversation } = this.#options;
    const peer = await store.findAccount(name);
    if (peer === undefined) throw new GochatError('USER_NOT_FOUND', { details: { name } });
    const opened = await store.openDirect(nextConversation(), actor.user, peer.id, actor.device);
    this.#tellDevices(opened, actor);
    return toConversation(opened, new Map([[peer.id, peer.name]]));
  }

  /** Joins by name, or by id in decimal: names begin with a letter. */
  async join(actor: Actor, room: string): Promise<client.Conversation> {
    const { store } = this.#options;
    const key = DECIMAL.test(room) ? roomId(BigInt(room)) : parseName(room);
    const joined = await store.joinRoom(key, actor.user, actor.device);
    if (joined === undefined) throw notFound(room);
    if (joined.isNew) {
      const change = { seq: joined.lastSeq, memberVersion: joined.memberVersion };
      this.#announce(joined.id, MEMBER_CHANGE_JOINED, actor, '', change);
    }
    return toConversation(joined, NO_NAMES);
  }

  async leave(actor: Actor, room: bigint): Promise<void> {
    const id = roomId(room);
    const change = accept(await this.#options.store.leaveRoom(id, actor.user), room);
    if (change.changed) this.#announce(id, MEMBER_CHANGE_LEFT, actor, '', change);
  }

  /** Makes another user, by name or by id in decimal, leave. */
  async remove(owner: Actor, room: bigint, user: string): Promise<void> {
    const id = roomId(room);
    const member = await this.#find(user);
    const change = accept(await this.#options.store.removeMember(id, owner.user, member.user), room);
    if (change.changed) this.#announce(id, MEMBER_CHANGE_REMOVED, member, owner.userName, change);
  }

  async delete(owner: Actor, room: bigint): Promise<void> {
    const id = roomId(room);
    const { seq, members } = accept(await this.#options.store.deleteRoom(id, owner.user), room);
    const nobody = { user: 0n as UserId, userName: '' };
    const frame = encodeChange(id, MEMBER_CHANGE_DELETED, nobody, owner.userName, seq);
    this.#options.fanout.announceTo(members, frame);
    this.erase();
  }

  /** Erases what deleted rooms hold, in the background and until it is done; what an earlier run left behind too. */
  erase(): void {
    this.#isEraseDue = true;
    if (this.#erasing !== undefined || this.#stopped) return;
    clearTimeout(this.#eraseTimer);
    this.#erasing = this.#erase().finally(() => {
      this.#erasing = undefined;
    });
  }

  /** Resolves when no erasing is under way; what is left is for the other nodes and the next start. */
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
      // The rooms stay marked as deleted.
      againMs = this.#backoff.next();
      this.#options.logger.warn({ err: error, againMs }, 'erasing deleted rooms was interrupted');
    }
    if (!this.#stopped) this.#eraseTimer = setTimeout(() => this.erase(), againMs).unref();
  }

  /** Tells the other devices of who opened a conversation; each then synchronises. */
  #tellDevices({ id, isNew, lastSeq }: Joined, actor: Actor): void {
    if (!isNew) return;
    this.#options.fanout.announceTo([actor.user], encodeChange(id, MEMBER_CHANGE_JOINED, actor, '', lastSeq));
  }

  #announce(
    room: ConversationId,
    change: client.MemberChange,
    member: Actor,
    by: string,
    { seq, memberVersion }: Pick<MemberChange, 'seq' | 'memberVersion'>,
  ): void {
    const frame = encodeChange(room, change, member, by, seq);
    this.#options.fanout.announce(room, memberVersion, frame);
    if (change !== MEMBER_CHANGE_JOINED) this.#options.fanout.announceTo([member.user], frame);
  }

  /** Finds who is meant by a name or an id; an id that nobody has is no member's either. */
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

function encodeChange(
  room: ConversationId,
  change: client.MemberChange,
  { user, userName: name }: Actor,
  by: string,
  seq: number,
): Uint8Array {
  const payload = client.MembersChanged.encode({ change, user, name, by, afterSeq: BigInt(seq) }).finish();
  return encodeFrame(FrameType.MEMBERS_CHANGED, 0, room, payload);
}

function roomId(room: bigint): ConversationId {
  const id = conversationId(room);
  if (id === undefined) throw notFound(room.toString());
  return id;
}

function notFound(room: string): GochatError {
  return new GochatError('ROOM_NOT_FOUND', { details: { name: quoted(room) } });
}

function accept<T extends object>(result: T | RoomRefusal, room: bigint): T {
  if (typeof result !== 'string') return result;
  throw result === 'ROOM_NOT_FOUND' ? notFound(room.toString()) : new GochatError(result);
}
