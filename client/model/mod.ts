/** The model of all clients: what they draw. Imports nothing but the SDK. */
export type { ChatClient } from './chat-client.ts';
export { ConversationList, type ConversationRow } from './conversation-list.ts';
export { Drafts } from './drafts.ts';
export type { Change, Refusal } from './echoes.ts';
export { MemberList } from './member-list.ts';
export { Model, type ModelOptions } from './model.ts';
export { Settings } from './settings.ts';
export { Source } from './source.ts';
export { type Link, type Self, Status } from './status.ts';
export { type MessageItem, type SystemItem, Timeline, type TimelineItem } from './timeline.ts';
export { Typing } from './typing.ts';
export { MANY } from './unread.ts';
export { type Progress, Watching } from './watching.ts';
