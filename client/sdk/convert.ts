/** Conversions between the protocol's types (64-bit numbers) and the SDK's (decimal strings). */
import type {
  Member as WireMember,
  Message,
  Conversation as WireConversation,
  Room as WireRoom,
} from '../../proto/client.ts';
import { ConversationKind, Role as WireRole } from '../../proto/client.ts';
import { ClientError } from './errors.ts';
import type { ChatMessage, Conversation, Member, Role, Room } from './events.ts';

const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** Turns the protocol's conversation into the SDK's. */
export function toConversation(wire: WireConversation): Conversation {
  return {
    id: wire.id.toString(),
    kind: wire.kind === ConversationKind.CONVERSATION_KIND_ROOM ? 'room' : 'direct',
    name: wire.name,
    lastSeq: Number(wire.lastSeq),
    unread: Number(wire.unread),
    isOwner: wire.owner,
    // A server from before roles says only who the owner is.
    role: toRole(wire.role) ?? (wire.owner ? 'owner' : 'member'),
  };
}

const WIRE_ROLES: Readonly<Record<Role, WireRole>> = {
  member: WireRole.ROLE_MEMBER,
  moderator: WireRole.ROLE_MODERATOR,
  owner: WireRole.ROLE_OWNER,
};

/** Turns the protocol's role into the SDK's; undefined for one that it does not know. */
export function toRole(wire: WireRole): Role | undefined {
  return (Object.keys(WIRE_ROLES) as Role[]).find((role) => WIRE_ROLES[role] === wire);
}

/** Turns the SDK's role into the protocol's; throws ARGUMENT_INVALID. */
export function fromRole(role: Role): WireRole {
  if (!Object.hasOwn(WIRE_ROLES, role))
    throw ClientError.local('ARGUMENT_INVALID', { details: { what: `The role ${role}` } });
  return WIRE_ROLES[role];
}

/** Turns the protocol's member into the SDK's. */
export function toMember({ user, name, online, role }: WireMember): Member {
  return { user: user.toString(), name, online, role: toRole(role) ?? 'member' };
}

/** Returns whether a string is an id: an unsigned 64-bit number in decimal, not 0. */
export function isId(id: string): boolean {
  return /^[1-9]\d{0,19}$/.test(id) && BigInt(id) <= MAX_U64;
}

/** Turns a conversation id into the key of a frame; throws ARGUMENT_INVALID. */
export function toKey(id: string): bigint {
  if (!isId(id)) throw ClientError.local('ARGUMENT_INVALID', { details: { what: `The conversation ${id}` } });
  return BigInt(id);
}

/** Turns the protocol's message into the SDK's. */
export function toChatMessage(conversation: string, message: Message): ChatMessage {
  return {
    conversation,
    seq: Number(message.seq),
    id: message.id.toString(),
    sender: message.sender.toString(),
    from: message.from,
    clientMsgId: message.clientMsgId,
    text: message.text,
    atMs: Number(message.atMs),
  };
}

/** Turns the protocol's room into the SDK's. */
export function toRoom(wire: WireRoom): Room {
  const { id, name, members, joined, lastSeq, unread } = wire;
  return { id: id.toString(), name, members, joined, lastSeq: Number(lastSeq), unread: Number(unread) };
}

/** Returns a random number other than 0. */
export function randomU64(): bigint {
  return (crypto.getRandomValues(new BigUint64Array(1))[0] as bigint) || 1n;
}

/** Returns 80 random bits, so that no two clients of a user ever share an id. */
export function randomPrefix(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return `${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}-`;
}
