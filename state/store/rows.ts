/** Rows of both engines, and their conversion to the port's types. */
import type { ConversationId, MessageId, UserId } from '../../common/mod.ts';
import { type ConversationKind, type Role, ROLES } from '../policy.ts';
import type { Gone, Message, UserConversation } from './store.ts';

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
  readonly role: RoleColumn;
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
    role: toRole(row.role),
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

export function toMessage(row: MessageRow): Message {
  return {
    conversation: row.conversation,
    seq: Number(row.seq),
    id: row.id,
    sender: row.sender,
    clientMsgId: row.client_msg_id,
    text: row.body,
    atMs: Number(row.at_ms),
  };
}
