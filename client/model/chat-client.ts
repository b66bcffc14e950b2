/** What the model needs of a client: GochatClient, or one that another tab of the browser has connected. */
import type { GochatClient } from '../sdk/mod.ts';

export type ChatClient = Pick<
  GochatClient,
  | 'onAny'
  | 'send'
  | 'edit'
  | 'retract'
  | 'pin'
  | 'unpin'
  | 'typing'
  | 'markRead'
  | 'markUnread'
  | 'self'
  | 'watch'
  | 'mute'
  | 'saveDraft'
  | 'setSettings'
  | 'listConversations'
  | 'getConversation'
  | 'history'
  | 'pins'
  | 'members'
  | 'users'
  | 'displayName'
>;
