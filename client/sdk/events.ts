/** The SDK's public types: answers, the union of events, and the emitter. */

export type ConversationKind = 'direct' | 'room';

/** Of a member of a room. In a direct conversation both users are members. */
export type Role = 'owner' | 'moderator' | 'member';

/** A conversation as this user sees it; the id is an unsigned 64-bit number in decimal. */
export interface Conversation {
  readonly id: string;
  readonly kind: ConversationKind;
  /** Name of the room; for a direct conversation, of the other user. */
  readonly name: string;
  readonly lastSeq: number;
  /** Number of unread messages over all devices, as of the answer. */
  readonly unread: number;
  /** This user is an owner of the room. */
  readonly isOwner: boolean;
  /** This user's. */
  readonly role: Role;
}

export interface RoomOptions {
  /** Whether new members see only messages from after their join. @default false */
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

/** The result of a send. */
export interface Sent {
  readonly clientMsgId: string;
  readonly conversation: string;
  readonly seq: number;
  readonly id: string;
  readonly atMs: number;
  /** Whether the server had the message already. */
  readonly duplicate: boolean;
}

export interface Member {
  readonly user: string;
  readonly name: string;
  readonly online: boolean;
  readonly role: Role;
}

export interface RoomListOptions {
  /** Only rooms with a greater id; pass the last id of the previous page. @default from the first */
  readonly after?: string;
  /** 1 to 200. @default 50 */
  readonly limit?: number;
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
  /** Whether there are further rooms. */
  readonly more: boolean;
}

export interface HistoryOptions {
  /** Only messages before this seq; 0: the newest. @default 0 */
  readonly beforeSeq?: number;
  /** 1 to 200. @default 50 */
  readonly limit?: number;
}

export interface History {
  /** Ascending by seq. */
  readonly messages: readonly ChatMessage[];
  /** Whether there are older messages. */
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

/** A send that this client will not retry. */
export interface FailedEvent {
  readonly type: 'failed';
  readonly clientMsgId: string;
  readonly conversation: string;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** Another user is typing. The notice may be lost, so show it for some seconds only. */
export interface TypingEvent {
  readonly type: 'typing';
  readonly conversation: string;
  readonly user: string;
  readonly name: string;
  /** Whether they have stopped without sending. */
  readonly stopped: boolean;
}

/** All messages in the log as of the (re)connect or resync have been delivered. */
export interface SyncedEvent {
  readonly type: 'synced';
  /** Number of messages that the synchronisation delivered. */
  readonly messages: number;
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

/** Another user has joined, left or been removed. Best effort: `members` gives the current list. */
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

/** A failure that no promise reports. */
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
