/** The SDK's public types: answers, the union of events, and the emitter. */
import type { UserSettings } from '../../proto/client.ts';
import type {
  ChatMessage,
  Edit,
  LogEntry,
  PinChange,
  Retract,
  Role,
  SystemEntry,
  ThreadSummary,
} from './entries.ts';

export type ConversationKind = 'direct' | 'room';

/** A conversation as this user sees it; the id is an unsigned 64-bit number in decimal. */
export interface Conversation {
  readonly id: string;
  readonly kind: ConversationKind;
  /** Name of the room; for a direct conversation, of the other user. */
  readonly name: string;
  readonly lastSeq: number;
  /** Number of unread messages of others over all devices, as of the answer; 1000 stands for as many or more. */
  readonly unread: number;
  /** Number of threads that the user follows with unread replies. */
  readonly threadsUnread: number;
  /** This user's. */
  readonly role: Role;
  /** Of a direct conversation: id of the other user. */
  readonly peer: string | undefined;
  /** The user's read cursor; the epoch grows whenever it goes back. */
  readonly readSeq: number;
  readonly readEpoch: number;
  /** Entries up to this seq are not for this user. */
  readonly visibleAfterSeq: number;
  /** Entries up to this seq are no longer kept. */
  readonly floorSeq: number;
  /** Seq of the last entry that changed the pins; 0: none has. */
  readonly pinsVersion: number;
  /** Unix time of the last message, else of the making, ms. */
  readonly activeAtMs: number;
  /** In a list: the last message, with the first 100 characters of its text. */
  readonly lastMessage: ChatMessage | undefined;
  /** Unix time until which the user wants no notifications, ms; 0: they are wanted. */
  readonly mutedUntilMs: number;
}

export interface ListOptions {
  /** `next` of the page before. @default the first page */
  readonly after?: string;
  /** Most items of a page. @default the server's */
  readonly limit?: number;
}

export interface ConversationList {
  /** By descending activity. */
  readonly conversations: readonly Conversation[];
  /** For `after` of the next page; undefined: this was the last. */
  readonly next: string | undefined;
}

export interface RoomOptions {
  /** Whether new members see only messages from after their join. @default false */
  readonly hideHistory?: boolean;
}

export interface ChangeOptions {
  /** 1 to 64 bytes, unique among this user's sends in the conversation: the same send again is stored once.
   * @default made by the client */
  readonly clientMsgId?: string;
}

export interface SendOptions extends ChangeOptions {
  /** Seq of the message that this one quotes. */
  readonly replyTo?: number;
  /** Seq of the root of the thread that this is a reply in; not together with `replyTo`. */
  readonly thread?: number;
}

export interface RetractOptions extends ChangeOptions {
  readonly reason?: string;
}

/** A message to be changed: by its seq or, while it may have none yet, by the client_msg_id of one's own send. */
export type Target = number | string;

/** An own entry that is stored. */
export type Sent = LogEntry & {
  /** Whether the server had it already. */
  readonly duplicate: boolean;
};

export interface Member {
  readonly user: string;
  /** The handle: unique, does not change. */
  readonly name: string;
  /** What people see; the handle if the user has set none. */
  readonly displayName: string;
  readonly online: boolean;
  readonly role: Role;
}

export interface MemberList {
  /** Ascending by id. */
  readonly members: readonly Member[];
  /** For `after` of the next page; undefined: this was the last. */
  readonly next: string | undefined;
  /** Number of all members. */
  readonly count: number;
}

/** A user's profile. */
export interface User {
  readonly id: string;
  /** The handle: unique, does not change. */
  readonly name: string;
  /** What people see; the handle if the user has set none. */
  readonly displayName: string;
}

/** A room in the list of all rooms; the user need not be a member. */
export interface Room {
  readonly id: string;
  readonly name: string;
  readonly members: number;
  /** Whether this user is a member. */
  readonly joined: boolean;
  readonly lastSeq: number;
  /** Number of unread messages; 0 for non-members. */
  readonly unread: number;
}

export interface RoomList {
  /** Ascending by id. */
  readonly rooms: readonly Room[];
  /** For `after` of the next page; undefined: this was the last. */
  readonly next: string | undefined;
}

/** Where a page of history lies; one of these, or none for the newest entries. */
export type HistoryOptions = {
  /** Most entries, 1 to 200. @default 50 */
  readonly limit?: number;
} & (
  | { readonly before?: number }
  | { readonly after: number }
  | { readonly around: number }
  | { readonly firstUnread: true }
  | { readonly date: Date }
);

/** Where a page of a thread lies; as HistoryOptions, of its replies. */
export type ThreadOptions = {
  /** Most replies, 1 to 100. @default 50 */
  readonly limit?: number;
} & (
  | { readonly before?: number }
  | { readonly after: number }
  | { readonly around: number }
  | { readonly firstUnread: true }
);

export interface History {
  /** Ascending by seq, without a hole, messages as all entries up to `asOf` have left them. */
  readonly entries: readonly LogEntry[];
  /** Whether there are older ones. */
  readonly more: boolean;
  /** Whether there are newer ones. */
  readonly moreAfter: boolean;
  /** The last seq when the page was read; for `Fold`. */
  readonly asOf: number;
  /** Seq of what `around`, `firstUnread` or `date` has found; undefined: nothing. */
  readonly anchor: number | undefined;
  /** Entries up to this seq are no longer kept. */
  readonly floorSeq: number;
}

/** A thread, named by the seq of its root. */
export interface Thread {
  readonly conversation: string;
  readonly seq: number;
  /** Undefined: it is no longer kept, and the thread takes no more replies. */
  readonly root: ChatMessage | undefined;
  /** Undefined: there is no reply. */
  readonly summary: ThreadSummary | undefined;
  /** In a list: the last reply. The texts of both have the first 100 characters there. */
  readonly last: ChatMessage | undefined;
}

export interface ThreadPage extends Thread {
  /** Replies, ascending by seq, as all entries up to `asOf` have left them. */
  readonly replies: readonly ChatMessage[];
  /** As in History. */
  readonly more: boolean;
  readonly moreAfter: boolean;
  readonly asOf: number;
  readonly anchor: number | undefined;
}

export interface ThreadList {
  /** By descending activity. */
  readonly threads: readonly Thread[];
  /** For `after` of the next page; undefined: this was the last. */
  readonly next: string | undefined;
}

export interface Pin {
  readonly message: ChatMessage;
  /** User id of who pinned it. */
  readonly by: string;
  /** Unix time, ms. */
  readonly atMs: number;
}

export interface Pins {
  /** The newest pin first; at most 100. */
  readonly pins: readonly Pin[];
  /** Seq of the last entry that changed the pins; 0: none has. */
  readonly pinsVersion: number;
}

export interface ConnectedEvent {
  readonly type: 'connected';
  readonly session: string;
  readonly user: string;
  /** The user's handle. */
  readonly userName: string;
  readonly displayName: string;
  readonly device: string;
  readonly gateway: string;
  readonly connection: string;
  readonly resumed: boolean;
}

/**
 * Each message of the user's conversations, once, ascending by seq with all other entries of the conversation. Own sends
 * come as `sent` instead; those of the user's other devices come as this. One that was edited or retracted before it
 * came has its newest `version`; the entries that changed it come later, and then change nothing (see Fold).
 */
export interface MessageEvent extends ChatMessage {
  readonly type: 'message';
}

/** A message has a new text. Apply it if its seq is greater than the message's version. */
export interface EditedEvent extends Edit {
  readonly type: 'edited';
  readonly target: number;
}

/** A message, or a range of one sender's, is out: drop its text, and its quotes. */
export interface RetractedEvent extends Retract {
  readonly type: 'retracted';
}

export interface PinnedEvent extends PinChange {
  readonly type: 'pinned';
  readonly target: number;
}

export interface UnpinnedEvent extends PinChange {
  readonly type: 'unpinned';
  readonly target: number;
}

/** The server has recorded something. */
export interface SystemEvent extends SystemEntry {
  readonly type: 'system';
}

/**
 * Entries were jumped over: nothing up to `toSeq` comes as an event any more. What you hold of the conversation up to
 * there may have changed: drop it, or fetch it anew with `history`.
 */
export interface SkippedEvent {
  readonly type: 'skipped';
  readonly conversation: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** An own entry was accepted by this client, and waits for its answer; `sent` or `failed` follows. */
export interface QueuedEvent {
  readonly type: 'queued';
  readonly conversation: string;
  readonly clientMsgId: string;
  readonly kind: EntryKind;
  /** Of a message or an edit; the reason of a retraction. */
  readonly text: string;
  /** The message that it changes. */
  readonly target: Target | undefined;
  /** Seq of the message that it quotes. */
  readonly replyTo: number | undefined;
  /** Seq of the root of the thread that it is a reply in. */
  readonly thread: number | undefined;
  /** Unix time, ms; long ago, if an earlier client has left it in the storage. */
  readonly atMs: number;
}

/** An own entry is stored; possibly before entries of others that have a lower seq. */
export type SentEvent = Sent & { readonly type: 'sent' };

/** An own entry that this client will not send again. */
export interface FailedEvent {
  readonly type: 'failed';
  readonly clientMsgId: string;
  readonly conversation: string;
  readonly kind: EntryKind;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** Kinds of entries that clients send. */
export type EntryKind = 'message' | 'edit' | 'retract' | 'pin' | 'unpin';

/** Another user is typing. The notice may be lost, so show it for some seconds only. */
export interface TypingEvent {
  readonly type: 'typing';
  readonly conversation: string;
  readonly user: string;
  readonly name: string;
  /** Whether they have stopped without sending. */
  readonly stopped: boolean;
}

/** Another user, or this one, has another display name than this client knew. */
export interface RenamedEvent {
  readonly type: 'renamed';
  readonly user: string;
  readonly displayName: string;
}

/** All entries in the log as of the (re)connect or resync have been delivered. */
export interface SyncedEvent {
  readonly type: 'synced';
  /** Number of messages that the synchronisation delivered; entries of other kinds do not count. */
  readonly messages: number;
}

/**
 * A page of the user's conversations, by descending activity. It comes before the first synchronisation, where that
 * depends on whether the device is new; of a device that is not, only the first pages come.
 */
export interface ListedEvent {
  readonly type: 'listed';
  readonly conversations: readonly Conversation[];
}

/** The connection ended, or an attempt to restore it failed. */
export interface DisconnectedEvent {
  readonly type: 'disconnected';
  readonly code: string;
  readonly reason: string;
  /** Time until the next attempt, ms; undefined: there is none and the client is closed. */
  readonly retryInMs: number | undefined;
}

/**
 * A conversation without messages that this client did not open: it was created, opened or joined on another device, or
 * earlier. Conversations with messages show by those.
 */
export interface OpenedEvent {
  readonly type: 'opened';
  readonly conversation: string;
  readonly name: string;
  readonly kind: ConversationKind;
}

/** This user is no longer in a conversation, and all its messages for the user have come. */
export interface LeftEvent {
  readonly type: 'left';
  readonly conversation: string;
  /** Name of the conversation; empty if it was never known. */
  readonly name: string;
  /** 'left' by this user, 'removed' by an owner or moderator, or the whole conversation was 'deleted'. */
  readonly reason: LeaveReason;
}

export type LeaveReason = 'left' | 'removed' | 'deleted';

/**
 * Another user has joined, left or been removed, or a role has changed. Best effort: `members` gives the current list. In
 * small rooms a `system` entry says the same.
 */
export interface MemberEvent {
  readonly type: 'member';
  readonly conversation: string;
  readonly change: 'joined' | 'left' | 'removed' | 'role';
  /** The user's id. */
  readonly user: string;
  /** Display name. */
  readonly name: string;
  /** Display name of who removed the user or gave the role; empty otherwise. */
  readonly by: string;
  /** The last message before the change. */
  readonly afterSeq: number;
  /** With 'role': the user's from now on. */
  readonly role?: Role;
}

/** All settings of the user. */
export type UserSettingsVersion = UserSettings & {
  /** Grows with each change. */
  readonly version: number;
};

/** A text that the user has begun to write; empty: there is none any more. */
export interface Draft {
  readonly conversation: string;
  readonly text: string;
  /** Unix time at which it was stored, ms. */
  readonly atMs: number;
}

/** What the user's devices share. */
export interface SharedState {
  /** The user's read cursors. */
  readonly reads: readonly {
    readonly conversation: string;
    readonly readSeq: number;
    /** Greater than before: the cursor has gone back. */
    readonly readEpoch: number;
    /** Seq of a root: it is the cursor of the thread. */
    readonly thread?: number;
  }[];
  readonly mutes: readonly {
    readonly conversation: string;
    /** Unix time, ms; 0: not muted. */
    readonly untilMs: number;
  }[];
  readonly drafts: readonly Draft[];
  /** Undefined: as before. */
  readonly settings: UserSettingsVersion | undefined;
}

/**
 * Another device of the user has changed something. Once `self` was called, the whole comes after each reconnect, as changes
 * may have been missed.
 */
export interface SelfEvent extends SharedState {
  readonly type: 'self';
  /** Whether it is the whole, else only what has changed. */
  readonly isWhole: boolean;
}

/** How a user is. */
export interface Presence {
  readonly user: string;
  /** 'idle': online, with nobody at any of the user's devices. */
  readonly status: 'online' | 'idle' | 'offline';
  /** Offline: Unix time, ms; undefined: unknown, or hidden from this user. */
  readonly lastSeenMs: number | undefined;
}

/** How far another member has received and read. */
export interface MemberReceipt {
  readonly user: string;
  readonly readSeq: number;
  /** The farthest of the user's devices. */
  readonly deliveredSeq: number;
}

/** Members of a watched conversation of up to 256 have received or read more. */
export interface ReceiptsEvent {
  readonly type: 'receipts';
  readonly conversation: string;
  readonly receipts: readonly MemberReceipt[];
}

/** Somebody has joined or left a watched conversation of more than 256 members. */
export interface MemberCountEvent {
  readonly type: 'memberCount';
  readonly conversation: string;
  /** Number of all. */
  readonly members: number;
}

export interface ReaderList {
  /** Ascending by id; who hides it is missing. */
  readonly readers: readonly User[];
  /** For `after` of the next page; undefined: this was the last. */
  readonly next: string | undefined;
}

/** The state of what is watched. */
export interface Watched {
  readonly conversations: readonly {
    readonly conversation: string;
    /** Number of all. */
    readonly members: number;
    /** Of up to 256 members: those of others who show them. */
    readonly receipts: readonly MemberReceipt[];
  }[];
  readonly users: readonly Presence[];
}

/** The whole state of what this client watches: after `watch`, and after each reconnect. */
export interface WatchedEvent extends Watched {
  readonly type: 'watched';
}

/** A watched user is another way now. */
export interface PresenceEvent extends Presence {
  readonly type: 'presence';
}

/** A failure that no promise reports. */
export interface ErrorEvent {
  readonly type: 'error';
  readonly code: string;
  readonly message: string;
}

export type ClientEvent =
  | ConnectedEvent
  | MessageEvent
  | EditedEvent
  | RetractedEvent
  | PinnedEvent
  | UnpinnedEvent
  | SystemEvent
  | SkippedEvent
  | QueuedEvent
  | SentEvent
  | FailedEvent
  | SyncedEvent
  | TypingEvent
  | RenamedEvent
  | ListedEvent
  | OpenedEvent
  | LeftEvent
  | MemberEvent
  | SelfEvent
  | WatchedEvent
  | PresenceEvent
  | ReceiptsEvent
  | MemberCountEvent
  | DisconnectedEvent
  | ErrorEvent;

export type ClientEventOf<Type extends ClientEvent['type']> = Extract<ClientEvent, { type: Type }>;

/** Emits events to listeners, synchronously, in the order of subscription. */
export class Emitter {
  readonly #listeners = new Map<string, Set<(event: never) => void>>();
  readonly #all = new Set<(event: ClientEvent) => void>();

  /** Calls the listener for each event of a type. Returns a function that unsubscribes it. */
  on<Type extends ClientEvent['type']>(
    type: Type,
    listener: (event: ClientEventOf<Type>) => void,
  ): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Calls the listener for each event. Returns a function that unsubscribes it. */
  onAny(listener: (event: ClientEvent) => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  emit(event: ClientEvent): void {
    for (const listener of this.#listeners.get(event.type) ?? []) call(listener, event as never);
    for (const listener of this.#all) call(listener, event);
  }
}

/** A throwing listener must not stop the reading of frames; its error is reported like any uncaught one. */
function call<E>(listener: (event: E) => void, event: E): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
