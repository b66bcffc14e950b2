/** The store port: accounts, conversations, members, the message log and the cursors. The log is the truth. */
import type { ConversationId, ErrorCode, MessageId, UserId } from '../../common/mod.ts';
import type { Claim, ConversationKind, Refusal, Role } from '../policy.ts';

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
  /** Grows with each change of membership. */
  readonly memberVersion: number;
}

/** A conversation as one of its members sees it. */
export interface UserConversation extends Conversation {
  /** A direct conversation's other user, who may be the user; undefined for a room. */
  readonly peer: UserId | undefined;
  /** Seq after which this user may read: 0 for the whole history. */
  readonly visibleAfterSeq: number;
  /** Of the device; else of the user's unnamed devices. */
  readonly deliveredSeq: number;
  /** Of the user, on whatever device. */
  readonly readSeq: number;
  readonly role: Role;
}

/** A conversation that the user is in, and whether the call made it so. */
export interface Joined extends UserConversation {
  /** False: the user had been in it before, or an earlier try of the call made it. */
  readonly isNew: boolean;
}

/** A change of who is in a room, or of somebody's role there, in one order with its messages. */
export interface MemberChange {
  /** False: it had been so before. */
  readonly changed: boolean;
  /** The room's last seq at the change: what has a greater one came after it. */
  readonly seq: number;
  /** The room's member version after the change; a change of roles leaves it as it was. */
  readonly memberVersion: number;
  /** The new owner, if the change would have left the room without one. */
  readonly heir?: UserId;
}

export interface DeletedRoom {
  readonly seq: number;
  /** The members until then. */
  readonly members: readonly UserId[];
}

/** A conversation that a client has a cursor for and its user is not in (any more). */
export interface Gone {
  readonly conversation: ConversationId;
  /** 'deleted': the conversation, or every trace of the user's having been in it. */
  readonly reason: 'left' | 'removed' | 'deleted';
  /** The last seq that the user may read; 0 where nothing is left. */
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
  /** The version after them. */
  readonly version: number;
  /** Members after them. Where another number comes out, a node that is being replaced did not record a change: read all. */
  readonly count: number;
  readonly joined: readonly Member[];
  readonly left: readonly UserId[];
}

/** Changes that `memberChanges` tells of. */
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
  /** Used unless the message turns out to be a duplicate. */
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
      /** It had been appended before; seq, id and atMs are the original's. */
      readonly duplicate: boolean;
      /** The conversation's member version at the commit. */
      readonly memberVersion: number;
    }
  | { readonly ok: false; readonly code: SendRefusal };

/**
 * Why a draft was not appended. NOT_A_MEMBER: the conversation does not exist or the sender is not in it.
 * MESSAGE_UNSTORABLE: the engine rejects what it says.
 */
export type SendRefusal = 'NOT_A_MEMBER' | 'MESSAGE_UNSTORABLE';

export interface CursorMove {
  readonly user: UserId;
  /** Empty: the user's unnamed devices, which share one cursor. */
  readonly device: string;
  readonly conversation: ConversationId;
  /** Of the device. 0: unchanged. Cursors never go back and never pass the conversation's last seq. */
  readonly deliveredSeq: number;
  /** Of the user. 0: unchanged. */
  readonly readSeq: number;
}

export interface SyncRequest {
  readonly user: UserId;
  readonly device: string;
  /** What the client has; a conversation that is missing starts at the stored delivered cursor of the device, else
   * of the unnamed devices, else at what the user may see first. */
  readonly cursors: ReadonlyMap<ConversationId, number>;
  /** Of conversations that the client does not know, and has no cursor of: where it was pushed the first message. It
   * starts there, or at the stored cursor if that is less, also when the user is not in the conversation any more. */
  readonly pushed?: ReadonlyMap<ConversationId, number>;
  /** Most messages in the answer; it also ends with the text that takes it to PAGE_TEXT_BYTES. */
  readonly limit: number;
}

export interface SyncResult {
  /**
   * Conversations that have something new; messages ascend by seq without a hole after the cursor. On the last page
   * also those in which there is nothing to read yet and of which the device shows no sign of knowing, without messages:
   * rooms, and direct conversations that the user opened.
   */
  readonly conversations: readonly {
    readonly conversation: UserConversation;
    readonly messages: readonly Message[];
  }[];
  readonly more: boolean;
  /** Of the request's cursors and `pushed` those whose conversation the user is not in; all messages that were theirs have come. */
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

/** Accounts, which know nothing of conversations. */
export interface AccountStore {
  /** Makes an account; undefined when the name is taken. */
  createAccount(account: Account): Promise<Account | undefined>;
  findAccount(name: string): Promise<Account | undefined>;
  /** Names of the users who have an account, by id. */
  namesOf(users: readonly UserId[]): Promise<ReadonlyMap<UserId, string>>;
}

/**
 * Rooms and who is in them.
 *
 * What has a Claim compares its requirement with the rows that it has locked, in the transaction that does it: no right is
 * lost or gained between the comparison and the commit.
 */
export interface RoomStore {
  /**
   * Makes a room with its creator as the first member and owner; undefined when the name is taken, unless by a room that
   * the creator owns and that hides its history or not as asked for: then it is this one. Who joins a room that
   * `hidesHistory` sees only what comes from then on.
   *
   * @param device whose delivered cursor is returned, as in `sync`; empty (the default) for an unnamed one
   */
  createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory?: boolean,
    device?: string,
  ): Promise<Joined | undefined>;
  /**
   * Joins a room by id or name, again without effect. It takes its place among the room's messages: in a room that
   * hides its history the user sees those after it. Who joins a room that nobody is in becomes its owner.
   *
   * @param device as in `createRoom`
   */
  joinRoom(room: ConversationId | string, by: Claim, device?: string): Promise<Joined | Refusal>;
  /**
   * Leaves a room, again without effect. The user may read what was committed before, and nothing that comes after.
   * Where the last owner leaves, the room passes on to the member of the highest role who has been in it longest.
   */
  leaveRoom(room: ConversationId, by: Claim): Promise<MemberChange | Refusal>;
  /** Makes a user leave, again without effect. */
  removeMember(room: ConversationId, user: UserId, by: Claim): Promise<MemberChange | Refusal>;
  /**
   * Gives a member a role, again without effect. Where the last owner steps down, the room passes on as when it leaves;
   * LAST_OWNER: nobody else is in it.
   */
  setRole(
    room: ConversationId,
    user: UserId,
    role: Role,
    by: Claim,
  ): Promise<MemberChange | Refusal | 'LAST_OWNER'>;
  /**
   * Deletes a room, again without effect by the same user. Its name is free and nobody can read it from then on; what it
   * holds goes with `eraseDeleted`.
   */
  deleteRoom(room: ConversationId, by: Claim): Promise<DeletedRoom | Refusal>;
  /** Erases at most `limit` messages of deleted rooms; resolves with whether there may be more. */
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
   * Finds or makes the direct conversation of two users (or of one with itself) under any id; safe in a race.
   *
   * @param device as in `createRoom`
   */
  openDirect(id: ConversationId, user: UserId, peer: UserId, device?: string): Promise<Joined>;
  /** Lists the conversations of a user by descending activity, at most 1000. */
  conversationsOf(user: UserId, device: string): Promise<readonly UserConversation[]>;
  /** Finds one conversation of a user; undefined when the user is not in it. */
  conversationOf(id: ConversationId, user: UserId, device: string): Promise<UserConversation | undefined>;
  /** The roles of those in a conversation who are more than plain members. */
  rolesOf(conversation: ConversationId): Promise<ReadonlyMap<UserId, Role>>;
  /** Members of a conversation with the version that they stand for; undefined when nobody is in it. */
  membersOf(conversation: ConversationId): Promise<MemberList | undefined>;
  /**
   * Who has come and gone since a member version; undefined when nobody is in it, or when they are more than
   * MAX_MEMBER_CHANGES: `membersOf` tells.
   */
  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined>;
}

/** The messages of all conversations. */
export interface LogStore {
  /**
   * Appends drafts in one commit and answers in their order. A draft that is refused costs itself alone.
   *
   * The seqs of a conversation continue its last one without a hole in the drafts' order, whatever other nodes append
   * at the same time; (conversation, sender, clientMsgId) is unique, also within the batch. Durable when it resolves.
   */
  append(drafts: readonly Draft[]): Promise<readonly Appended[]>;
  /**
   * Up to `limit` messages with seq < beforeSeq (0: the newest), ascending. Who has left reads what came before. The page
   * also begins with the text that takes it to PAGE_TEXT_BYTES.
   */
  history(
    conversation: ConversationId,
    by: Claim,
    beforeSeq: number,
    limit: number,
  ): Promise<{ messages: readonly Message[]; more: boolean } | Refusal>;
  sync(request: SyncRequest): Promise<SyncResult>;
}

/** Cursors of devices and users. */
export interface CursorStore {
  /** Moves cursors forward; what is not a member's, or would go back, is left out without an error. */
  moveCursors(moves: readonly CursorMove[]): Promise<void>;
}

export interface SigningKeyStore {
  /** Stores `make()` as the signing key unless there is one; returns the one that is stored, the same on every node. */
  signingKey(make: () => Promise<SigningKey>): Promise<SigningKey>;
}

/** Keeps revocations beyond the end of all state nodes and of the hot state. */
export interface RevocationStore {
  revoke(revocation: Revocation): Promise<void>;
  /** The newest ones, ascending by time; some of them may be over. */
  revocations(limit: number): Promise<readonly Revocation[]>;
}

/**
 * The durable store. Every method rejects with GochatError STORE_UNAVAILABLE when the engine does not answer or is
 * busy; a call that was rejected may or may not have happened, and each is safe to repeat.
 *
 * An id, text or number that the engines cannot hold is as good as one that is not stored, or becomes the nearest.
 */
export interface Store
  extends AccountStore,
    RoomStore,
    ConversationStore,
    LogStore,
    CursorStore,
    SigningKeyStore,
    AsyncDisposable {
  /** Resolves when the engine answers: readiness. */
  ping(): Promise<void>;
  /** Closes it once the calls under way are answered; every later call is STORE_UNAVAILABLE. */
  close(): Promise<void>;
}

export interface DurableStore extends Store, RevocationStore {}

/** A store on one engine, whose caller ends all calls before `close`: see closeInOrder. */
export type StoreEngine = Omit<DurableStore, typeof Symbol.asyncDispose>;
