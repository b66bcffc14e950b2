/** Conversions from the store's types to the wire's. */
import type { UserId } from '../../common/mod.ts';
import { client, cutQuote } from '../../proto/mod.ts';
import { type NameOf, shownName } from '../identity/profiles.ts';
import { type Role, ROLES } from '../policy.ts';
import {
  ENTRY_KINDS,
  type Extra,
  type Gone,
  type Message,
  type Profile,
  type Quote,
  type Retraction,
  type SystemEvent,
  type ThreadSummary,
  type UserConversation,
} from '../store/store.ts';

/** Profiles by user id: at least those of the presented items. */
export type ProfilesById = ReadonlyMap<UserId, Profile>;

/** Converts a conversation for one of its members; a direct one has the name of the other user. */
export function toConversation(conversation: UserConversation, profiles: ProfilesById): client.Conversation {
  const isRoom = conversation.kind === 'room';
  const { peer } = conversation;
  return {
    id: conversation.id,
    kind: isRoom
      ? client.ConversationKind.CONVERSATION_KIND_ROOM
      : client.ConversationKind.CONVERSATION_KIND_DIRECT,
    name: peer === undefined ? conversation.name : (profiles.get(peer)?.name ?? ''),
    lastSeq: BigInt(conversation.lastSeq),
    deliveredSeq: BigInt(conversation.deliveredSeq),
    readSeq: BigInt(conversation.readSeq),
    unread: BigInt(conversation.unread),
    threadsUnread: BigInt(conversation.threadsUnread),
    role: toWireRole(conversation.role),
    peer: peer ?? 0n,
    visibleAfterSeq: BigInt(conversation.visibleAfterSeq),
    floorSeq: BigInt(conversation.floorSeq),
    pinsVersion: BigInt(conversation.pinsVersion),
    activeAtMs: BigInt(conversation.activeAtMs),
    lastMessage: undefined,
    readEpoch: BigInt(conversation.readEpoch),
    mutedUntilMs: BigInt(conversation.mutedUntilMs),
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

/** Converts an entry of the log. */
export function toMessage(message: Message, nameOf: NameOf): client.Message {
  const { seq, sender, extra } = message;
  const plain: client.Message = {
    seq: BigInt(seq),
    id: message.id,
    sender,
    from: nameOf(sender),
    clientMsgId: message.clientMsgId,
    text: message.text,
    atMs: BigInt(message.atMs),
    kind: client.EntryKind.ENTRY_KIND_MESSAGE,
    version: 0n,
    target: 0n,
    quote: undefined,
    retraction: undefined,
    range: undefined,
    reason: '',
    system: undefined,
    bare: false,
    thread: 0n,
    threadSummary: message.threadSummary && toSummary(message.threadSummary),
  };
  return extra === undefined ? plain : { ...plain, ...toExtra(extra, seq, nameOf) };
}

/** Converts the summary of a thread. */
export function toSummary({ replies, lastSeq, lastAtMs, following }: ThreadSummary): client.ThreadSummary {
  return {
    replies: BigInt(replies),
    lastSeq: BigInt(lastSeq),
    lastAtMs: BigInt(lastAtMs),
    followed: following !== undefined,
    unread: BigInt(following?.unread ?? 0),
    readSeq: BigInt(following?.readSeq ?? 0),
    readEpoch: BigInt(following?.readEpoch ?? 0),
  };
}

/** Returns the users whose names an entry shows. */
export function usersIn({ sender, extra }: Message): UserId[] {
  if (extra === undefined) return [sender];
  return [sender, extra.quote?.sender, extra.system?.user].filter((user) => user !== undefined);
}

/** Returns the numbers of an entry's kind, version and target, as MESSAGE has them; seqs are 0 where it has none. */
export function numbersOf(
  { kind, version, target }: Extra,
  seq: number,
): { readonly kind: client.EntryKind; readonly version: number; readonly target: number } {
  const isMessage = kind === 'message';
  return {
    kind: ENTRY_KINDS.indexOf(kind) as client.EntryKind,
    version: kind === 'edit' || (isMessage && version > seq) ? version : 0,
    // The message that a reply quotes is in the quote.
    target: isMessage ? 0 : target,
  };
}

function toExtra(extra: Extra, seq: number, nameOf: NameOf): Partial<client.Message> {
  const { quote, retraction, range, system } = extra;
  const { kind, version, target } = numbersOf(extra, seq);
  return {
    kind,
    version: BigInt(version),
    target: BigInt(target),
    quote: quote && toQuote(quote, nameOf),
    retraction: retraction && toRetraction(retraction),
    range: range && {
      sender: range.sender,
      fromSeq: BigInt(range.fromSeq),
      toSeq: BigInt(range.toSeq),
    },
    reason: extra.reason,
    system: system && toSystem(system, nameOf),
    bare: extra.bare,
    thread: BigInt(extra.thread),
  };
}

function toQuote({ seq, state, sender, text, version }: Quote, nameOf: NameOf): client.Quote {
  const isExpired = state === 'expired';
  return {
    seq: BigInt(seq),
    sender: isExpired ? 0n : sender,
    from: isExpired ? '' : nameOf(sender),
    ...(state === 'kept' ? cutQuote(text) : { text: '', cut: false }),
    retracted: state === 'retracted',
    expired: isExpired,
    version: version > seq ? BigInt(version) : 0n,
  };
}

function toRetraction({ seq, by, atMs, reason }: Retraction): client.Retraction {
  return { seq: BigInt(seq), by, atMs: BigInt(atMs), reason };
}

const EVENTS = {
  joined: client.SystemEvent.SYSTEM_EVENT_JOINED,
  left: client.SystemEvent.SYSTEM_EVENT_LEFT,
  removed: client.SystemEvent.SYSTEM_EVENT_REMOVED,
  role: client.SystemEvent.SYSTEM_EVENT_ROLE,
} as const satisfies Record<SystemEvent['event'], client.SystemEvent>;

function toSystem({ event, user, role }: SystemEvent, nameOf: NameOf): client.System {
  return {
    event: EVENTS[event],
    user,
    name: nameOf(user),
    role: role === undefined ? client.Role.ROLE_UNSPECIFIED : toWireRole(role),
    text: '',
    untilMs: 0n,
  };
}

/** Converts a profile. */
export function toUser(id: UserId, profile: Profile): client.User {
  return { id, name: profile.name, displayName: shownName(profile) };
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
