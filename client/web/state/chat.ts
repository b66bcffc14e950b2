/** The client and the model of who is signed in, for all components of the chat. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { TabClient } from '../../browser/mod.ts';
import type { ConversationRow, Model } from '../../model/mod.ts';

export interface ChatParts {
  readonly client: TabClient;
  readonly model: Model;
}

export const ChatContext = createContext<ChatParts | undefined>(undefined);

export function useChat(): ChatParts {
  const chat = useContext(ChatContext);
  if (chat === undefined) throw new Error('outside of the chat');
  return chat;
}

/** What stands for a conversation in a sentence. */
export function titleOf({ kind, title }: ConversationRow): string {
  return kind === 'room' ? `#${title}` : title;
}

/** Display name of a user, as far as it is known. */
export function nameOf({ client }: ChatParts, user: string): string {
  return client.displayName(user) ?? '…';
}

/** Joins a room; what was written before is not news. Rejects with a ClientError. */
export async function joinRoom({ client, model }: ChatParts, id: string): Promise<void> {
  const room = await client.joinRoom(id);
  model.conversations.put(room);
  model.conversations.read(room.id, room.lastSeq);
}
