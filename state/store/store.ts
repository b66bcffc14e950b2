/** The interface of the store: accounts, conversations, members, the message log and the cursors. The log is the truth. */
import type { ConversationId, ErrorCode, MessageId, UserId } from '../../common/mod.ts';
import type { AccessCheck, ConversationKind, Refusal, Role } from '../policy.ts';

export interface Account {
  readonly id: UserId;
  readonly name: string;
  /** PHC string of the password's hash. */
  readonly passwordHash: string;
}

export interface Conversation {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  /** The room's name; empty for a direct conversation. */
  readonly name: string;
  readonly lastSeq: number;
  /** Version of the member list; grows with each change. */
  readonly memberVersion: number;
}

/** A conversation for one of its members. */
export interface UserConversation extends Conversation {
  /** The other user of a direct conversation, possibly the same one; undefined for a room. */
  readonly peer: UserId | undefined;
  /** Seq after which this user may read: 0 for the whole history. */
  readonly visibleAfterSeq: number;
  /** Delivered cursor of the device or, for an unnamed one, of the user's unnamed devices. */
  readonly deliveredSeq: number;
  /** Read cursor of the user. */
  readonly readSeq: number;
  readonly role: Role;
}

/** A conversation of the user, with whether the call added the user to it. */
export interface Joined extends UserConversation {
  /** False if the user was in it before, also by an earlier attempt of the call. */
  readonly isNew: boolean;
}

/** A change of a room's members or roles, in one order with the room's messages. */
export interface MemberChange {
  /** False if it was so before. */
  readonly changed: boolean;
  /** The room's last seq at the change; messages with a greater one came after it. */
  readonly seq: number;
  /** The room's member version after the change; changes of roles leave it unchanged. */
  readonly memberVersion: number;
  /** The new owner, if the change would have left the room without one. */
  readonly newOwner?: UserId;
}

export interface DeletedRoom {
  readonly seq: number;
  /** The members until then. */
  readonly members: readonly UserId[];
}

/** A conversation of a client's cursor that its user is not, or no longer, in. */
export interface Gone {
  readonly conversation: ConversationId;
  /** 'deleted': the conversation, or every trace of the user's membership, is gone. */
  readonly reason: 'left' | 'removed' | 'deleted';
  /** Last seq that the user may read; 0 if there is none. */
  readonly lastSeq: number;
}

export interface RoomSummary {
  readonly id: ConversationId;
  readonly name: string;
  readonly members: number;
  readonly joined: boolean;
  readonly lastSeq: number;
  /** Unread messages; 0 for non-members. */
  readonly unread: number;
}

export interface Member {
  readonly user: UserId;
  readonly visibleAfterSeq: number;
}

export interface MemberList {
  readonly version: number;
  /** By ascending user id. */
  readonly members: readonly Member[];
}

/** Difference from an earlier member list: remove everyone in `left` or `joined`, then add `joined`. */
export interface MemberChanges {
  /** Member version after the changes. */
  readonly version: number;
  /**
   * Number of members after the changes. If the result has another number, a node of an older release did not record a
   * change: reload the list.
   */
  readonly count: number;
  readonly joined: readonly Member[];
  readonly left: readonly UserId[];
}

/** Most changes returned by `memberChanges`. */
export const MAX_MEMBER_CHANGES = 5000;

export interface Message {
  readonly conversation: ConversationId;
  readonly seq: number;
  readonly id: MessageId;
  readonly sender: UserId;
  readonly clientMsgId: string;
  readonly text: string;
  /** Unix time, ms. */
  readonly atMs: number;
}

/** A message to be appended. */
export interface Draft {
  readonly conversation: ConversationId;
  readonly sender: UserId;
  readonly clientMsgId: string;
  /** Id of the message unless it is a duplicate. */
  readonly id: MessageId;
  readonly text: string;
  readonly atMs: number;
}

/** Result of a draft. */
export type Appended =
  | {
      readonly ok: true;
      readonly seq: number;
      readonly id: MessageId;
      readonly atMs: number;
      /** Whether it was appended before; seq, id and atMs are the original's. */
      readonly duplicate: boolean;
      /** The conversation's member version at the commit. */
      readonly memberVersion: number;
    }
  | { readonly ok: false; readonly code: SendRefusal };

/**
 * Why a draft was not appended. NOT_A_MEMBER: the conversation does not exist or the sender is not in it.
 * MESSAGE_UNSTORABLE: the engine rejects its content.
 */
export type SendRefusal = 'NOT_A_MEMBER' | 'MESSAGE_UNSTORABLE';

export interface CursorMove {
  readonly user: UserId;
  /** Empty for the user's unnamed devices, which share one cursor. */
  readonly device: string;
  readonly conversation: ConversationId;
  /** Delivered cursor of the device; 0: unchanged. Cursors never go back and never pass the conversation's last seq. */
  readonly deliveredSeq: number;
  /** Read cursor of the user; 0: unchanged. */
  readonly readSeq: number;
}

export interface SyncRequest {
  readonly user: UserId;
  readonly device: string;
  /**
   * Cursors of the client. A conversation that is missing starts at the stored delivered cursor of the device, else of
   * the unnamed devices, else at the first seq visible to the user.
   */
  readonly cursors: ReadonlyMap<ConversationId, number>;
  /**
   * Conversations unknown to the client, with the seq of the first message pushed to it. They start there, or at the
   * stored cursor if that is less, even if the user has left the conversation.
   */
  readonly pushed?: ReadonlyMap<ConversationId, number>;
  /** Most messages in the answer; it also ends with the text that reaches PAGE_TEXT_BYTES. */
  readonly limit: number;
}

export interface SyncResult {
  /**
   * Conversations with news; messages ascend by seq without a hole after the cursor. The last page also has, without
   * messages, conversations without anything to read that the device does not seem to know: rooms, and direct
   * conversations opened by the user.
   */
  readonly conversations: readonly {
    readonly conversation: UserConversation;
    readonly messages: readonly Message[];
  }[];
  readonly more: boolean;
  /**
   * Conversations of the request's cursors and `pushed` that the user is not in, after all messages visible to the user
   * have been returned.
   */
  readonly gone: readonly Gone[];
}

export interface SigningKey {
  /** Key id, the JWK thumbprint (RFC 7638). */
  readonly kid: string;
  /** Ed25519 private key as a JWK, JSON text. */
  readonly privateJwk: string;
}

/** An order that revokes access tokens; see Eviction. */
export interface Revocation {
  readonly user: UserId;
  readonly atUs: number;
  readonly scope: 'token' | 'tokens';
  readonly token: bigint;
  readonly code: ErrorCode;
  readonly reason: string;
  /** Time after which no token that it revokes can be valid, Unix ms. */
  readonly expiresAtMs: number;
}

/** Accounts, independent of conversations. */
export interface AccountStore {
  /** Creates an account; undefined if the name is taken. */
  createAccount(account: Account): Promise<Account | undefined>;
  findAccount(name: string): Promise<Account | undefined>;
  /** Returns the names of existing users, by id. */
  namesOf(users: readonly UserId[]): Promise<ReadonlyMap<UserId, string>>;
}

/**
 * Rooms and their members.
 *
 * A method with an AccessCheck compares its requirements with the rows that it has locked, in the same transaction:
 * no right is lost or gained between the check and the commit.
 */
export interface RoomStore {
  /**
   * Creates a room with its creator as the first member and owner. Returns undefined if the name is taken; but a room
   * of that name that the creator owns, with the same `hidesHistory`, is returned. New members of a room that
   * `hidesHistory` see only later messages.
   *
   * @param device device whose delivered cursor is returned, as in `sync`; empty (the default) for an unnamed one
   */
  createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory?: boolean,
    device?: string,
  ): Promise<Joined | undefined>;
  /**
   * Joins a room by id or name; idempotent. The join has its place among the room's messages: in a room that hides its
   * history the user sees those after it. A user who joins an empty room becomes its owner.
   *
   * @param device as in `createRoom`
   */
  joinRoom(room: ConversationId | string, by: AccessCheck, device?: string): Promise<Joined | Refusal>;
  /**
   * Leaves a room; idempotent. The user may read earlier messages, and nothing later. If the last owner leaves, the
   * room passes to the longest-standing member of the highest role.
   */
  leaveRoom(room: ConversationId, by: AccessCheck): Promise<MemberChange | Refusal>;
  /** Removes a user; idempotent. */
  removeMember(room: ConversationId, user: UserId, by: AccessCheck): Promise<MemberChange | Refusal>;
  /**
   * Sets a member's role; idempotent. If the last owner steps down, the room passes on as when an owner leaves;
   * LAST_OWNER if there is no other member.
   */
  setRole(
    room: ConversationId,
    user: UserId,
    role: Role,
    by: AccessCheck,
  ): Promise<MemberChange | Refusal | 'LAST_OWNER'>;
  /**
   * Deletes a room; idempotent for the same user. Its name becomes free and nobody can read it; `eraseDeleted` removes
   * its contents.
   */
  deleteRoom(room: ConversationId, by: AccessCheck): Promise<DeletedRoom | Refusal>;
  /** Erases at most `limit` messages of deleted rooms. Resolves with whether there may be more. */
  eraseDeleted(limit: number): Promise<boolean>;
  /** Lists rooms by ascending id. */
  listRooms(
    user: UserId,
    after: ConversationId,
    limit: number,
  ): Promise<{ rooms: readonly RoomSummary[]; more: boolean }>;
}

/** Conversations of either kind, and their members. */
export interface ConversationStore {
  /**
   * Returns the direct conversation of two users (or of one with itself), created with this id if missing; safe in a
   * race.
   *
   * @param device as in `createRoom`
   */
  openDirect(id: ConversationId, user: UserId, peer: UserId, device?: string): Promise<Joined>;
  /** Lists the conversations of a user by descending activity, at most 1000. */
  conversationsOf(user: UserId, device: string): Promise<readonly UserConversation[]>;
  /** Returns one conversation of a user; undefined if the user is not in it. */
  conversationOf(id: ConversationId, user: UserId, device: string): Promise<UserConversation | undefined>;
  /** Returns the roles of members above plain ones. */
  rolesOf(conversation: ConversationId): Promise<ReadonlyMap<UserId, Role>>;
  /** Returns the members of a conversation with their version; undefined if it has none. */
  membersOf(conversation: ConversationId): Promise<MemberList | undefined>;
  /**
   * Returns the changes since a member version; undefined if it has no members, or if there are more than
   * MAX_MEMBER_CHANGES: call `membersOf` then.
   */
  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined>;
}

/** The messages of all conversations. */
export interface LogStore {
  /**
   * Appends drafts in one commit. Returns the results in their order; a refused draft does not affect the others.
   *
   * The seqs of a conversation continue its last one without a hole, in the drafts' order, whatever other nodes append
   * at the same time. (conversation, sender, clientMsgId) is unique, also within the batch. Durable when it resolves.
   */
  append(drafts: readonly Draft[]): Promise<readonly Appended[]>;
  /**
   * Returns up to `limit` messages with seq < beforeSeq (0: the newest), ascending. Former members read what came
   * before they left. The page also starts with the text that reaches PAGE_TEXT_BYTES.
   */
  history(
    conversation: ConversationId,
    by: AccessCheck,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: readonly Message[]; more: boolean } | Refusal>;
  sync(request: SyncRequest): Promise<SyncResult>;
}

/** Cursors of devices and users. */
export interface CursorStore {
  /** Moves cursors forward; moves of non-members or backwards are ignored. */
  moveCursors(moves: readonly CursorMove[]): Promise<void>;
}

export interface SigningKeyStore {
  /** Stores `make()` as the signing key unless there is one. Returns the stored one, the same on every node. */
  signingKey(make: () => Promise<SigningKey>): Promise<SigningKey>;
}

/** Stores revocations, beyond the life of the state nodes and the hot state. */
export interface RevocationStore {
  revoke(revocation: Revocation): Promise<void>;
  /** Returns the newest ones, ascending by time; some may have expired. */
  revocations(limit: number): Promise<readonly Revocation[]>;
}

/**
 * The durable store. Every method rejects with GochatError STORE_UNAVAILABLE if the engine does not answer or is busy.
 * A rejected call may or may not have happened, and each is safe to repeat.
 *
 * An id, text or number that the engines cannot hold counts as not stored, or is replaced by the nearest.
 */
export interface Store
  extends AccountStore,
    RoomStore,
    ConversationStore,
    LogStore,
    CursorStore,
    SigningKeyStore,
    AsyncDisposable {
  /** Resolves when the engine answers; for readiness. */
  ping(): Promise<void>;
  /** Closes the store after the calls in flight; later calls are rejected with STORE_UNAVAILABLE. */
  close(): Promise<void>;
}

export interface DurableStore extends Store, RevocationStore {}

/** A store on one engine; the caller ends all calls before `close`, see closeInOrder. */
export type StoreEngine = Omit<DurableStore, typeof Symbol.asyncDispose>;
