/** What plain mode tells its user; the JSON printer writes it as it is, the text printer for people. */
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
      /** 'joined' answers a command; 'opened' came about on another device, and nothing has been said there yet. */
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
      /** It answers /history. */
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
      readonly members: readonly Member[];
    }
  | {
      /** The user is out of a conversation: by itself, by an owner or moderator, or because it was deleted. */
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
      /** Who removed the user or gave the role, or null. */
      readonly by: string | null;
      /** The last message before the change. */
      readonly after_seq: number;
      /** With 'role': the user's from now on. */
      readonly role?: Role;
    }
  | {
      /** All conversations of the user, or, to /room, the current one. */
      readonly event: 'rooms';
      readonly conversations: readonly {
        readonly conversation: string;
        readonly kind: ConversationKind;
        readonly name: string;
        readonly last_seq: number;
        readonly unread: number;
        readonly owner: boolean;
        /** The user's own. */
        readonly role: Role;
      }[];
    }
  | { readonly event: 'synced'; readonly messages: number }
  | {
      readonly event: 'disconnected';
      readonly code: string;
      readonly reason: string;
      /** null: there will be no retry. */
      readonly retry_in_ms: number | null;
    }
  | { readonly event: 'error'; readonly code: string; readonly message: string };

export interface Printer {
  print(event: PlainEvent): void;
  /** An own text is in the log. */
  own(conversation: string, text: string): void;
  /** Text for people that is no event. */
  note(text: string): void;
}

/** The event of a message; `history` where it answers /history. */
export function messageEvent(message: ChatMessage, history = false): PlainEvent {
  const { conversation, seq, id, from, text, atMs } = message;
  const at = new Date(atMs).toISOString();
  const event = { event: 'message', conversation, seq, id, from, text, at } as const;
  return history ? { ...event, history } : event;
}
