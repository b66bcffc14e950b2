/** Queries of conversations for their members, and the SQL fragments that all of them share. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import {
  type AccessCheck,
  type ConversationKind,
  type Facts,
  refusal,
  type Refusal,
  type Role,
} from '../../policy.ts';
import { pageLimit } from '../input.ts';
import { pageKey, parsePageKey, toPage } from '../page-key.ts';
import {
  type ConversationRow,
  type ReadBounds,
  type RoleColumn,
  toConversation,
  toEntry,
  toRole,
} from '../rows.ts';
import { type Dialect, sql, type SqlSession, type Statement } from '../sql.ts';
import { type ListedConversation, type Message, type Page, type UserConversation } from '../store.ts';
import { readPlaces } from './entries.ts';
import { unreadThreadsOf, withUnread } from './unread.ts';

/** Columns of ConversationRow; used with fromConversations. */
export function conversationColumns(dialect: Dialect): Statement {
  return sql`
    c.id, c.kind, coalesce(c.name, '') as name, c.last_seq, c.member_version,
    case when c.direct_low = m.user_id then c.direct_high else c.direct_low end as peer,
    m.visible_after_seq,
    coalesce(d.delivered_seq, u.delivered_seq, 0) as delivered_seq,
    m.read_seq, m.read_epoch,
    m.role,
    c.floor_seq, c.pins_version, c.active_at_ms,
    coalesce((
      select mu.until_ms from mutes mu where mu.user_id = m.user_id and mu.conversation = m.conversation
    ), 0) as muted_until_ms,
    ${unreadOf(dialect)} as unread,
    ${unreadThreadsOf(dialect)} as threads_unread`;
}

/** Number of messages of a member m in c that may be unread: entries beyond the start, without those that do not count. */
export function unreadOf({ greatest }: Dialect): Statement {
  const start = sql`${greatest}(m.read_seq, m.visible_after_seq, c.floor_seq)`;
  return sql`c.last_seq - c.skipped - ${start} + case when c.skipped = 0 then 0 else coalesce((
      select x.skipped from extras x where x.conversation = c.id and x.seq <= ${start} order by x.seq desc limit 1
    ), c.floor_skipped) end`;
}

/** The user's conversations c, memberships m, cursors of the device d and of the unnamed devices u; ends in a WHERE. */
export function fromConversations(user: UserId, device: string): Statement {
  return sql`
    from members m
    join conversations c on c.id = m.conversation
    left join cursors d on d.user_id = m.user_id and d.device = ${device} and d.conversation = m.conversation
    left join cursors u on u.user_id = m.user_id and u.device = '' and u.conversation = m.conversation
    where m.user_id = ${user}`;
}

/** Columns of MessageRow from the messages m: for conversations without other entries. */
export const messageColumns = sql`m.conversation, m.seq, m.id, m.sender, m.client_msg_id, m.body, m.at_ms`;

/** A user's read bounds of a conversation. */
export interface ReaderRow {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  /** Null for former members. */
  readonly role: RoleColumn | null;
  readonly visible_after_seq: bigint;
  readonly read_seq: bigint;
  /** The last seq that there is for the user. */
  readonly until_seq: bigint;
  readonly floor_seq: bigint;
  readonly pins_version: bigint;
  readonly member_count: bigint;
  readonly has_threads: boolean | bigint;
}

const hasThreads = sql`exists (select 1 from threads t where t.conversation = c.id)`;

/** Selects the ReaderRow of a present or former member; non-members have none. */
export function readerOf(conversation: ConversationId, user: UserId): Statement {
  return sql`
    select c.id, c.kind, m.role, m.visible_after_seq, m.read_seq, c.last_seq as until_seq,
           c.floor_seq, c.pins_version, c.member_count, ${hasThreads} as has_threads
    from members m join conversations c on c.id = m.conversation
    where m.conversation = ${conversation} and m.user_id = ${user}
    union all
    select c.id, c.kind, null, f.visible_after_seq, f.read_seq, f.left_seq, c.floor_seq, c.pins_version, c.member_count,
           ${hasThreads}
    from former_members f join conversations c on c.id = f.conversation and not c.deleted
    where f.conversation = ${conversation} and f.user_id = ${user}`;
}

/** Converts a ReaderRow to the policy's terms. */
export function factsOf(row: ReaderRow | undefined): Facts {
  if (row === undefined) return { kind: undefined, actor: 'nonmember' };
  return { kind: row.kind, actor: row.role === null ? 'former' : toRole(row.role) };
}

/** Returns the read bounds of a user who may do it. */
export async function admitReader(
  db: SqlSession,
  conversation: ConversationId,
  { actor, requirement }: AccessCheck,
): Promise<ReaderRow | Refusal> {
  const [reader] = await db.query<ReaderRow>(readerOf(conversation, actor));
  return refusal(requirement, factsOf(reader)) ?? reader ?? requirement.missing;
}

export function boundsOf({
  visible_after_seq,
  floor_seq,
}: Pick<ReaderRow, 'visible_after_seq' | 'floor_seq'>): ReadBounds {
  return { visibleAfterSeq: Number(visible_after_seq), floorSeq: Number(floor_seq) };
}

/** See ConversationStore.conversationOf. */
export async function conversationOf(
  db: SqlSession,
  id: ConversationId,
  user: UserId,
  device: string,
): Promise<UserConversation | undefined> {
  const [row] = await db.query<ConversationRow>(sql`
    select ${conversationColumns(db.dialect)} ${fromConversations(user, device)} and c.id = ${id}`);
  const [counted] = row === undefined ? [] : await withUnread(db, user, [row]);
  return counted && toConversation(counted);
}

/** See ConversationStore.conversationsOf. */
export async function conversationsOf(
  db: SqlSession,
  user: UserId,
  device: string,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<Page<ListedConversation>> {
  const size = pageLimit(limit);
  const start = after === '' ? [Number.MAX_SAFE_INTEGER, 0n] : parsePageKey(after, 2);
  if (start === undefined) return { items: [], next: undefined };
  const [activeAtMs, id] = start as [bigint, bigint];
  const rows = await db.query<ConversationRow & { readonly last_message_seq: bigint }>(sql`
    select ${conversationColumns(db.dialect)}, c.last_message_seq
    ${fromConversations(user, device)} and c.id in (
      select k.id from members n join conversations k on k.id = n.conversation
      where n.user_id = ${user} and (k.active_at_ms, k.id) < (${activeAtMs}, ${id})
      order by k.active_at_ms desc, k.id desc
      limit ${size + 1}
    )
    order by c.active_at_ms desc, c.id desc`);
  const page = toPage(rows, size, (last) => pageKey(last.active_at_ms, last.id));
  const counted = await withUnread(db, user, page.items);
  const lastMessages = await lastMessagesOf(db, counted);
  return {
    items: counted.map((row) => ({ ...toConversation(row), lastMessage: lastMessages.get(row.id) })),
    next: page.next,
  };
}

/** Reads the last messages that the user of the rows may read: texts as of the rows, as the user may have left since. */
async function lastMessagesOf(
  db: SqlSession,
  rows: readonly (ConversationRow & { readonly last_message_seq: bigint })[],
): Promise<ReadonlyMap<ConversationId, Message>> {
  const readable = rows.filter(
    (row) => row.last_message_seq > row.visible_after_seq && row.last_message_seq > row.floor_seq,
  );
  if (readable.length === 0) return new Map();
  const bounds = new Map<ConversationId, ReadBounds>(
    readable.map((row) => [
      row.id,
      { visibleAfterSeq: Number(row.visible_after_seq), floorSeq: Number(row.floor_seq) },
    ]),
  );
  const places = readable.map((row) => [row.id, Number(row.last_message_seq), Number(row.last_seq)] as const);
  const found = await readPlaces(db, places);
  return new Map(
    found.map((row) => [row.conversation, toEntry(row, bounds.get(row.conversation) as ReadBounds)]),
  );
}

/** See ConversationStore.rolesOf. It uses an index, however large the room is. */
export async function rolesOf(db: SqlSession, conversation: ConversationId): Promise<Map<UserId, Role>> {
  const rows = await db.query<{ user_id: UserId; role: RoleColumn }>(sql`
    select user_id, role from members where conversation = ${conversation} and role > 0`);
  return new Map(rows.map(({ user_id, role }) => [user_id, toRole(role)]));
}

/** See ConversationStore.membersPage. */
export async function membersPage(
  db: SqlSession,
  conversation: ConversationId,
  by: AccessCheck,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<(Page<{ readonly user: UserId; readonly role: Role }> & { readonly count: number }) | Refusal> {
  const reader = await admitReader(db, conversation, by);
  if (typeof reader === 'string') return reader;
  const count = Number(reader.member_count);
  const size = pageLimit(limit);
  const [start] = after === '' ? [0n] : (parsePageKey(after, 1) ?? []);
  if (start === undefined) return { items: [], next: undefined, count };
  const rows = await db.query<{ user_id: UserId; role: RoleColumn }>(sql`
    select user_id, role from members where conversation = ${conversation} and user_id > ${start}
    order by user_id limit ${size + 1}`);
  const page = toPage(rows, size, (last) => pageKey(last.user_id));
  return {
    items: page.items.map(({ user_id, role }) => ({ user: user_id, role: toRole(role) })),
    next: page.next,
    count,
  };
}
