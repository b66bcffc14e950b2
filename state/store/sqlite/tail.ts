/** The end of a conversation's log while a batch is appended to it. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { ConversationKind } from '../../policy.ts';
import type { RoleColumn } from '../rows.ts';
import { sql } from '../sql.ts';
import type { SqliteConnection } from './connection.ts';

/** A conversation of the batch, as the drafts so far have left it. */
export interface Tail {
  readonly id: ConversationId;
  readonly memberVersion: number;
  readonly firstSeq: number;
  lastSeq: number;
  lastAtMs: number;
  /** Of the last message in the batch; 0: there is none. */
  lastMessageSeq: number;
  activeAtMs: number;
  /** Undefined until a draft needs it: most batches are of plain messages. */
  entries: EntriesTail | undefined;
  /** Memberships of senders, as far as queried. */
  readonly members: Map<UserId, Membership | undefined>;
}

/** What entries of other kinds need and change. */
export interface EntriesTail {
  readonly kind: ConversationKind;
  readonly floorSeq: number;
  skipped: number;
  pinsVersion: number;
}

export interface Membership {
  readonly role: RoleColumn;
  readonly visible_after_seq: bigint;
}

export function findTail(connection: SqliteConnection, id: ConversationId): Tail | undefined {
  const [row] = connection.rows<{ last_seq: bigint; last_at_ms: bigint; member_version: bigint }>(sql`
    select last_seq, last_at_ms, member_version from conversations where id = ${id}`);
  if (!row) return undefined;
  const lastSeq = Number(row.last_seq);
  return {
    id,
    memberVersion: Number(row.member_version),
    firstSeq: lastSeq,
    lastSeq,
    lastAtMs: Number(row.last_at_ms),
    lastMessageSeq: 0,
    activeAtMs: 0,
    entries: undefined,
    members: new Map(),
  };
}

export function findEntries(connection: SqliteConnection, { id }: Tail): EntriesTail {
  const [row] = connection.rows<{
    kind: ConversationKind;
    floor_seq: bigint;
    skipped: bigint;
    pins_version: bigint;
  }>(sql`select kind, floor_seq, skipped, pins_version from conversations where id = ${id}`);
  if (!row) throw new Error(`the conversation ${id} is gone`);
  return {
    kind: row.kind,
    floorSeq: Number(row.floor_seq),
    skipped: Number(row.skipped),
    pinsVersion: Number(row.pins_version),
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
  tail.activeAtMs = tail.lastAtMs;
}

/** Writes what has changed. */
export function saveTail(connection: SqliteConnection, tail: Tail): void {
  const { id, lastSeq, lastAtMs, lastMessageSeq, activeAtMs, entries } = tail;
  connection.run(sql`
    update conversations
    set last_seq = ${lastSeq}, last_at_ms = ${lastAtMs}, last_message_seq = max(last_message_seq, ${lastMessageSeq}),
        active_at_ms = max(active_at_ms, ${activeAtMs})
    where id = ${id}`);
  if (entries !== undefined)
    connection.run(sql`
      update conversations set skipped = ${entries.skipped}, pins_version = ${entries.pinsVersion} where id = ${id}`);
}
