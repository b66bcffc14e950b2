/** What a client tells its user: answers, a discriminated union of events, and the emitter that hands them out. */

export type ConversationKind = 'direct' | 'room';

/** Of a member of a room. In a direct conversation both users are members. */
export type Role = 'owner' | 'moderator' | 'member';

/** A conversation as this user sees it; the id is an unsigned 64-bit number in decimal. */
export interface Conversation {
  readonly id: string;
  readonly kind: ConversationKind;
  /** The room's name; of a direct conversation the other user's name. */
  readonly name: string;
  readonly lastSeq: number;
  /** Messages that this user has not read, on whatever device, as of the answer. */
  readonly unread: number;
  /** This user is an owner of the room. */
  readonly isOwner: boolean;
  /** This user's. */
  readonly role: Role;
}

export interface RoomOptions {
  /** Who joins sees what is said from then on, not what was said before. @default false */
  readonly hideHistory?: boolean;
}

/** A committed message. */
export interface ChatMessage {
  readonly conversation: string;
  /** Contiguous from 1 in its conversation. */
  readonly seq: number;
  readonly id: string;
  /** The sender's user id. */
  readonly sender: string;
  /** The sender's user name. */
  readonly from: string;
  readonly clientMsgId: string;
  readonly text: string;
  /** Unix time of the commit, ms. */
  readonly atMs: number;
}

/** What became of a send. */
export interface Sent {
  readonly clientMsgId: string;
  readonly conversation: string;
  readonly seq: number;
  readonly id: string;
  readonly atMs: number;
  /** The server had it already when it came (again). */
  readonly duplicate: boolean;
}

export interface Member {
  readonly user: string;
  readonly name: string;
  readonly online: boolean;
  readonly role: Role;
}

export interface RoomListOptions {
  /** Only rooms with a greater id: the last one of the page before. @default from the first */
  readonly after?: string;
  /** 1 to 200. @default 50 */
  readonly limit?: number;
}

/** A room as the list of all rooms has it; the user need not be in it. */
export interface Room {
  readonly id: string;
  readonly name: string;
  readonly members: number;
  /** This user is in it. */
  readonly joined: boolean;
  readonly lastSeq: number;
  /** Messages that this user may read and has not; 0 where not in it. */
  readonly unread: number;
}

export interface RoomList {
  /** Ascending by id. */
  readonly rooms: readonly Room[];
  /** There are rooms with greater ids. */
  readonly more: boolean;
}

export interface HistoryOptions {
  /** Only messages before this seq; 0: from the newest. @default 0 */
  readonly beforeSeq?: number;
  /** 1 to 200. @default 50 */
  readonly limit?: number;
}

export interface History {
  /** Ascending by seq. */
  readonly messages: readonly ChatMessage[];
  /** There are older ones. */
  readonly more: boolean;
}

export interface ConnectedEvent {
  readonly type: 'connected';
  readonly session: string;
  readonly user: string;
  readonly userName: string;
  readonly device: string;
  readonly gateway: string;
  readonly connection: string;
  readonly resumed: boolean;
}

/** Each message of the user's conversations, once, ascending by seq; own sends come as `sent` instead. */
export interface MessageEvent extends ChatMessage {
  readonly type: 'message';
}

export interface SentEvent extends Sent {
  readonly type: 'sent';
}

/** A send that will not be tried again by this client. */
export interface FailedEvent {
  readonly type: 'failed';
  readonly clientMsgId: string;
  readonly conversation: string;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** Somebody else is typing in a conversation; it may fail to come, so it should be shown for some seconds only. */
export interface TypingEvent {
  readonly type: 'typing';
  readonly conversation: string;
  readonly user: string;
  readonly name: string;
  /** They have stopped without sending. */
  readonly stopped: boolean;
}

/** All that the log held when the client (re)connected or was told to synchronise has been delivered. */
export interface SyncedEvent {
  readonly type: 'synced';
  /** How many messages the synchronisation brought. */
  readonly messages: number;
}

/** The connection ended, or an attempt to get it back failed. */
export interface DisconnectedEvent {
  readonly type: 'disconnected';
  readonly code: string;
  readonly reason: string;
  /** Time until the next attempt, ms; undefined: there will be none, the client is closed. */
  readonly retryInMs: number | undefined;
}

/**
 * This user has a conversation that the client did not open, and nothing to read in it yet: it was made, opened or
 * joined on another device, or by this one before it started. Others show by their messages.
 */
export interface OpenedEvent {
  readonly type: 'opened';
  readonly conversation: string;
  readonly name: string;
  readonly kind: ConversationKind;
}

/** This user is out of a conversation; all messages of it that were theirs have come. */
export interface LeftEvent {
  readonly type: 'left';
  readonly conversation: string;
  /** The conversation's name; empty where it was never known. */
  readonly name: string;
  /** 'left' by this user, 'removed' by an owner or moderator, or the whole conversation was 'deleted'. */
  readonly reason: LeaveReason;
}

export type LeaveReason = 'left' | 'removed' | 'deleted';

/**
 * Somebody else joined a conversation or is out of it, or somebody, who may be this user, has another role there. Best
 * effort: `members` tells who is in.
 */
export interface MemberEvent {
  readonly type: 'member';
  readonly conversation: string;
  readonly change: 'joined' | 'left' | 'removed' | 'role';
  /** The user's id. */
  readonly user: string;
  readonly name: string;
  /** Name of who removed the user or gave the role; empty otherwise. */
  readonly by: string;
  /** The last message before the change. */
  readonly afterSeq: number;
  /** With 'role': the user's from now on. */
  readonly role?: Role;
}

/** Something failed that no promise reports. */
export interface ErrorEvent {
  readonly type: 'error';
  readonly code: string;
  readonly message: string;
}

export type ClientEvent =
  | ConnectedEvent
  | MessageEvent
  | SentEvent
  | FailedEvent
  | SyncedEvent
  | TypingEvent
  | OpenedEvent
  | LeftEvent
  | MemberEvent
  | DisconnectedEvent
  | ErrorEvent;

export type ClientEventOf<Type extends ClientEvent['type']> = Extract<ClientEvent, { type: Type }>;

/** Hands events to listeners, synchronously and in the order of subscription. */
export class Emitter {
  readonly #listeners = new Map<string, Set<(event: never) => void>>();
  readonly #all = new Set<(event: ClientEvent) => void>();

  /** Calls the listener for each event of a type; returns the function that ends it. */
  on<Type extends ClientEvent['type']>(
    type: Type,
    listener: (event: ClientEventOf<Type>) => void,
  ): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Calls the listener for each event; returns the function that ends it. */
  onAny(listener: (event: ClientEvent) => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  emit(event: ClientEvent): void {
    for (const listener of this.#listeners.get(event.type) ?? []) call(listener, event as never);
    for (const listener of this.#all) call(listener, event);
  }
}

/** A listener that throws must not break the reading of frames; its error stays as loud as any uncaught one. */
function call<E>(listener: (event: E) => void, event: E): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
