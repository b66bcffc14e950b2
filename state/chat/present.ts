/** The store's terms in those of the wire. */
import { client } from '../../proto/mod.ts';
import type { Gone, Message, UserConversation } from '../store/store.ts';

/** Presents a conversation as one of its members sees it. */
export function toConversation(conversation: UserConversation): client.Conversation {
  const isRoom = conversation.kind === 'room';
  const { lastSeq, readSeq, visibleAfterSeq } = conversation;
  const unread = Math.max(0, lastSeq - Math.max(readSeq, visibleAfterSeq));
  return {
    id: conversation.id,
    kind: isRoom
      ? client.ConversationKind.CONVERSATION_KIND_ROOM
      : client.ConversationKind.CONVERSATION_KIND_DIRECT,
    name: isRoom ? conversation.name : (conversation.peerName ?? ''),
    lastSeq: BigInt(conversation.lastSeq),
    deliveredSeq: BigInt(conversation.deliveredSeq),
    readSeq: BigInt(conversation.readSeq),
    unread: BigInt(unread),
    owner: conversation.isOwner,
  };
}

/** Presents a message of the log. */
export function toMessage(message: Message): client.Message {
  return {
    seq: BigInt(message.seq),
    id: message.id,
    sender: message.sender,
    from: message.senderName,
    clientMsgId: message.clientMsgId,
    text: message.text,
    atMs: BigInt(message.atMs),
  };
}

const REASONS = {
  left: client.MemberChange.MEMBER_CHANGE_LEFT,
  removed: client.MemberChange.MEMBER_CHANGE_REMOVED,
  deleted: client.MemberChange.MEMBER_CHANGE_DELETED,
} as const;

/** Presents a conversation that the user is out of. */
export function toGone(gone: Gone): client.Gone {
  return {
    conversation: gone.conversation,
    reason: REASONS[gone.reason],
    lastSeq: BigInt(gone.lastSeq),
  };
}
