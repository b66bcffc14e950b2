/** The SDK's types of the log: what stands in a conversation, and what has become of it. Ids are decimal strings. */

/** Of a member of a room. In a direct conversation both users are members. */
export type Role = 'owner' | 'moderator' | 'member';

/** What every entry of the log has. */
export interface Entry {
  readonly conversation: string;
  /** Contiguous from 1 in its conversation. */
  readonly seq: number;
  readonly id: string;
  /** User id of the author; of a 'system' entry, of who did it. */
  readonly sender: string;
  /** The sender's display name as this client knows it. It may change; `sender` does not. */
  readonly from: string;
  /** Empty for 'system'. */
  readonly clientMsgId: string;
  /** Unix time of the commit, ms. */
  readonly atMs: number;
}

/** A message. Pushed, it is as it was sent; in a page, as all entries up to the page's `asOf` have left it. */
export interface ChatMessage extends Entry {
  readonly kind: 'message';
  /** Markdown. Empty if it was retracted. */
  readonly text: string;
  /** Seq of the last entry that changed it; 0: none has. */
  readonly version: number;
  /** Of a reply: seq of the message that it quotes. */
  readonly replyTo?: number | undefined;
  /** Of a reply; missing in the entry of one's own send, where `Fold.add` fills it in. */
  readonly quote?: Quote | undefined;
  /** The message was retracted: it has no text and no quote. */
  readonly retraction?: Retraction | undefined;
  /** Of a reply in a thread: seq of the root. It does not count as unread in the timeline. */
  readonly thread?: number | undefined;
  /** In a page of `history`: of the root of a thread, as of the page. `Fold` does not keep it. */
  readonly threadSummary?: ThreadSummary | undefined;
}

/** A thread as this user sees it. */
export interface ThreadSummary {
  /** Number of replies that are kept, retracted ones included. */
  readonly replies: number;
  readonly lastSeq: number;
  /** Unix time of the last reply, ms. */
  readonly lastAtMs: number;
  /** Whether the user follows it; the next three are 0 if not. */
  readonly followed: boolean;
  /** Number of unread replies of others; 1000 stands for as many or more. */
  readonly unread: number;
  /** The user's read cursor of the thread; the epoch grows whenever it goes back. */
  readonly readSeq: number;
  readonly readEpoch: number;
}

/** A message as a reply shows it. */
export interface Quote {
  readonly seq: number;
  /** Empty if it has expired. */
  readonly sender: string;
  readonly from: string;
  /** At most 280 characters, cut at a grapheme; empty unless it is kept. */
  readonly text: string;
  /** Whether the text goes on. */
  readonly cut: boolean;
  /** 'expired': the message is no longer kept. */
  readonly state: 'kept' | 'retracted' | 'expired';
  /** As in ChatMessage. */
  readonly version: number;
}

/** How a message was retracted. */
export interface Retraction {
  /** Of the entry that retracted it. */
  readonly seq: number;
  /** User id. */
  readonly by: string;
  /** Unix time, ms. */
  readonly atMs: number;
  readonly reason: string;
}

/** The messages of one sender with fromSeq <= seq <= toSeq. */
export interface SenderRange {
  readonly sender: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

export interface Edit extends Entry {
  readonly kind: 'edit';
  /** Seq of the message; undefined: this user may not read that one. */
  readonly target: number | undefined;
  /** The whole new text; empty: it brings none, as the message was retracted since, or may not be read. */
  readonly text: string;
  /** In a page: of the message whose text it carries, as later edits may have gone into it; else its own seq. */
  readonly version: number;
}

export interface Retract extends Entry {
  readonly kind: 'retract';
  /** Seq of the message; undefined: `range` names several, or this user may not read it. */
  readonly target: number | undefined;
  readonly range: SenderRange | undefined;
  /** Empty: none was given. */
  readonly reason: string;
}

export interface PinChange extends Entry {
  readonly kind: 'pin' | 'unpin';
  /** Seq of the message; undefined: this user may not read that one. */
  readonly target: number | undefined;
}

/** What the server has recorded. */
export interface SystemEntry extends Entry {
  readonly kind: 'system';
  /** 'other': a later version of the protocol knows it. */
  readonly event: 'joined' | 'left' | 'removed' | 'role' | 'other';
  /** User id of whom it concerns. */
  readonly user: string;
  /** Display name of that user as this client knows it. */
  readonly name: string;
  /** With 'role': the user's from then on. */
  readonly role?: Role | undefined;
}

/** An entry of a kind that this client does not know: it takes its place in the order and shows nothing. */
export interface UnknownEntry extends Entry {
  readonly kind: 'unknown';
}

export type LogEntry = ChatMessage | Edit | Retract | PinChange | SystemEntry | UnknownEntry;
