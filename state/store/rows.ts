/** Rows of both engines, and their conversion to the port's types. */
import type { ConversationId, MessageId, UserId } from '../../common/mod.ts';
import { type ConversationKind, type Role, ROLES } from '../policy.ts';
import { parseMeta } from './entry-meta.ts';
import {
  ENTRY_KINDS,
  type Evidence,
  type Extra,
  type Gone,
  type Message,
  type Quote,
  THREAD_REPLY,
  type UserConversation,
} from './store.ts';

/** An index in ROLES, as the engines return it. */
export type RoleColumn = number | bigint;

export interface ConversationRow {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  readonly name: string;
  readonly last_seq: bigint;
  readonly member_version: bigint;
  readonly peer: UserId | null;
  readonly visible_after_seq: bigint;
  readonly delivered_seq: bigint;
  readonly read_seq: bigint;
  readonly read_epoch: bigint;
  readonly role: RoleColumn;
  readonly floor_seq: bigint;
  readonly pins_version: bigint;
  readonly active_at_ms: bigint;
  readonly unread: bigint;
  readonly threads_unread: bigint;
  readonly muted_until_ms: bigint;
}

/** A conversation with a cursor, of which the user is not a member. */
export interface GoneRow {
  readonly id: ConversationId;
  readonly reason: 'left' | 'removed' | null;
  readonly left_seq: bigint | null;
}

export interface MessageRow {
  readonly conversation: ConversationId;
  readonly seq: bigint;
  readonly id: MessageId;
  readonly sender: UserId;
  readonly client_msg_id: string;
  readonly body: string;
  readonly at_ms: bigint;
}

export function toConversation(row: ConversationRow): UserConversation {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    lastSeq: Number(row.last_seq),
    memberVersion: Number(row.member_version),
    peer: row.peer ?? undefined,
    visibleAfterSeq: Number(row.visible_after_seq),
    deliveredSeq: Number(row.delivered_seq),
    readSeq: Number(row.read_seq),
    readEpoch: Number(row.read_epoch),
    role: toRole(row.role),
    floorSeq: Number(row.floor_seq),
    pinsVersion: Number(row.pins_version),
    activeAtMs: Number(row.active_at_ms),
    unread: Number(row.unread),
    threadsUnread: Number(row.threads_unread),
    mutedUntilMs: Number(row.muted_until_ms),
  };
}

export function toRole(column: RoleColumn): Role {
  return ROLES[Number(column)] as Role;
}

/** Role values in the column. */
export function rankOf(role: Role): number {
  return ROLES.indexOf(role);
}

export function toGone({ id, reason, left_seq }: GoneRow): Gone {
  return { conversation: id, reason: reason ?? 'deleted', lastSeq: Number(left_seq ?? 0) };
}

/** A plain message, or an entry of which only the columns of messages matter. */
export function toMessage(row: MessageRow): Message {
  return {
    conversation: row.conversation,
    seq: Number(row.seq),
    id: row.id,
    sender: row.sender,
    clientMsgId: row.client_msg_id,
    text: row.body,
    atMs: Number(row.at_ms),
    extra: undefined,
  };
}

/** An entry as later ones have left it, see repositories/entries.ts. */
export interface FoldedRow extends MessageRow {
  /** An index in ENTRY_KINDS. */
  readonly kind: bigint | number;
  /** Of a message, as of the reader's bound; null: unchanged. */
  readonly version: bigint | null;
  readonly retracted_seq: bigint | null;
  readonly retracted_by: UserId | null;
  readonly retracted_at_ms: bigint | null;
  readonly retracted_meta: string | null;
  readonly target: bigint | null;
  readonly thread: bigint | null;
  readonly meta: string | null;
  /** Null: the target is gone. */
  readonly target_sender: UserId | null;
  readonly target_version: bigint | null;
  readonly target_retracted_seq: bigint | null;
  readonly quote: string | null;
}

/** What a reader may read begins after both. */
export interface ReadBounds {
  readonly visibleAfterSeq: number;
  readonly floorSeq: number;
}

/** Converts a row to an entry as a reader with these bounds sees it. */
export function toEntry(row: FoldedRow, bounds: ReadBounds): Message {
  const kind = Number(row.kind) === THREAD_REPLY ? 'message' : ENTRY_KINDS[Number(row.kind)];
  if (kind === undefined) throw new Error(`entry ${row.conversation}/${row.seq} has the kind ${row.kind}`);
  const entry = toMessage(row);
  const thread = Number(row.thread ?? 0);
  const none = { ...NO_EXTRA, kind, version: Number(row.version ?? row.seq), thread };
  if (kind === 'message') return { ...entry, extra: extraOfMessage(row, none, bounds) };
  const { system, by = entry.sender, reason, range } = parseMeta(row.meta);
  if (kind === 'system') return { ...entry, sender: by, clientMsgId: '', extra: { ...none, system } };
  // A range ends below its own entry.
  const about = range === undefined ? Number(row.target) : Math.min(range.toSeq, entry.seq - 1);
  if (isHidden(about, bounds)) return { ...entry, text: '', extra: { ...none, bare: true } };
  return {
    ...entry,
    extra: {
      ...none,
      ...(kind === 'edit' && { version: Number(row.target_retracted_seq ?? row.target_version ?? row.seq) }),
      target: Number(row.target ?? 0),
      range,
      reason,
    },
  };
}

/** What most entries have not. */
export const NO_EXTRA = {
  target: 0,
  thread: 0,
  quote: undefined,
  retraction: undefined,
  range: undefined,
  reason: '',
  system: undefined,
  bare: false,
} as const;

function extraOfMessage(row: FoldedRow, none: Extra, bounds: ReadBounds): Extra | undefined {
  if (row.retracted_seq !== null) {
    const seq = Number(row.retracted_seq);
    const by = { by: row.retracted_by as UserId, atMs: Number(row.retracted_at_ms) };
    return {
      ...none,
      version: seq,
      retraction: { seq, ...by, reason: parseMeta(row.retracted_meta).reason },
    };
  }
  if (Number(row.target ?? 0) === 0)
    return none.version === Number(row.seq) && none.thread === 0 ? undefined : none;
  const quote = toQuote(row, bounds);
  return quote === undefined ? { ...none, bare: true } : { ...none, target: quote.seq, quote };
}

/** Undefined: the reader may not read it. */
function toQuote(row: FoldedRow, { visibleAfterSeq, floorSeq }: ReadBounds): Quote | undefined {
  const seq = Number(row.target);
  if (seq <= visibleAfterSeq) return undefined;
  if (seq <= floorSeq || row.target_sender === null)
    return { seq, state: 'expired', sender: 0n as UserId, text: '', version: 0 };
  const sender = row.target_sender;
  if (row.target_retracted_seq !== null)
    return { seq, state: 'retracted', sender, text: '', version: Number(row.target_retracted_seq) };
  return { seq, state: 'kept', sender, text: row.quote ?? '', version: Number(row.target_version ?? seq) };
}

function isHidden(target: number, { visibleAfterSeq, floorSeq }: ReadBounds): boolean {
  return target <= visibleAfterSeq || target <= floorSeq;
}

/** What a moderator has retracted. */
export interface EvidenceRow {
  readonly conversation: ConversationId;
  readonly seq: bigint;
  readonly sender: UserId;
  readonly at_ms: bigint;
  /** JSON array. */
  readonly texts: string;
  readonly entry_seq: bigint;
  readonly by_user: UserId;
  readonly by_at_ms: bigint;
  readonly reason: string;
  readonly expires_at_ms: bigint;
}

export function toEvidence(row: EvidenceRow): Evidence {
  const { conversation, sender, reason } = row;
  return {
    conversation,
    seq: Number(row.seq),
    sender,
    atMs: Number(row.at_ms),
    texts: JSON.parse(row.texts) as string[],
    retraction: { seq: Number(row.entry_seq), by: row.by_user, atMs: Number(row.by_at_ms), reason },
    expiresAtMs: Number(row.expires_at_ms),
  };
}
