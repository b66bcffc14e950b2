/** The output of plain mode, printed as it is by the JSON printer and for people by the text printer. */
import type { ChatMessage, ConversationKind, Member, Role } from '../sdk/mod.ts';

/** The events of `--json`, one object per line. Stable: fields are added, never renamed or removed. */
export type PlainEvent =
  | {
      readonly event: 'connected';
      readonly session: string;
      /** The user's name. */
      readonly user: string;
      readonly gateway: string;
      readonly resumed: boolean;
    }
  | {
      /** 'joined' answers a command; 'opened' was done on another device, and has no messages yet. */
      readonly event: 'joined' | 'opened';
      readonly conversation: string;
      readonly name: string;
      readonly kind: ConversationKind;
    }
  | {
      readonly event: 'message';
      readonly conversation: string;
      readonly seq: number;
      readonly id: string;
      readonly from: string;
      readonly text: string;
      /** ISO 8601, UTC. */
      readonly at: string;
      /** Whether it answers /history. */
      readonly history?: true;
    }
  | {
      readonly event: 'sent';
      readonly client_msg_id: string;
      readonly conversation: string;
      readonly seq: number;
      readonly id: string;
      readonly duplicate: boolean;
    }
  | {
      readonly event: 'failed';
      readonly client_msg_id: string;
      readonly code: string;
      readonly message: string;
      readonly retryable: boolean;
    }
  | {
      readonly event: 'members';
      readonly conversation: string;
      readonly members: readonly ListedMember[];
    }
  | {
      /** The user is no longer in a conversation: it left, was removed by the owner, or the room was deleted. */
      readonly event: 'left' | 'removed' | 'deleted';
      readonly conversation: string;
      readonly name: string;
    }
  | {
      /** Somebody else joined or is out, or anybody has another role. */
      readonly event: 'member';
      readonly conversation: string;
      readonly change: 'joined' | 'left' | 'removed' | 'role';
      readonly user: string;
      /** Name of who removed the user or gave the role, or null. */
      readonly by: string | null;
      /** The last message before the change. */
      readonly after_seq: number;
      /** With 'role': the user's from now on. */
      readonly role?: Role;
    }
  | {
      /** All conversations of the user, or, to /room, the current one. */
      readonly event: 'rooms';
      readonly conversations: readonly Listed[];
    }
  | { readonly event: 'synced'; readonly messages: number }
  | {
      readonly event: 'disconnected';
      readonly code: string;
      readonly reason: string;
      /** null: no retry. */
      readonly retry_in_ms: number | null;
    }
  | { readonly event: 'error'; readonly code: string; readonly message: string };

/** A conversation of the user. */
export interface Listed {
  readonly conversation: string;
  readonly kind: ConversationKind;
  readonly name: string;
  readonly last_seq: number;
  readonly unread: number;
  readonly owner: boolean;
  /** The user's own. */
  readonly role: Role;
}

export interface ListedMember extends Omit<Member, 'displayName'> {
  readonly display_name: string;
}

export interface Printer {
  print(event: PlainEvent): void;
  /** One of the user's own texts is in the log. */
  own(conversation: string, text: string): void;
  /** Text for people, not an event. */
  note(text: string): void;
}

/** Returns the event of a message. @param history whether it answers /history */
export function messageEvent(message: ChatMessage, history = false): PlainEvent {
  const { conversation, seq, id, from, text, atMs } = message;
  const at = new Date(atMs).toISOString();
  const event = { event: 'message', conversation, seq, id, from, text, at } as const;
  return history ? { ...event, history } : event;
}
