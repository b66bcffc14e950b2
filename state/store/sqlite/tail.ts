/** The end of a conversation's log while a batch is appended to it. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { ConversationKind } from '../../policy.ts';
import type { RoleColumn } from '../rows.ts';
import { sql } from '../sql.ts';
import type { SqliteConnection } from './connection.ts';

/** A conversation of the batch, as the drafts so far have left it. */
export interface Tail {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  readonly memberVersion: number;
  readonly firstSeq: number;
  readonly floorSeq: number;
  lastSeq: number;
  lastAtMs: number;
  lastMessageSeq: number;
  activeAtMs: number;
  skipped: number;
  pinsVersion: number;
  /** Memberships of senders, as far as queried. */
  readonly members: Map<UserId, Membership | undefined>;
}

export interface Membership {
  readonly role: RoleColumn;
  readonly visible_after_seq: bigint;
}

export function findTail(connection: SqliteConnection, conversation: ConversationId): Tail | undefined {
  const [row] = connection.rows<Record<string, bigint> & { kind: ConversationKind }>(sql`
    select kind, member_version, last_seq, last_at_ms, last_message_seq, active_at_ms, skipped, floor_seq, pins_version
    from conversations where id = ${conversation}`);
  if (!row) return undefined;
  const lastSeq = Number(row['last_seq']);
  return {
    id: conversation,
    kind: row.kind,
    memberVersion: Number(row['member_version']),
    firstSeq: lastSeq,
    floorSeq: Number(row['floor_seq']),
    lastSeq,
    lastAtMs: Number(row['last_at_ms']),
    lastMessageSeq: Number(row['last_message_seq']),
    activeAtMs: Number(row['active_at_ms']),
    skipped: Number(row['skipped']),
    pinsVersion: Number(row['pins_version']),
    members: new Map(),
  };
}

export function findMember(connection: SqliteConnection, tail: Tail, user: UserId): Membership | undefined {
  let member = tail.members.get(user);
  if (member === undefined && !tail.members.has(user)) {
    [member] = connection.rows<Membership>(sql`
      select role, visible_after_seq from members where conversation = ${tail.id} and user_id = ${user}`);
    tail.members.set(user, member);
  }
  return member;
}

/** Counts a new entry of a conversation. */
export function advance(tail: Tail, atMs: number): void {
  tail.lastSeq++;
  tail.lastAtMs = atMs;
}

/** Counts the last entry as a message. */
export function countMessage(tail: Tail): void {
  tail.lastMessageSeq = tail.lastSeq;
  tail.activeAtMs = Math.max(tail.activeAtMs, tail.lastAtMs);
}
