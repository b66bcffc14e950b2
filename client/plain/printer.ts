/** The output of plain mode, printed as it is by the JSON printer and for people by the text printer. */
import type {
  ChatMessage,
  Conversation,
  ConversationKind,
  GochatClient,
  LogEntry,
  Member,
  MemberReceipt,
  Pin,
  Presence,
  Role,
  Sent,
  SystemEntry,
  Thread,
  ThreadSummary,
  UserSettingsVersion,
} from '../sdk/mod.ts';

/** What an entry of the log has in JSON, whatever its kind. */
interface EntryFields {
  readonly conversation: string;
  readonly seq: number;
  readonly id: string;
  /** Display name of the author; of 'system', of who did it. */
  readonly from: string;
  /** The author's user id. */
  readonly sender: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Whether it answers /history. */
  readonly history?: true;
}

/** The events of `--json`, one object per line. Stable: fields are added, never renamed or removed. docs/line-client.md. */
export type PlainEvent =
  | {
      readonly event: 'connected';
      readonly session: string;
      /** The user's name. */
      readonly user: string;
      readonly display_name: string;
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
  | MessageLine
  | (EntryFields & {
      readonly event: 'edited';
      /** Seq of the message. */
      readonly target: number;
      readonly text: string;
      readonly version: number;
    })
  | (EntryFields & {
      readonly event: 'retracted';
      /** Seq of the message; null: `range` says which ones. */
      readonly target: number | null;
      readonly range: { readonly sender: string; readonly from_seq: number; readonly to_seq: number } | null;
      readonly reason: string;
    })
  | (EntryFields & { readonly event: 'pinned' | 'unpinned'; readonly target: number })
  | (EntryFields & {
      readonly event: 'system';
      readonly what: SystemEntry['event'];
      /** Display name, and id, of whom it concerns. */
      readonly user: string;
      readonly user_id: string;
      /** With 'role': the user's from then on. */
      readonly role?: Role;
    })
  | {
      /** Entries were jumped over: what is held of the conversation up to `to_seq` may be out of date. */
      readonly event: 'skipped';
      readonly conversation: string;
      readonly from_seq: number;
      readonly to_seq: number;
    }
  | {
      readonly event: 'sent';
      readonly client_msg_id: string;
      readonly conversation: string;
      readonly seq: number;
      readonly id: string;
      readonly duplicate: boolean;
      readonly kind: Sent['kind'];
      /** Seq of the message that is changed, pinned or quoted, where there is one. */
      readonly target?: number;
    }
  | {
      readonly event: 'failed';
      readonly client_msg_id: string;
      readonly code: string;
      readonly message: string;
      readonly retryable: boolean;
      readonly kind: Sent['kind'];
    }
  | {
      /** After the entries that answer /history. */
      readonly event: 'history';
      readonly conversation: string;
      /** Whether there are older ones, and newer ones. */
      readonly more: boolean;
      readonly more_after: boolean;
      /** What `around`, `unread` or `date` has found. */
      readonly anchor_seq: number | null;
    }
  | {
      readonly event: 'pins';
      readonly conversation: string;
      /** The newest pin first. */
      readonly pins: readonly ListedPin[];
      readonly pins_version: number;
    }
  | {
      /** By ascending id, at most 1000. */
      readonly event: 'members';
      readonly conversation: string;
      readonly members: readonly ListedMember[];
      /** Number of all. */
      readonly count: number;
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
      /** Display name. */
      readonly user: string;
      /** Display name of who removed the user or gave the role, or null. */
      readonly by: string | null;
      /** The last entry before the change. */
      readonly after_seq: number;
      /** With 'role': the user's from now on. */
      readonly role?: Role;
    }
  | {
      /** The answer to /role, though the user may have had the role before. */
      readonly event: 'role';
      readonly conversation: string;
      readonly user: string;
      readonly role: Role;
    }
  | {
      /** 'rooms': all conversations of the user, or, to /room, the current one. 'listed': those of a new device, page by page. */
      readonly event: 'rooms' | 'listed';
      readonly conversations: readonly Listed[];
    }
  | {
      /** A page of the user's conversations, the most active first. */
      readonly event: 'conversations';
      readonly conversations: readonly Listed[];
      /** For /conversations, or null. */
      readonly next: string | null;
    }
  | {
      /** The user's profile, as the answer to /nick. */
      readonly event: 'profile';
      readonly user: string;
      readonly display_name: string;
    }
  | {
      /** Somebody has another display name. */
      readonly event: 'renamed';
      readonly user_id: string;
      readonly display_name: string;
    }
  | {
      /** A text that the user has begun to write, here or on another device; empty: there is none any more. */
      readonly event: 'draft';
      readonly conversation: string;
      readonly text: string;
      readonly at: string;
    }
  | {
      /** Notifications are not wanted until then, Unix time in ms; 0: they are. Done here or on another device. */
      readonly event: 'mute';
      readonly conversation: string;
      readonly until_ms: number;
    }
  | {
      /**
       * The user has read up to there on another device; under a greater epoch, what comes after it is unread again. The answer to
       * /unread, too, with the number of unread messages.
       */
      readonly event: 'read';
      readonly conversation: string;
      readonly read_seq: number;
      readonly read_epoch: number;
      readonly unread?: number;
      /** The cursor is that of the thread with this root; of the answer to /read-thread. */
      readonly thread?: number;
      readonly threads_unread?: number;
    }
  | {
      readonly event: 'read_all';
      /** Null: in all. */
      readonly conversation: string | null;
    }
  | {
      /** After the replies that /thread shows. */
      readonly event: 'thread';
      readonly conversation: string;
      /** Its seq. */
      readonly root: number;
      readonly summary: ThreadSummaryLine | null;
      readonly more: boolean;
    }
  | {
      readonly event: 'threads';
      readonly threads: readonly ThreadLine[];
      readonly next: string | null;
    }
  | {
      readonly event: 'followed';
      readonly conversation: string;
      readonly thread: number;
      readonly followed: boolean;
    }
  | (SettingsLine & { readonly event: 'settings' })
  | {
      /** What is watched, as of now: the answer to /watch, /away and /back, and after each reconnect. */
      readonly event: 'watched';
      readonly conversations: readonly {
        readonly conversation: string;
        readonly members: number;
        readonly receipts: readonly ReceiptLine[];
      }[];
      readonly users: readonly PresenceLine[];
    }
  | {
      /** Members of a watched conversation of up to 256 have received or read more. */
      readonly event: 'receipts';
      readonly conversation: string;
      readonly receipts: readonly ReceiptLine[];
    }
  | {
      /** Somebody has joined or left a watched conversation of more than 256. */
      readonly event: 'member_count';
      readonly conversation: string;
      readonly members: number;
    }
  | {
      /** Who has read a message, at most 1000, by ascending id. */
      readonly event: 'readers';
      readonly conversation: string;
      readonly seq: number;
      readonly readers: readonly {
        readonly user: string;
        readonly name: string;
        readonly display_name: string;
      }[];
      /** Whether there are more. */
      readonly more: boolean;
    }
  /** A watched user is another way now; or the answer to /status. */
  | (PresenceLine & { readonly event: 'presence' })
  /** The password was changed. */
  | { readonly event: 'password' }
  | {
      /** The answer to /sessions and /endsession: the last used first. */
      readonly event: 'sessions';
      readonly sessions: readonly {
        readonly id: string;
        readonly client: string;
        readonly address: string;
        readonly created_at: string;
        readonly used_at: string;
        readonly current: boolean;
      }[];
    }
  | (BotLine & { readonly event: 'bot'; readonly token: string })
  | { readonly event: 'bots'; readonly bots: readonly BotLine[] }
  /** A bot was closed; null: the account. */
  | { readonly event: 'closed'; readonly name: string | null }
  | { readonly event: 'synced'; readonly messages: number }
  | {
      readonly event: 'disconnected';
      readonly code: string;
      readonly reason: string;
      /** null: no retry. */
      readonly retry_in_ms: number | null;
    }
  | { readonly event: 'error'; readonly code: string; readonly message: string };

/** All settings of the user. */
export type SettingsLine = UserSettingsVersion;

export interface BotLine {
  readonly id: string;
  readonly name: string;
  readonly display_name: string;
}

export interface MessageLine extends EntryFields {
  readonly event: 'message';
  readonly text: string;
  /** Seq of the last entry that changed it; 0: none has. */
  readonly version: number;
  /** Of a reply. */
  readonly quote?: {
    readonly seq: number;
    readonly sender: string;
    readonly from: string;
    readonly text: string;
    readonly cut: boolean;
    readonly state: 'kept' | 'retracted' | 'expired';
  };
  /** Of a reply in a thread: the root's seq. */
  readonly thread?: number;
  /** In history, of the root of a thread. */
  readonly thread_summary?: ThreadSummaryLine;
  /** Without text and quote. */
  readonly retraction?: {
    readonly seq: number;
    readonly by: string;
    readonly at: string;
    readonly reason: string;
  };
}

/** A thread as the user sees it. */
export interface ThreadSummaryLine {
  readonly replies: number;
  readonly last_seq: number;
  readonly last_at: string;
  readonly followed: boolean;
  readonly unread: number;
  readonly read_seq: number;
  readonly read_epoch: number;
}

/** A thread that the user follows. */
export interface ThreadLine {
  readonly conversation: string;
  /** Of the root. */
  readonly seq: number;
  /** Null: it is no longer kept. */
  readonly root: MessageLine | null;
  readonly summary: ThreadSummaryLine | null;
  readonly last: MessageLine | null;
}

/** A conversation of the user. */
export interface Listed {
  readonly conversation: string;
  readonly kind: ConversationKind;
  readonly name: string;
  readonly last_seq: number;
  readonly unread: number;
  readonly threads_unread: number;
  readonly owner: boolean;
  /** The user's own. */
  readonly role: Role;
  /** Of a list: the last message, with the beginning of its text. */
  readonly last_message?: MessageLine;
}

export interface ListedMember extends Omit<Member, 'displayName'> {
  readonly display_name: string;
  /** Online, with nobody at any of the user's devices; known of the first 500 who are online. */
  readonly idle: boolean;
}

/** How far another member has received and read. */
export interface ReceiptLine {
  readonly user_id: string;
  readonly read_seq: number;
  readonly delivered_seq: number;
}

/** How a user is. */
export interface PresenceLine {
  readonly user_id: string;
  /** Display name, as far as it is known. */
  readonly user: string | null;
  readonly status: Presence['status'];
  /** ISO 8601, UTC; null: online, unknown or hidden. */
  readonly last_seen: string | null;
}

export interface ListedPin {
  readonly seq: number;
  readonly from: string;
  readonly text: string;
  /** User id of who pinned it. */
  readonly by: string;
  readonly at: string;
}

export interface Printer {
  print(event: PlainEvent): void;
  /** An entry of the user's own is in the log. */
  own(sent: Sent): void;
  /** Text for people, not an event. */
  note(text: string): void;
}

/** Returns the event of an entry; undefined where there is nothing to show. @param history whether it answers /history */
export function entryEvent(entry: LogEntry, history = false): PlainEvent | undefined {
  const { conversation, seq, id, from, sender, atMs } = entry;
  const at = new Date(atMs).toISOString();
  const fields = { conversation, seq, id, from, sender, at, ...(history && { history }) };
  switch (entry.kind) {
    case 'message':
      return messageLine(entry, history);
    case 'edit': {
      const { target, text, version } = entry;
      return target === undefined || text === ''
        ? undefined
        : { event: 'edited', ...fields, target, text, version };
    }
    case 'retract': {
      const { target = null, reason } = entry;
      const range = entry.range && {
        sender: entry.range.sender,
        from_seq: entry.range.fromSeq,
        to_seq: entry.range.toSeq,
      };
      if (target === null && range === undefined) return undefined;
      return { event: 'retracted', ...fields, target, range: range ?? null, reason };
    }
    case 'pin':
    case 'unpin': {
      const { target } = entry;
      const event = entry.kind === 'pin' ? 'pinned' : 'unpinned';
      return target === undefined ? undefined : { event, ...fields, target };
    }
    case 'system': {
      const { event: what, name: user, user: user_id, role } = entry;
      return { event: 'system', ...fields, what, user, user_id, ...(role !== undefined && { role }) };
    }
    default:
      return undefined;
  }
}

/** Returns the event of a message. */
export function messageLine(message: ChatMessage, history = false): MessageLine {
  const {
    conversation,
    seq,
    id,
    from,
    sender,
    text,
    atMs,
    version,
    quote,
    retraction,
    thread,
    threadSummary,
  } = message;
  return {
    event: 'message',
    conversation,
    seq,
    id,
    from,
    sender,
    text,
    at: new Date(atMs).toISOString(),
    version,
    ...(quote && {
      quote: {
        seq: quote.seq,
        sender: quote.sender,
        from: quote.from,
        text: quote.text,
        cut: quote.cut,
        state: quote.state,
      },
    }),
    ...(retraction && {
      retraction: {
        seq: retraction.seq,
        by: retraction.by,
        at: new Date(retraction.atMs).toISOString(),
        reason: retraction.reason,
      },
    }),
    ...(thread !== undefined && { thread }),
    ...(threadSummary && { thread_summary: toSummaryLine(threadSummary) }),
    ...(history && { history }),
  };
}

export function toSummaryLine(summary: ThreadSummary): ThreadSummaryLine {
  const { replies, lastSeq: last_seq, lastAtMs, followed, unread, readSeq, readEpoch } = summary;
  const last_at = new Date(lastAtMs).toISOString();
  return { replies, last_seq, last_at, followed, unread, read_seq: readSeq, read_epoch: readEpoch };
}

export function toThreadLine({ conversation, seq, root, summary, last }: Thread): ThreadLine {
  return {
    conversation,
    seq,
    root: root ? messageLine(root) : null,
    summary: summary ? toSummaryLine(summary) : null,
    last: last ? messageLine(last) : null,
  };
}

export function toListed(conversation: Conversation): Listed {
  const { id, kind, name, lastSeq, unread, threadsUnread, role, lastMessage } = conversation;
  return {
    conversation: id,
    kind,
    name,
    last_seq: lastSeq,
    unread,
    threads_unread: threadsUnread,
    owner: role === 'owner',
    role,
    ...(lastMessage && { last_message: messageLine(lastMessage) }),
  };
}

export function toReceiptLine({ user, readSeq, deliveredSeq }: MemberReceipt): ReceiptLine {
  return { user_id: user, read_seq: readSeq, delivered_seq: deliveredSeq };
}

export function toPresenceLine(
  client: Pick<GochatClient, 'displayName'>,
  { user, status, lastSeenMs }: Presence,
): PresenceLine {
  const last_seen = lastSeenMs === undefined ? null : new Date(lastSeenMs).toISOString();
  return { user_id: user, user: client.displayName(user) ?? null, status, last_seen };
}

export function toListedMember(
  { displayName: display_name, ...member }: Member,
  idle: boolean,
): ListedMember {
  return { ...member, display_name, idle };
}

export function toSettingsLine({
  version,
  last_seen,
  invisible,
  receipts,
  notifications,
  language,
  status_text,
}: UserSettingsVersion): SettingsLine {
  return { version, last_seen, invisible, receipts, notifications, language, status_text };
}

export function toListedPin({ message: { seq, from, text }, by, atMs }: Pin): ListedPin {
  return { seq, from, text, by, at: new Date(atMs).toISOString() };
}
