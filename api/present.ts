/** Conversions from the wire's messages to the JSON of the answers. */
import { client, toUserSettings, type UserSettings } from '../proto/mod.ts';

const WIRE_ROLES = {
  member: client.Role.ROLE_MEMBER,
  moderator: client.Role.ROLE_MODERATOR,
  owner: client.Role.ROLE_OWNER,
} as const;
type Role = keyof typeof WIRE_ROLES;

const ROLES = byValue(WIRE_ROLES);
const KINDS = byValue({
  message: client.EntryKind.ENTRY_KIND_MESSAGE,
  edit: client.EntryKind.ENTRY_KIND_EDIT,
  retract: client.EntryKind.ENTRY_KIND_RETRACT,
  pin: client.EntryKind.ENTRY_KIND_PIN,
  unpin: client.EntryKind.ENTRY_KIND_UNPIN,
  system: client.EntryKind.ENTRY_KIND_SYSTEM,
});
const EVENTS = byValue({
  joined: client.SystemEvent.SYSTEM_EVENT_JOINED,
  left: client.SystemEvent.SYSTEM_EVENT_LEFT,
  removed: client.SystemEvent.SYSTEM_EVENT_REMOVED,
  role: client.SystemEvent.SYSTEM_EVENT_ROLE,
});

export function toWireRole(role: Role): client.Role {
  return WIRE_ROLES[role];
}

function toRole(role: client.Role): Role {
  return ROLES.get(role) ?? 'member';
}

export function toConversation(conversation: client.Conversation) {
  const { kind, peer, lastMessage } = conversation;
  return {
    id: String(conversation.id),
    kind: kind === client.ConversationKind.CONVERSATION_KIND_DIRECT ? ('direct' as const) : ('room' as const),
    name: conversation.name,
    ...(peer !== 0n && { peer: String(peer) }),
    role: toRole(conversation.role),
    last_seq: Number(conversation.lastSeq),
    read_seq: Number(conversation.readSeq),
    read_epoch: Number(conversation.readEpoch),
    unread: Number(conversation.unread),
    threads_unread: Number(conversation.threadsUnread),
    visible_after_seq: Number(conversation.visibleAfterSeq),
    floor_seq: Number(conversation.floorSeq),
    pins_version: Number(conversation.pinsVersion),
    ...toTime('active_at', conversation.activeAtMs),
    muted_until_ms: Number(conversation.mutedUntilMs),
    ...(lastMessage && { last_message: toMessage(lastMessage) }),
  };
}

export function toRoom(room: client.Room) {
  return {
    id: String(room.id),
    name: room.name,
    members: room.members,
    joined: room.joined,
    last_seq: Number(room.lastSeq),
    unread: Number(room.unread),
  };
}

export function toMember(member: client.Member) {
  return {
    id: String(member.user),
    name: member.name,
    display_name: member.displayName,
    role: toRole(member.role),
    online: member.online,
  };
}

export function toUser(user: client.User) {
  return { id: String(user.id), name: user.name, display_name: user.displayName };
}

export function toMessage(message: client.Message) {
  const { target, quote, retraction, range, reason, system, bare, thread, threadSummary } = message;
  return {
    seq: Number(message.seq),
    id: String(message.id),
    kind: KINDS.get(message.kind) ?? ('unknown' as const),
    sender: String(message.sender),
    from: message.from,
    client_msg_id: message.clientMsgId,
    text: message.text,
    ...toTime('at', message.atMs),
    version: Number(message.version),
    ...(target !== 0n && { target: Number(target) }),
    ...(quote && { quote: toQuote(quote) }),
    ...(thread !== 0n && { thread: Number(thread) }),
    ...(threadSummary && { thread_summary: toSummary(threadSummary) }),
    ...(retraction && {
      retraction: {
        seq: Number(retraction.seq),
        by: String(retraction.by),
        ...toTime('at', retraction.atMs),
        reason: retraction.reason,
      },
    }),
    ...(range && {
      range: { sender: String(range.sender), from_seq: Number(range.fromSeq), to_seq: Number(range.toSeq) },
    }),
    ...(reason !== '' && { reason }),
    ...(system && { system: toSystem(system) }),
    ...(bare && { bare }),
  };
}

function toSummary(summary: client.ThreadSummary) {
  return {
    replies: Number(summary.replies),
    last_seq: Number(summary.lastSeq),
    ...toTime('last_at', summary.lastAtMs),
    followed: summary.followed,
    unread: Number(summary.unread),
    read_seq: Number(summary.readSeq),
    read_epoch: Number(summary.readEpoch),
  };
}

export function toThread({ conversation, seq, root, summary }: Omit<client.Thread, 'last'>) {
  return {
    conversation: String(conversation),
    seq: Number(seq),
    root: root ? toMessage(root) : null,
    summary: summary ? toSummary(summary) : null,
  };
}

function toQuote({ seq, sender, from, text, cut, retracted, expired, version }: client.Quote) {
  return {
    seq: Number(seq),
    ...(!expired && { sender: String(sender), from }),
    text,
    cut,
    retracted,
    expired,
    version: Number(version),
  };
}

function toSystem({ event, user, name, role }: client.System) {
  return {
    event: EVENTS.get(event) ?? ('unknown' as const),
    user: String(user),
    name,
    ...(role !== client.Role.ROLE_UNSPECIFIED && { role: toRole(role) }),
  };
}

export function toPin({ message, by, atMs }: client.Pin) {
  return {
    // State always sets it.
    message: toMessage(message as client.Message),
    by: String(by),
    ...toTime('at', atMs),
  };
}

export function toSent(sent: client.Sent) {
  return {
    seq: Number(sent.seq),
    id: String(sent.id),
    client_msg_id: sent.clientMsgId,
    ...toTime('at', sent.atMs),
    duplicate: sent.duplicate,
  };
}

const STATUSES = byValue({
  online: client.PresenceStatus.PRESENCE_STATUS_ONLINE,
  idle: client.PresenceStatus.PRESENCE_STATUS_IDLE,
  offline: client.PresenceStatus.PRESENCE_STATUS_OFFLINE,
});

export function toPresence({ user, status, lastSeenMs }: client.UserPresence) {
  return {
    id: String(user),
    status: STATUSES.get(status) ?? ('offline' as const),
    ...(lastSeenMs !== 0n && toTime('last_seen', lastSeenMs)),
  };
}

export function toDraft({ conversation, text, atMs }: client.Draft) {
  return { conversation: String(conversation), text, ...toTime('at', atMs) };
}

export function toSettings({ version, settings }: client.Settings): UserSettings & { version: number } {
  return { ...toUserSettings(settings), version: Number(version) };
}

export function toSelf({ reads, mutes, drafts, settings }: client.Self) {
  return {
    reads: reads.map(({ conversation, readSeq, readEpoch }) => ({
      conversation: String(conversation),
      read_seq: Number(readSeq),
      read_epoch: Number(readEpoch),
    })),
    mutes: mutes.map(({ conversation, untilMs }) => ({
      conversation: String(conversation),
      until_ms: Number(untilMs),
    })),
    drafts: drafts.map(toDraft),
    ...(settings && { settings: toSettings(settings) }),
  };
}

/** Returns a time as ISO 8601 text under a name, and as Unix ms under NAME_ms. */
function toTime<Name extends string>(name: Name, atMs: bigint) {
  const ms = Number(atMs);
  return { [name]: new Date(ms).toISOString(), [`${name}_ms`]: ms } as Record<Name, string> &
    Record<`${Name}_ms`, number>;
}

/** Returns the names by the numbers of the wire. */
function byValue<Name extends string>(values: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map((Object.entries(values) as [Name, number][]).map(([name, value]) => [value, name]));
}

const ACCOUNT_STATES = byValue({
  active: client.AccountState.ACCOUNT_STATE_ACTIVE,
  suspended: client.AccountState.ACCOUNT_STATE_SUSPENDED,
  closed: client.AccountState.ACCOUNT_STATE_CLOSED,
});

export function toAccount({ id, name, displayName, state, admin, owner }: client.Account) {
  return {
    id: String(id),
    name,
    display_name: displayName,
    state: ACCOUNT_STATES.get(state) ?? ('active' as const),
    admin,
    ...(owner !== 0n && { owner: String(owner) }),
  };
}

export function toSession(session: client.Session) {
  const { id, client: software, address, current } = session;
  const at = (ms: bigint) => new Date(Number(ms)).toISOString();
  return {
    id: String(id),
    client: software,
    address,
    created_at: at(session.createdAtMs),
    used_at: at(session.usedAtMs),
    expires_at: at(session.expiresAtMs),
    current,
  };
}

export function toBot({ id, name, displayName }: client.Bot) {
  return { id: String(id), name, display_name: displayName };
}
