/** Conversions from the store's types to the wire's. */
import type { UserId } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { type Role, ROLES } from '../policy.ts';
import type { Gone, Message, UserConversation } from '../store/store.ts';

/** Names of users by id: at least those in the presented items. */
export type Names = ReadonlyMap<UserId, string>;

/** Converts a conversation for one of its members; a direct one has the name of the other user. */
export function toConversation(conversation: UserConversation, names: Names): client.Conversation {
  const isRoom = conversation.kind === 'room';
  const { lastSeq, readSeq, visibleAfterSeq, peer } = conversation;
  const unread = Math.max(0, lastSeq - Math.max(readSeq, visibleAfterSeq));
  return {
    id: conversation.id,
    kind: isRoom
      ? client.ConversationKind.CONVERSATION_KIND_ROOM
      : client.ConversationKind.CONVERSATION_KIND_DIRECT,
    name: peer === undefined ? conversation.name : (names.get(peer) ?? ''),
    lastSeq: BigInt(conversation.lastSeq),
    deliveredSeq: BigInt(conversation.deliveredSeq),
    readSeq: BigInt(conversation.readSeq),
    unread: BigInt(unread),
    owner: conversation.role === 'owner',
    role: toWireRole(conversation.role),
  };
}

const WIRE_ROLES = {
  member: client.Role.ROLE_MEMBER,
  moderator: client.Role.ROLE_MODERATOR,
  owner: client.Role.ROLE_OWNER,
} as const satisfies Record<Role, client.Role>;

export function toWireRole(role: Role): client.Role {
  return WIRE_ROLES[role];
}

/** Returns the role; undefined if it is not one. */
export function fromWireRole(role: client.Role): Role | undefined {
  return ROLES.find((each) => WIRE_ROLES[each] === role);
}

/** Converts a message of the log. */
export function toMessage(message: Message, names: Names): client.Message {
  return {
    seq: BigInt(message.seq),
    id: message.id,
    sender: message.sender,
    from: names.get(message.sender) ?? '',
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

/** Converts a conversation that the user has left. */
export function toGone(gone: Gone): client.Gone {
  return {
    conversation: gone.conversation,
    reason: REASONS[gone.reason],
    lastSeq: BigInt(gone.lastSeq),
  };
}
