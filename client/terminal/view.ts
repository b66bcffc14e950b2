/** What the screens show, as plain data: who fills it knows the model, who draws it knows cells. */
import type { Row } from './row.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How a person is; 'unknown' where there is no connection. */
export type Presence = 'online' | 'idle' | 'offline' | 'unknown';

export interface SidebarRow {
  /** 1 to 9, by which keys reach it. */
  readonly number: number | undefined;
  /** `#` of rooms, or how the person is. */
  readonly mark: '#' | '&' | Presence | '';
  readonly name: string;
  readonly hasDraft: boolean;
  readonly isMuted: boolean;
  readonly mentions: number;
  /** Unread replies in threads that one follows. */
  readonly threads: number;
  readonly unread: number;
  readonly isCurrent: boolean;
}

export interface SidebarSection {
  readonly title: string;
  readonly rows: readonly SidebarRow[];
}

export interface Sidebar {
  readonly me: string;
  readonly presence: Presence;
  readonly sections: readonly SidebarSection[];
  /** At its end, such as how many requests there are. */
  readonly notes: readonly string[];
}

/** 'sent': the server has it; 'delivered', 'read': to all others. */
export type Receipt = 'queued' | 'sent' | 'delivered' | 'read' | 'refused' | '';

export interface MessageView {
  readonly kind: 'message';
  readonly key: string;
  /** HH:MM; empty: as the message above. */
  readonly time: string;
  readonly authorId: string;
  /** Empty: as the message above. */
  readonly author: string;
  readonly isBot: boolean;
  readonly mentionsMe: boolean;
  readonly quote: { readonly author: string; readonly text: string } | undefined;
  /** Markdown, with the names of those whom it mentions. */
  readonly text: string;
  readonly isEdited: boolean;
  /** Such as `[sky.jpg 640 kB]`. */
  readonly files: readonly string[];
  readonly reactions: readonly string[];
  /** Such as `read by 3 of 7`. */
  readonly note: string;
  /** Such as `7 replies, 2 new`. */
  readonly thread: string;
  readonly receipt: Receipt;
  /** Why it was refused, and what can be done. */
  readonly refusal: { readonly reason: string; readonly remedy: string } | undefined;
}

export interface EventView {
  readonly kind: 'event';
  readonly key: string;
  readonly time: string;
  /** Of whom it was; `·`: of the server. */
  readonly author: string;
  readonly authorId: string;
  readonly text: string;
}

export interface LineView {
  readonly kind: 'line';
  readonly key: string;
  readonly text: string;
  readonly isUnread: boolean;
}

export type ItemView = MessageView | EventView | LineView;

export interface Mode {
  readonly text: string;
  /** Such as `Esc cancels`. */
  readonly hint: string;
}

export interface InputView {
  /** Such as `[demo]`. */
  readonly prompt: string;
  readonly text: string;
  /** Offset of the cursor in the text. */
  readonly cursor: number;
  /** Below it, such as how many lines it has. */
  readonly hint: string;
  /** Long pasted texts are folded to this. */
  readonly fold: string | undefined;
}

export interface Popup {
  readonly rows: readonly Row[];
  readonly cursor: { readonly x: number; readonly y: number } | undefined;
}

export interface StatusView {
  /** Short and long. */
  readonly link: readonly [string, string];
  readonly isOffline: boolean;
  /** Who types. */
  readonly typing: string;
  /** What is unread elsewhere. */
  readonly unread: string;
  readonly help: string;
}

export interface ChatView {
  readonly sidebar: Sidebar;
  readonly title: { readonly name: string; readonly topic: string; readonly right: string };
  /** Drawn rows of the timeline, of exactly the width of `layout`. */
  readonly timeline: readonly Row[];
  /** Over the last rows of the timeline. */
  readonly over: readonly Row[];
  /** In the middle of the screen, over everything. */
  readonly popup: Popup | undefined;
  readonly status: StatusView;
  readonly mode: Mode | undefined;
  readonly input: InputView;
}
