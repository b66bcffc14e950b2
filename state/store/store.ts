/** The interface of the store: accounts, conversations, members, the message log and the cursors. The log is the truth. */
import type { ConversationId, ErrorCode, MessageId, UserId } from '../../common/mod.ts';
import type { UserSettings } from '../../proto/mod.ts';
import type { AccessCheck, ConversationKind, EntryRules, Refusal, Role } from '../policy.ts';

export type { EntryRules } from '../policy.ts';

/** States of accounts; the index is the number in the store. A closed one keeps its name for good. */
export const ACCOUNT_STATES = ['active', 'suspended', 'closed'] as const;
export type AccountState = (typeof ACCOUNT_STATES)[number];

export interface NewAccount {
  readonly id: UserId;
  /** The handle: unique, ASCII, never changes. */
  readonly name: string;
  /** PHC string of the password's hash; empty: there is no password. */
  readonly passwordHash: string;
}

export interface Account extends NewAccount {
  readonly state: AccountState;
  /** Whether the user is an admin of the server. */
  readonly isAdmin: boolean;
  /** Of a bot: the user whom it belongs to. */
  readonly owner: UserId | undefined;
}

/** An account as it is listed. */
export interface ListedAccount extends Omit<Account, 'passwordHash'> {
  /** Empty: none was set, and the name is shown. */
  readonly displayName: string;
}

/** A closed account whose user is still in rooms, or has messages to be retracted. */
export interface Closing {
  readonly user: UserId;
  readonly retracts: boolean;
  /** Unix time, ms. */
  readonly closedAtMs: number;
}

/** The RETRACT of all messages that a user has written in a conversation. */
export interface RetractedAll {
  readonly entry: Message;
  readonly memberVersion: number;
}

/** Most bots of a user. */
export const MAX_BOTS = 20;

/** A login with its refresh token, see RefreshTokens. */
export interface LoginSession {
  /** Also the id of its access tokens. */
  readonly id: bigint;
  readonly user: UserId;
  /** Name of the software, as it said. */
  readonly client: string;
  /** Network address of the login. */
  readonly address: string;
  /** Unix time, ms, as the other two. */
  readonly createdAtMs: number;
  /** Time of the last refresh, else of the login. */
  readonly usedAtMs: number;
  readonly expiresAtMs: number;
}

/** What the store keeps of a refresh token: SHA-256 hashes, hex. */
export interface TokenHashes {
  /** Of the part that all tokens of the session share. */
  readonly family: string;
  /** Of the rest. */
  readonly secret: string;
}

export interface NewLoginSession extends LoginSession {
  readonly hashes: TokenHashes;
  /** False: the token stays the same, for a bot. */
  readonly rotates: boolean;
}

/** The use of a refresh token. */
export interface Rotation {
  readonly session: bigint;
  readonly presented: TokenHashes;
  /** Salt of the successor, and the hash of its secret. */
  readonly salt: string;
  readonly nextSecret: string;
  /** Unix time, ms. */
  readonly nowMs: number;
  /** How long the token before the current one is still answered, with the same successor, ms. */
  readonly graceMs: number;
  readonly expiresAtMs: number;
}

/**
 * 'rotated': the successor is current now. 'repeated': it was already, made with this salt. 'kept': the token does not
 * rotate. 'reused': an earlier token of the session came; the session is gone. 'suspended': so is the account.
 */
export type Rotated =
  | {
      readonly result: 'rotated' | 'repeated' | 'kept';
      readonly user: UserId;
      readonly name: string;
      readonly salt: string;
      readonly expiresAtMs: number;
    }
  | { readonly result: 'reused'; readonly user: UserId }
  | { readonly result: 'suspended'; readonly user: UserId };

/** What others see of a user. */
export interface Profile {
  readonly name: string;
  /** Empty: none was set, and the name is shown. */
  readonly displayName: string;
}

export interface Conversation {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  /** The room's name; empty for a direct conversation. */
  readonly name: string;
  readonly lastSeq: number;
  /** Version of the member list; grows with each change. */
  readonly memberVersion: number;
  /** Entries up to this seq are no longer kept. */
  readonly floorSeq: number;
  /** Seq of the last entry that changed the pins; 0: none has. */
  readonly pinsVersion: number;
  /** Unix time of the last message, else of the making, ms. */
  readonly activeAtMs: number;
}

/** A conversation for one of its members. */
export interface UserConversation extends Conversation {
  /** The other user of a direct conversation, possibly the same one; undefined for a room. */
  readonly peer: UserId | undefined;
  /** Seq after which this user may read: 0 for the whole history. */
  readonly visibleAfterSeq: number;
  /** Delivered cursor of the device or, for an unnamed one, of the user's unnamed devices. */
  readonly deliveredSeq: number;
  /** Read cursor of the user; the epoch grows whenever it goes back. */
  readonly readSeq: number;
  readonly readEpoch: number;
  /**
   * Number of unread messages: those beyond the greatest of cursor, visibility and floor that others have sent and nobody has
   * retracted; at most MAX_UNREAD, see repositories/unread.ts.
   */
  readonly unread: number;
  /** Number of threads that the user follows with unread replies; at most MAX_UNREAD. */
  readonly threadsUnread: number;
  readonly role: Role;
  /** As in Mute. */
  readonly mutedUntilMs: number;
}

/** A conversation in a list. */
export interface ListedConversation extends UserConversation {
  /** The last message that the user may read, folded, its text at most QUOTE_CHARACTERS long; undefined: there is none. */
  readonly lastMessage: Message | undefined;
}

/** A page of a list; `next` is for the next call, undefined on the last page. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | undefined;
}

/** A conversation of the user, with whether the call added the user to it. */
export interface Joined extends UserConversation {
  /** False if the user was in it before, also by an earlier attempt of the call. */
  readonly isNew: boolean;
  /** The SYSTEM entry of the change; undefined if it has none. */
  readonly entry?: Message;
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
  /** The SYSTEM entries of the change, ascending; `seq` is that of the last. Conversations above MAX_LOGGED_MEMBERS have none for
   * joins and leaves. */
  readonly entries: readonly Message[];
}

/** Joins and leaves are entries of the log in rooms of up to so many members, counted after the join or before the leave. */
export const MAX_LOGGED_MEMBERS = 256;

/** Makes the ids and the time of the SYSTEM entries of a change. */
export interface EntryStamp {
  readonly ids: readonly MessageId[];
  readonly atMs: number;
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

/** Kinds of entries; the index is the number in the store and on the wire. */
export const ENTRY_KINDS = ['message', 'edit', 'retract', 'pin', 'unpin', 'system'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** Number in the store of a message that is a reply in a thread: no other reader of the timeline counts it. */
export const THREAD_REPLY = 8;

/** The messages of one sender with fromSeq <= seq <= toSeq. */
export interface SenderRange {
  readonly sender: UserId;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** A message as a reply quotes it, folded; its text is at most QUOTE_CHARACTERS long and not yet cut at a grapheme. */
export interface Quote {
  readonly seq: number;
  /** 'expired': below the floor, nothing else is known (sender and version are 0). 'retracted': no text. */
  readonly state: 'kept' | 'retracted' | 'expired';
  readonly sender: UserId;
  readonly text: string;
  /** As in Extra. */
  readonly version: number;
}

/** What the store reads of a quoted text: more than is shown, so that it can be cut at a grapheme. */
export const QUOTE_CHARACTERS = 400;

/** How a message was retracted. */
export interface Retraction {
  /** Seq of the RETRACT. */
  readonly seq: number;
  readonly by: UserId;
  readonly atMs: number;
  readonly reason: string;
}

/** What the server has recorded. */
export interface SystemEvent {
  readonly event: 'joined' | 'left' | 'removed' | 'role';
  /** Whom it concerns. */
  readonly user: UserId;
  readonly role?: Role;
}

/** An entry of the log. In pages messages are folded: as all entries up to the page's `asOf` have left them. */
export interface Message {
  readonly conversation: ConversationId;
  readonly seq: number;
  readonly id: MessageId;
  /** The author; of a SYSTEM entry, who did it. */
  readonly sender: UserId;
  /** Empty for SYSTEM entries. */
  readonly clientMsgId: string;
  /** 'message' and 'edit'. Empty if retracted, if bare, and for other kinds. */
  readonly text: string;
  /** Unix time, ms; never before that of the entry before it. */
  readonly atMs: number;
  /** What a plain message has not; undefined for one that nothing has changed. */
  readonly extra: Extra | undefined;
  /** In a page of the timeline: of a message that is the root of a thread. */
  readonly threadSummary?: ThreadSummary;
}

/** A thread as one of its readers sees it. */
export interface ThreadSummary {
  /** Number of replies that are kept. */
  readonly replies: number;
  readonly lastSeq: number;
  /** Unix time, ms. */
  readonly lastAtMs: number;
  /** What the user has of a thread that they follow; undefined: they do not. */
  readonly following: ThreadCursor | undefined;
}

export interface ThreadCursor {
  /** At most MAX_UNREAD, as UserConversation.unread. */
  readonly unread: number;
  readonly readSeq: number;
  readonly readEpoch: number;
}

/** A thread that a user follows. */
export interface FollowedThread {
  readonly conversation: ConversationId;
  /** Seq of the root. */
  readonly seq: number;
  /** Folded; undefined: it is no longer kept. */
  readonly root: Message | undefined;
  /** Undefined: there is no reply. */
  readonly summary: ThreadSummary | undefined;
  /** The last reply, as ListedConversation.lastMessage. */
  readonly last: Message | undefined;
}

/** A page of the replies of a thread; as HistoryPage, but the seqs have holes. */
export interface ThreadPage extends Omit<FollowedThread, 'last'> {
  readonly messages: readonly Message[];
  readonly more: boolean;
  readonly moreAfter: boolean;
  readonly asOf: number;
  readonly anchorSeq: number;
}

/** What an entry has beyond a plain message. */
export interface Extra {
  readonly kind: EntryKind;
  /** Seq of the last entry that changed the message; of an 'edit' in a page: that of its target. Else the entry's own seq. */
  readonly version: number;
  /** 'edit', 'retract', 'pin', 'unpin': seq of the message; 'message': of the one that it quotes; 0: none. */
  readonly target: number;
  /** 'message' that is a reply in a thread: seq of the root; 0: none. */
  readonly thread: number;
  readonly quote: Quote | undefined;
  readonly retraction: Retraction | undefined;
  readonly range: SenderRange | undefined;
  readonly reason: string;
  readonly system: SystemEvent | undefined;
  /** The reader may not read the target: target, quote, text of an 'edit', range and reason are left out. */
  readonly bare: boolean;
}

/** An entry to be appended. */
export interface Draft {
  readonly conversation: ConversationId;
  readonly sender: UserId;
  readonly clientMsgId: string;
  /** Id of the entry unless it is a duplicate. */
  readonly id: MessageId;
  readonly text: string;
  /** The commit takes the later of this and the time of the entry before it. */
  readonly atMs: number;
  /** Undefined: a plain message. */
  readonly entry: DraftEntry | undefined;
}

/** What a draft has beyond a plain message. */
export interface DraftEntry {
  readonly kind: Exclude<EntryKind, 'system'>;
  /** Seq of the message that it concerns, or quotes; 0: `targetClientMsgId` or `range` names it. */
  readonly target: number;
  /** 'message' without a target: seq of the root of the thread that it is a reply in; 0: none. */
  readonly thread: number;
  /** 'edit', 'retract': client_msg_id of a message of the same sender; empty: none. */
  readonly targetClientMsgId: string;
  /** 'retract': the messages of a range; it ends below the entry's own seq all the same. */
  readonly range: SenderRange | undefined;
  readonly reason: string;
}

/** Most pinned messages of a conversation. */
export const MAX_PINS = 100;

/**
 * Most retracted ranges of a conversation that are still to be erased, of authors and of moderators each: so many rows are
 * looked through per message that is read, and no member can keep a moderator from retracting.
 */
export const MAX_RANGES = 16;

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
      /** Seq of the message that the entry concerns or quotes, also where the draft named it otherwise; 0: none. */
      readonly target: number;
      /** Of a reply that is not a duplicate. */
      readonly quote: Quote | undefined;
    }
  | { readonly ok: false; readonly code: SendRefusal };

/**
 * How long a refusal is remembered, ms. A copy of the draft that a slow network brings later than this is judged anew; no
 * stream lives that long without a sign of life.
 */
export const REFUSAL_MS = 600_000;

/**
 * Why a draft was not appended. NOT_A_MEMBER: the conversation does not exist or the sender is not in it.
 * MESSAGE_UNSTORABLE: the engine rejects its content. The others are checked in this order:
 * TARGET_NOT_FOUND: no such message, or the sender may not read it (of a range, from its start on). TARGET_EXPIRED: it is at or below the floor.
 * TARGET_INVALID: it is not a message ('edit', 'system' …). THREAD_NESTED: the root of a thread is a reply in one. TARGET_RETRACTED:
 * but the root of a thread may be. NOT_AUTHOR: an edit of another's message.
 * ROLE_TOO_LOW: a retraction of another's message, or a pin. EDIT_TOO_LATE. PINS_FULL. RANGES_FULL: see MAX_RANGES.
 */
export type SendRefusal =
  | 'NOT_A_MEMBER'
  | 'MESSAGE_UNSTORABLE'
  | 'TARGET_NOT_FOUND'
  | 'TARGET_EXPIRED'
  | 'TARGET_INVALID'
  | 'THREAD_NESTED'
  | 'TARGET_RETRACTED'
  | 'NOT_AUTHOR'
  | 'ROLE_TOO_LOW'
  | 'EDIT_TOO_LATE'
  | 'PINS_FULL'
  | 'RANGES_FULL';

/** Where a page of the log lies. */
export type HistoryPoint =
  | { readonly at: 'before' /** 0: the newest entries. */; readonly seq: number }
  | { readonly at: 'after'; readonly seq: number }
  | { readonly at: 'around'; readonly seq: number }
  | { readonly at: 'firstUnread' }
  | { readonly at: 'date' /** Unix time. */; readonly ms: number };

export interface HistoryPage {
  /** Ascending by seq, without a hole, folded. */
  readonly messages: readonly Message[];
  /** Whether there are older, and newer, entries that the reader may read. */
  readonly more: boolean;
  readonly moreAfter: boolean;
  /** The last seq of the snapshot. */
  readonly asOf: number;
  /** Seq of the entry that 'around', 'firstUnread' or 'date' has found; 0: none. */
  readonly anchorSeq: number;
  readonly floorSeq: number;
}

export interface Pin {
  /** Folded. */
  readonly message: Message;
  readonly by: UserId;
  readonly atMs: number;
}

/** What a moderator has retracted. */
export interface Evidence {
  readonly conversation: ConversationId;
  readonly seq: number;
  readonly sender: UserId;
  readonly atMs: number;
  /** All texts of the message, the oldest first. */
  readonly texts: readonly string[];
  readonly retraction: Retraction;
  readonly expiresAtMs: number;
}

export interface CursorMove {
  readonly user: UserId;
  /** Empty for the user's unnamed devices, which share one cursor. */
  readonly device: string;
  readonly conversation: ConversationId;
  /** Delivered cursor of the device; 0: unchanged. Cursors never go back and never pass the conversation's last seq. */
  readonly deliveredSeq: number;
  /** Read cursor of the user: the greater pair (readEpoch, readSeq) counts. Both 0: unchanged. */
  readonly readSeq: number;
  /** @default 0 */
  readonly readEpoch?: number;
  /** Seq of a root: the read cursor is that of the thread, if the user follows it. @default 0, the timeline */
  readonly thread?: number;
}

/** A read cursor that has moved. */
export interface MovedCursor extends ReadCursor {
  /** As in CursorMove; 0: of the timeline. */
  readonly thread: number;
}

/** The cursors of a member. */
export interface ShownReceipt {
  readonly conversation: ConversationId;
  readonly user: UserId;
  readonly readSeq: number;
  readonly readEpoch: number;
  /** What others are shown; undefined: the user hides it. */
  readonly shown:
    | { readonly readSeq: number; readonly readEpoch: number; readonly deliveredSeq: number }
    | undefined;
}

export interface SyncRequest {
  readonly user: UserId;
  readonly device: string;
  /**
   * Cursors of the client. A conversation that is missing starts at the stored delivered cursor of the device, else at
   * the first seq visible to the user.
   */
  readonly cursors: ReadonlyMap<ConversationId, number>;
  /**
   * Conversations unknown to the client, with the seq of the first message pushed to it. They start there, or at the
   * stored cursor if that is less, even if the user has left the conversation.
   */
  readonly pushed?: ReadonlyMap<ConversationId, number>;
  /** Only conversations with after < id <= until. */
  readonly after: bigint;
  readonly until: bigint;
  /** Where more entries lie beyond the start, so many of the newest are returned; 0: all. */
  readonly newest: number;
  /** Most entries in the answer; it also ends with the text that reaches PAGE_TEXT_BYTES. */
  readonly limit: number;
}

export interface SyncResult {
  /**
   * Conversations with news; entries ascend by seq without a hole after `afterSeq`, folded to `asOf`. The last page also has, without
   * messages, conversations without anything to read that the device does not seem to know: rooms, and direct
   * conversations opened by the user.
   */
  readonly conversations: readonly {
    readonly conversation: UserConversation;
    readonly messages: readonly Message[];
    /** Beyond the cursor if entries between are skipped or not visible. */
    readonly afterSeq: number;
    readonly asOf: number;
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
  /** Ed25519 private key as a JWK, JSON text, or a JWE of it. */
  readonly privateJwk: string;
  /** Unix time from which on it signs, ms. */
  readonly signsFromMs: number;
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
  /** Creates an account; undefined if the name is taken, by a closed account too. */
  createAccount(account: NewAccount): Promise<Account | undefined>;
  findAccount(name: string): Promise<Account | undefined>;
  accountOf(user: UserId): Promise<Account | undefined>;
  /** Lists accounts by ascending id. @param after `next` of the page before; empty: the first */
  accountsPage(after: string, limit: number): Promise<Page<ListedAccount>>;
  /** Lists the bots of a user that are not closed, ascending by id. */
  botsOf(owner: UserId): Promise<readonly ListedAccount[]>;
  /** Creates a bot; as `createAccount`. BOTS_FULL: the owner has MAX_BOTS. */
  createBot(
    bot: NewAccount,
    owner: UserId,
    displayName: string,
  ): Promise<Account | 'NAME_TAKEN' | 'BOTS_FULL'>;
  /**
   * Sets the hash of a password unless the account is closed. Returns whether it did, or had done.
   *
   * @param before the hash that it must have; undefined: any
   */
  setPasswordHash(user: UserId, hash: string, before: string | undefined): Promise<boolean>;
  /** Suspends or restores a user with their bots. Returns those that now have the state; none: the account is closed. */
  setAccountState(user: UserId, state: 'active' | 'suspended'): Promise<readonly UserId[]>;
  /** Makes a user an admin of the server or not. Returns false for a bot and a closed account. */
  setAdmin(user: UserId, isAdmin: boolean): Promise<boolean>;
  /**
   * Closes an account and those of its bots in one commit: state, password, display name, sessions, identities, settings,
   * drafts and mutes go, and a closing is there for each. Returns the users; none: the hash is another one.
   *
   * @param hash the hash of the password that it must have; undefined: any. Repeated, it returns the users again
   */
  closeAccount(
    user: UserId,
    hash: string | undefined,
    retracts: boolean,
    nowMs: number,
  ): Promise<readonly UserId[]>;
  closings(): Promise<readonly Closing[]>;
  removeClosing(user: UserId): Promise<void>;
  /** Returns rooms that a user is in, at most `limit`. */
  roomsOf(user: UserId, limit: number): Promise<readonly ConversationId[]>;
  /** Returns the user of an OpenID Connect provider. */
  findIdentity(issuer: string, subject: string): Promise<Account | undefined>;
  /** Creates an account for the user of a provider; undefined if the name is taken. Of two at once, both get the first one. */
  createIdentity(issuer: string, subject: string, account: NewAccount): Promise<Account | undefined>;
  /** Returns the profiles of existing users, by id. */
  profilesOf(users: readonly UserId[]): Promise<ReadonlyMap<UserId, Profile>>;
  /** Returns the profiles that were changed since a Unix time, ms, by the clocks of the nodes that did it. */
  profilesSince(ms: number): Promise<ReadonlyMap<UserId, Profile>>;
  /**
   * Sets the display name; empty: none.
   *
   * @param ifShown only if people see this name now @returns whether it is set
   */
  setDisplayName(user: UserId, displayName: string, ifShown?: string): Promise<boolean>;
}

/** Logins and their refresh tokens. */
export interface LoginSessionStore {
  /**
   * Adds a session, in place of the least recently used one where the user has `most`. False if the account is not active.
   * Repeated, it changes nothing.
   */
  addSession(session: NewLoginSession, most: number): Promise<boolean>;
  /**
   * Uses a refresh token, in one order with other uses of the session. Undefined: there is no such token. Repeated, it has
   * the same result.
   */
  rotateSession(rotation: Rotation): Promise<Rotated | undefined>;
  /** Returns the sessions of a user that have not expired, the last used first. */
  sessionsOf(user: UserId, nowMs: number): Promise<readonly LoginSession[]>;
  /** Removes a session of a user, or all with an id up to one. */
  removeSessions(user: UserId, which: { readonly only: bigint } | { readonly upTo: bigint }): Promise<void>;
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
   * history the user sees those after it. A user who joins an empty room becomes its owner. Who joins again goes on with
   * the read cursor of before.
   *
   * @param stamp one id
   * @param device as in `createRoom`
   */
  joinRoom(
    room: ConversationId | string,
    by: AccessCheck,
    stamp: EntryStamp,
    device?: string,
  ): Promise<Joined | Refusal>;
  /**
   * Leaves a room; idempotent. The user may read earlier messages, and nothing later. If the last owner leaves, the
   * room passes to the longest-standing member of the highest role. The entry of the leave is the last one that the user
   * may not read.
   *
   * @param stamp two ids: of the leave, and of the new owner's role
   */
  leaveRoom(room: ConversationId, by: AccessCheck, stamp: EntryStamp): Promise<MemberChange | Refusal>;
  /** Removes a user; idempotent. @param stamp one id */
  removeMember(
    room: ConversationId,
    user: UserId,
    by: AccessCheck,
    stamp: EntryStamp,
  ): Promise<MemberChange | Refusal>;
  /**
   * Sets a member's role; idempotent. If the last owner steps down, the room passes on as when an owner leaves;
   * LAST_OWNER if there is no other member.
   *
   * @param stamp two ids: of the change, and of the new owner's role
   */
  setRole(
    room: ConversationId,
    user: UserId,
    role: Role,
    by: AccessCheck,
    stamp: EntryStamp,
  ): Promise<MemberChange | Refusal | 'LAST_OWNER'>;
  /**
   * Deletes a room; idempotent for the same user. Its name becomes free and nobody can read it; `erase` removes
   * its contents.
   */
  deleteRoom(room: ConversationId, by: AccessCheck): Promise<DeletedRoom | Refusal>;
  /** Lists rooms by ascending id. @param after `next` of the page before; empty: the first */
  listRooms(user: UserId, after: string, limit: number): Promise<Page<RoomSummary>>;
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
  /**
   * Lists the conversations of a user by descending activity, then id.
   *
   * @param after `next` of the page before; empty: the first. It is opaque to clients
   */
  conversationsOf(
    user: UserId,
    device: string,
    after: string,
    limit: number,
  ): Promise<Page<ListedConversation>>;
  /** Returns one conversation of a user; undefined if the user is not in it. */
  conversationOf(id: ConversationId, user: UserId, device: string): Promise<UserConversation | undefined>;
  /** Returns the roles of members above plain ones. */
  rolesOf(conversation: ConversationId): Promise<ReadonlyMap<UserId, Role>>;
  /** Lists the members by ascending user id, for one of them. @param after `next` of the page before; empty: the first */
  membersPage(
    conversation: ConversationId,
    by: AccessCheck,
    after: string,
    limit: number,
  ): Promise<(Page<{ readonly user: UserId; readonly role: Role }> & { readonly count: number }) | Refusal>;
  /** Returns the members of a conversation with their version; undefined if it has none. */
  membersOf(conversation: ConversationId): Promise<MemberList | undefined>;
  /**
   * Returns the changes since a member version; undefined if it has no members, or if there are more than
   * MAX_MEMBER_CHANGES: call `membersOf` then.
   */
  memberChanges(conversation: ConversationId, since: number): Promise<MemberChanges | undefined>;
}

/** The entries of all conversations. */
export interface LogStore {
  /**
   * Appends drafts in one commit. Returns the results in their order; a refused draft does not affect the others.
   *
   * The seqs of a conversation continue its last one without a hole, in the drafts' order, whatever other nodes append
   * at the same time. (conversation, sender, clientMsgId) is unique, also within the batch. Durable when it resolves.
   *
   * What was refused is refused again with the same code for REFUSAL_MS, on every node, whatever would become of it now.
   * Two refusals are not remembered, as they cannot change: of a conversation that does not exist, and MESSAGE_UNSTORABLE.
   *
   * A batch may be committed in several parts where its entries depend on each other, in their order.
   *
   * @param hasFeed whether to write a row of the feed
   */
  append(drafts: readonly Draft[], rules: EntryRules, hasFeed?: boolean): Promise<readonly Appended[]>;
  /**
   * Reads a page of up to `limit` entries. Former members read what came before they left: texts as of then, retractions of
   * today. The page ends with the text that reaches PAGE_TEXT_BYTES, at the side away from the point.
   */
  history(
    conversation: ConversationId,
    by: AccessCheck,
    point: HistoryPoint,
    limit: number,
  ): Promise<HistoryPage | Refusal>;
  /**
   * Returns these entries as they were appended, not folded, without checks: to push them again. A text that an erasure
   * has removed is empty; a message that was retracted has its retraction.
   */
  entriesAt(conversation: ConversationId, seqs: readonly number[]): Promise<readonly Message[]>;
  /** Lists the pinned messages that the user may read, the newest pin first: by default all, else `limit` from `start` on. */
  pinsOf(
    conversation: ConversationId,
    by: AccessCheck,
    start?: number,
    limit?: number,
  ): Promise<{ readonly pins: readonly Pin[]; readonly pinsVersion: number } | Refusal>;
  sync(request: SyncRequest): Promise<SyncResult>;
  /** Raises the floor; never lowers it, never beyond the last entry. Unpins what sinks. Returns the floor. */
  raiseFloor(conversation: ConversationId, seq: number): Promise<number>;
  /**
   * Erases at most `limit` rows of each kind of what is hidden already: messages of deleted rooms, messages in retracted ranges,
   * entries below a floor, evidence that has expired. Forgets as many refusals. Resolves with whether there may be more.
   */
  erase(limit: number, nowMs: number): Promise<boolean>;
  /**
   * Appends a RETRACT of all messages that a user has written in one of the conversations where there are any, as a member
   * or not. Undefined: there are none. 'later': the conversations that are left have MAX_RANGES.
   *
   * @param stamp one id
   */
  retractAllOf(user: UserId, stamp: EntryStamp): Promise<RetractedAll | 'later' | undefined>;
  /** Returns evidence of a conversation, ascending by seq, that has not expired. */
  evidenceOf(conversation: ConversationId, nowMs: number): Promise<readonly Evidence[]>;
}

/** Threads, and who follows them. What the user may not read the root of counts as none. */
export interface ThreadStore {
  /** Reads a page of replies. TARGET_NOT_FOUND: the root is no message of the timeline that the user may read. */
  threadOf(
    conversation: ConversationId,
    by: AccessCheck,
    root: number,
    point: Exclude<HistoryPoint, { readonly at: 'date' }>,
    limit: number,
  ): Promise<ThreadPage | Refusal | 'TARGET_NOT_FOUND'>;
  /**
   * Lists the threads that a user follows by descending activity, of all conversations or of one.
   *
   * @param after `next` of the page before; empty: the first
   */
  followedThreads(
    user: UserId,
    conversation: ConversationId | undefined,
    after: string,
    limit: number,
  ): Promise<Page<FollowedThread>>;
  /** Follows a thread from its end on, or no longer; idempotent. TARGET_NOT_FOUND: as `threadOf`. */
  followThread(
    conversation: ConversationId,
    by: AccessCheck,
    root: number,
    follows: boolean,
  ): Promise<{ readonly follows: boolean } | Refusal | 'TARGET_NOT_FOUND'>;
}

/** Cursors of devices and users. */
export interface CursorStore {
  /** Moves cursors forward; moves of non-members or backwards are ignored. */
  moveCursors(moves: readonly CursorMove[]): Promise<void>;
  /**
   * Sets the read cursor of a user and returns the conversation. CURSOR_BEYOND_END: there is no such entry yet.
   * CURSOR_EPOCH_OLD: the cursor has a greater epoch. A lower seq of the same epoch changes nothing.
   * TARGET_NOT_FOUND: the user does not follow the thread.
   */
  markRead(
    conversation: ConversationId,
    by: AccessCheck,
    cursor: {
      readonly readSeq: number;
      readonly readEpoch: number;
      readonly device: string;
      /** As in CursorMove. */
      readonly thread?: number;
    },
  ): Promise<UserConversation | Refusal | 'CURSOR_BEYOND_END' | 'CURSOR_EPOCH_OLD' | 'TARGET_NOT_FOUND'>;
  /**
   * Moves the read cursors of a user, of timelines and of the threads that they follow, to the end: in one conversation or in
   * all. Returns those that have moved.
   */
  markAllRead(user: UserId, conversation: ConversationId | undefined): Promise<readonly MovedCursor[]>;
  /** Returns the cursors of members, and what others are shown of them; users who are no members have none. */
  receiptsOf(
    members: readonly { readonly conversation: ConversationId; readonly user: UserId }[],
  ): Promise<readonly ShownReceipt[]>;
  /** The same for all members of conversations. */
  receiptsIn(conversations: readonly ConversationId[]): Promise<readonly ShownReceipt[]>;
  /**
   * Lists who has read a message and shows it, by ascending id. TARGET_NOT_FOUND: there is no such entry that the actor may
   * read. TARGET_EXPIRED: it is at or below the floor.
   *
   * @param after `next` of the page before; empty: the first
   */
  readersOf(
    conversation: ConversationId,
    by: AccessCheck,
    seq: number,
    after: string,
    limit: number,
  ): Promise<Page<UserId> | Refusal | 'TARGET_NOT_FOUND' | 'TARGET_EXPIRED'>;
}

/** Some of a user's settings, by name. */
export type SettingChanges = Partial<UserSettings>;

export interface StoredSettings {
  /** Grows with each change; 1 for those that were never changed. */
  readonly version: number;
  /** Those that the user has set; the others have their defaults. */
  readonly values: SettingChanges;
}

export interface ReadCursor {
  readonly conversation: ConversationId;
  readonly readSeq: number;
  readonly readEpoch: number;
}

export interface Mute {
  readonly conversation: ConversationId;
  /** Unix time, ms; 0: not muted. */
  readonly untilMs: number;
}

/** A text that the user has begun to write; empty: there is none. */
export interface SavedDraft {
  readonly conversation: ConversationId;
  readonly text: string;
  readonly atMs: number;
}

/** Most drafts of a user. */
export const MAX_DRAFTS = 100;

/** What the devices of a user share; mutes, drafts and settings are on the first page. */
export interface SelfPage {
  /** Ascending by conversation. */
  readonly reads: readonly ReadCursor[];
  readonly mutes: readonly Mute[];
  readonly drafts: readonly SavedDraft[];
  readonly settings: StoredSettings | undefined;
  readonly next: string | undefined;
}

/** What the devices of a user share. */
export interface SelfStore {
  /** Returns the settings of those users who have set any. */
  settingsOf(users: readonly UserId[]): Promise<ReadonlyMap<UserId, StoredSettings>>;
  /** Returns the settings that were changed since a Unix time, ms, by the clocks of the nodes that did it. */
  settingsSince(ms: number): Promise<ReadonlyMap<UserId, StoredSettings>>;
  /** Changes settings and returns all of them; undefined, and nothing is changed, if they have another version. */
  setSettings(
    user: UserId,
    changes: SettingChanges,
    ifVersion: number | undefined,
    nowMs: number,
  ): Promise<StoredSettings | undefined>;
  /** Mutes a conversation of the actor until a Unix time, ms; 0: no longer. */
  setMute(
    conversation: ConversationId,
    by: AccessCheck,
    untilMs: number,
  ): Promise<{ readonly untilMs: number } | Refusal>;
  /** Stores the actor's draft of a conversation in place of an earlier one; empty: removes it. */
  saveDraft(
    conversation: ConversationId,
    by: AccessCheck,
    text: string,
    nowMs: number,
  ): Promise<SavedDraft | Refusal | 'DRAFTS_FULL'>;
  /** Returns a page with at most `limit` read cursors. @param after `next` of the page before; empty: the first */
  selfOf(user: UserId, after: string, limit: number): Promise<SelfPage>;
}

/** When a user was there. */
export interface Seen {
  readonly user: UserId;
  /** Unix time, ms. */
  readonly atMs: number;
}

/** What two users who know of each other have in common. */
export interface Acquaintance {
  /** Whether they are in one room; else only in a direct conversation. */
  readonly sharesRoom: boolean;
}

/** Who may see whom, and when users were last seen. */
export interface PresenceStore {
  /** Returns those of the users who are in a conversation with the viewer, and the viewer. */
  acquaintancesOf(viewer: UserId, users: readonly UserId[]): Promise<ReadonlyMap<UserId, Acquaintance>>;
  /** Returns the number of members of those of the conversations that a user is in. */
  memberCountsOf(
    user: UserId,
    conversations: readonly ConversationId[],
  ): Promise<ReadonlyMap<ConversationId, number>>;
  /** Returns the number of members of conversations that have any. */
  countMembers(conversations: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, number>>;
  /** Returns when users were last seen; who never was is missing. */
  seenOf(users: readonly UserId[]): Promise<ReadonlyMap<UserId, number>>;
  /** Notes that users were there; of who is invisible, and at about the time that is stored, nothing. Each user stands there once. */
  noteSeen(seen: readonly Seen[]): Promise<void>;
}

export interface SigningKeyStore {
  /** Returns all keys, ascending by `signsFromMs`; the last one is the current one. */
  signingKeys(): Promise<readonly SigningKey[]>;
  /** Adds a key that follows the current one, `after`; empty: there is none. If another one is current, nothing happens. */
  addSigningKey(key: SigningKey, after: string): Promise<void>;
  /** Replaces the stored form of a key, unless it has changed. */
  replaceSigningKey(kid: string, privateJwk: string, by: string): Promise<void>;
  removeSigningKey(kid: string): Promise<void>;
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
    LoginSessionStore,
    RoomStore,
    ConversationStore,
    LogStore,
    ThreadStore,
    CursorStore,
    SelfStore,
    PresenceStore,
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
