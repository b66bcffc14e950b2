/** Conversions between the protocol's types (64-bit numbers) and the SDK's (decimal strings). */
import type {
  Conversation as WireConversation,
  HistoryPoint,
  Member as WireMember,
  Message,
  Quote as WireQuote,
  Room as WireRoom,
  Thread as WireThread,
  ThreadSummary as WireSummary,
  User as WireUser,
} from '../../proto/client.ts';
import {
  ConversationKind,
  EntryKind as WireKind,
  Role as WireRole,
  SystemEvent as WireSystemEvent,
} from '../../proto/client.ts';
import type { ChatMessage, Entry, LogEntry, Quote, Role, SystemEntry, ThreadSummary } from './entries.ts';
import { ClientError } from './errors.ts';
import type { Conversation, EntryKind, HistoryOptions, Member, Room, Thread, User } from './events.ts';
import type { Names } from './names.ts';

const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** Turns the protocol's conversation into the SDK's. */
export function toConversation(wire: WireConversation, names: Names): Conversation {
  const { lastMessage } = wire;
  const id = wire.id.toString();
  return {
    id,
    kind: wire.kind === ConversationKind.CONVERSATION_KIND_ROOM ? 'room' : 'direct',
    name: wire.name,
    lastSeq: Number(wire.lastSeq),
    unread: Number(wire.unread),
    threadsUnread: Number(wire.threadsUnread),
    role: toRole(wire.role) ?? 'member',
    peer: wire.peer === 0n ? undefined : wire.peer.toString(),
    readSeq: Number(wire.readSeq),
    readEpoch: Number(wire.readEpoch),
    visibleAfterSeq: Number(wire.visibleAfterSeq),
    floorSeq: Number(wire.floorSeq),
    pinsVersion: Number(wire.pinsVersion),
    activeAtMs: Number(wire.activeAtMs),
    lastMessage: lastMessage && toMessage(id, lastMessage, names),
    mutedUntilMs: Number(wire.mutedUntilMs),
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

/** The kinds of entries on the wire. */
export const WIRE_KINDS: Readonly<Record<EntryKind | 'system', WireKind>> = {
  message: WireKind.ENTRY_KIND_MESSAGE,
  edit: WireKind.ENTRY_KIND_EDIT,
  retract: WireKind.ENTRY_KIND_RETRACT,
  pin: WireKind.ENTRY_KIND_PIN,
  unpin: WireKind.ENTRY_KIND_UNPIN,
  system: WireKind.ENTRY_KIND_SYSTEM,
};

const SYSTEM_EVENTS: { readonly [event: number]: SystemEntry['event'] | undefined } = {
  [WireSystemEvent.SYSTEM_EVENT_JOINED]: 'joined',
  [WireSystemEvent.SYSTEM_EVENT_LEFT]: 'left',
  [WireSystemEvent.SYSTEM_EVENT_REMOVED]: 'removed',
  [WireSystemEvent.SYSTEM_EVENT_ROLE]: 'role',
};

/** Turns the protocol's entry into the SDK's. */
export function toEntry(conversation: string, wire: Message, names: Names): LogEntry {
  const target = wire.target === 0n ? undefined : Number(wire.target);
  switch (wire.kind) {
    case WireKind.ENTRY_KIND_MESSAGE:
      return toMessage(conversation, wire, names);
    case WireKind.ENTRY_KIND_EDIT: {
      const version = Number(wire.version || wire.seq);
      return { ...base(conversation, wire, names), kind: 'edit', target, text: wire.text, version };
    }
    case WireKind.ENTRY_KIND_RETRACT: {
      const range = wire.range && {
        sender: wire.range.sender.toString(),
        fromSeq: Number(wire.range.fromSeq),
        toSeq: Number(wire.range.toSeq),
      };
      return { ...base(conversation, wire, names), kind: 'retract', target, range, reason: wire.reason };
    }
    case WireKind.ENTRY_KIND_PIN:
      return { ...base(conversation, wire, names), kind: 'pin', target };
    case WireKind.ENTRY_KIND_UNPIN:
      return { ...base(conversation, wire, names), kind: 'unpin', target };
    case WireKind.ENTRY_KIND_SYSTEM: {
      const { event = 0, user = 0n, name = '', role = WireRole.ROLE_UNSPECIFIED } = wire.system ?? {};
      return {
        ...base(conversation, wire, names),
        kind: 'system',
        event: SYSTEM_EVENTS[event] ?? 'other',
        user: user.toString(),
        name: names.note(user, name),
        role: toRole(role),
      };
    }
    default:
      return { ...base(conversation, wire, names), kind: 'unknown' };
  }
}

function base(conversation: string, wire: Message, names: Names): Entry {
  return {
    conversation,
    seq: Number(wire.seq),
    id: wire.id.toString(),
    sender: wire.sender.toString(),
    from: names.note(wire.sender, wire.from),
    clientMsgId: wire.clientMsgId,
    atMs: Number(wire.atMs),
  };
}

/** Turns the protocol's message, an entry of kind MESSAGE, into the SDK's. */
export function toMessage(conversation: string, wire: Message, names: Names): ChatMessage {
  const { text, quote, retraction } = wire;
  return {
    ...base(conversation, wire, names),
    kind: 'message',
    text,
    version: Number(wire.version),
    ...(quote && { replyTo: Number(quote.seq), quote: toQuote(quote, names) }),
    ...(retraction && {
      retraction: {
        seq: Number(retraction.seq),
        by: retraction.by.toString(),
        atMs: Number(retraction.atMs),
        reason: retraction.reason,
      },
    }),
    ...(wire.thread !== 0n && { thread: Number(wire.thread) }),
    ...(wire.threadSummary && { threadSummary: toSummary(wire.threadSummary) }),
  };
}

/** Turns the protocol's summary of a thread into the SDK's. */
export function toSummary(wire: WireSummary): ThreadSummary {
  return {
    replies: Number(wire.replies),
    lastSeq: Number(wire.lastSeq),
    lastAtMs: Number(wire.lastAtMs),
    followed: wire.followed,
    unread: Number(wire.unread),
    readSeq: Number(wire.readSeq),
    readEpoch: Number(wire.readEpoch),
  };
}

/** Turns the protocol's thread into the SDK's. */
export function toThread({ conversation, seq, root, summary, last }: WireThread, names: Names): Thread {
  const id = conversation.toString();
  return {
    conversation: id,
    seq: Number(seq),
    root: root && toMessage(id, root, names),
    summary: summary && toSummary(summary),
    last: last && toMessage(id, last, names),
  };
}

function toQuote(wire: WireQuote, names: Names): Quote {
  const { seq, sender, text, cut, retracted, expired, version } = wire;
  return {
    seq: Number(seq),
    sender: sender === 0n ? '' : sender.toString(),
    from: names.note(sender, wire.from),
    text,
    cut,
    state: expired ? 'expired' : retracted ? 'retracted' : 'kept',
    version: Number(version),
  };
}

/** Turns the protocol's member into the SDK's. */
export function toMember({ user, name, displayName, online, role }: WireMember, names: Names): Member {
  return {
    user: user.toString(),
    name,
    displayName: names.note(user, displayName || name),
    online,
    role: toRole(role) ?? 'member',
  };
}

/** Turns the protocol's user into the SDK's. */
export function toUser({ id, name, displayName }: WireUser, names: Names): User {
  return { id: id.toString(), name, displayName: names.note(id, displayName || name) };
}

/** Turns the protocol's room into the SDK's. */
export function toRoom(wire: WireRoom): Room {
  const { id, name, members, joined, lastSeq, unread } = wire;
  return { id: id.toString(), name, members, joined, lastSeq: Number(lastSeq), unread: Number(unread) };
}

/** Turns the SDK's point of history into the protocol's; undefined: the newest entries. Throws ARGUMENT_INVALID. */
export function toPoint(options: HistoryOptions): HistoryPoint | undefined {
  if ('after' in options) return { point: { $case: 'afterSeq', afterSeq: toSeq(options.after) } };
  if ('around' in options) return { point: { $case: 'aroundSeq', aroundSeq: toSeq(options.around) } };
  if ('firstUnread' in options) return { point: { $case: 'firstUnread', firstUnread: true } };
  if ('date' in options) return { point: { $case: 'dateMs', dateMs: toSeq(options.date.getTime()) } };
  if (options.before === undefined) return undefined;
  return { point: { $case: 'beforeSeq', beforeSeq: toSeq(options.before) } };
}

/** Turns a seq into the protocol's; throws ARGUMENT_INVALID. */
export function toSeq(seq: number): bigint {
  if (!Number.isSafeInteger(seq) || seq < 0)
    throw ClientError.local('ARGUMENT_INVALID', { details: { what: `The number ${seq}` } });
  return BigInt(seq);
}

/** Returns whether a string is an id: an unsigned 64-bit number in decimal, not 0. */
export function isId(id: string): boolean {
  return /^[1-9]\d{0,19}$/.test(id) && BigInt(id) <= MAX_U64;
}

/** Turns the id of a conversation or a user into the protocol's; throws ARGUMENT_INVALID. */
export function toKey(id: string, what = 'The conversation'): bigint {
  if (!isId(id)) throw ClientError.local('ARGUMENT_INVALID', { details: { what: `${what} ${id}` } });
  return BigInt(id);
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
