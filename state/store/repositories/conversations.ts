/** Queries of conversations for their members, and the SQL fragments that all of them share. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { ConversationKind, Facts, Role } from '../../policy.ts';
import { type ConversationRow, type RoleColumn, toConversation, toRole } from '../rows.ts';
import { sql, type SqlSession, type Statement } from '../sql.ts';
import type { UserConversation } from '../store.ts';

const MAX_CONVERSATIONS = 1000;

/** Columns of ConversationRow; used with fromConversations. */
export const conversationColumns = sql`
    c.id, c.kind, coalesce(c.name, '') as name, c.last_seq, c.member_version,
    case when c.direct_low = m.user_id then c.direct_high else c.direct_low end as peer,
    m.visible_after_seq,
    coalesce(d.delivered_seq, u.delivered_seq, 0) as delivered_seq,
    m.read_seq,
    m.role`;

/** The user's conversations c, memberships m, cursors of the device d and of the unnamed devices u; ends in a WHERE. */
export function fromConversations(user: UserId, device: string): Statement {
  return sql`
    from members m
    join conversations c on c.id = m.conversation
    left join cursors d on d.user_id = m.user_id and d.device = ${device} and d.conversation = m.conversation
    left join cursors u on u.user_id = m.user_id and u.device = '' and u.conversation = m.conversation
    where m.user_id = ${user}`;
}

/** Columns of MessageRow from the messages m. */
export const messageColumns = sql`m.conversation, m.seq, m.id, m.sender, m.client_msg_id, m.body, m.at_ms`;

/** A user's read bounds of a conversation. */
export interface ReaderRow {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  /** Null for former members. */
  readonly role: RoleColumn | null;
  readonly visible_after_seq: bigint;
  readonly left_seq: bigint;
}

/** Selects the ReaderRow of a present or former member; non-members have none. */
export function readerOf(conversation: ConversationId, user: UserId): Statement {
  return sql`
    select c.id, c.kind, m.role, m.visible_after_seq, cast(${Number.MAX_SAFE_INTEGER} as bigint) as left_seq
    from members m join conversations c on c.id = m.conversation
    where m.conversation = ${conversation} and m.user_id = ${user}
    union all
    select c.id, c.kind, null, f.visible_after_seq, f.left_seq
    from former_members f join conversations c on c.id = f.conversation and not c.deleted
    where f.conversation = ${conversation} and f.user_id = ${user}`;
}

/** Converts a ReaderRow to the policy's terms. */
export function factsOf(row: ReaderRow | undefined): Facts {
  if (row === undefined) return { kind: undefined, actor: 'nonmember' };
  return { kind: row.kind, actor: row.role === null ? 'former' : toRole(row.role) };
}

/** See ConversationStore.conversationOf. */
export async function conversationOf(
  db: SqlSession,
  id: ConversationId,
  user: UserId,
  device: string,
): Promise<UserConversation | undefined> {
  const [row] = await db.query<ConversationRow>(sql`
    select ${conversationColumns} ${fromConversations(user, device)} and c.id = ${id}`);
  return row && toConversation(row);
}

/** See ConversationStore.conversationsOf. */
export async function conversationsOf(
  db: SqlSession,
  user: UserId,
  device: string,
): Promise<UserConversation[]> {
  const rows = await db.query<ConversationRow>(sql`
    select ${conversationColumns} ${fromConversations(user, device)}
    order by c.active_at_ms desc, c.id desc
    limit ${MAX_CONVERSATIONS}`);
  return rows.map(toConversation);
}

/** See ConversationStore.rolesOf. It uses an index, however large the room is. */
export async function rolesOf(db: SqlSession, conversation: ConversationId): Promise<Map<UserId, Role>> {
  const rows = await db.query<{ user_id: UserId; role: RoleColumn }>(sql`
    select user_id, role from members where conversation = ${conversation} and role > 0`);
  return new Map(rows.map(({ user_id, role }) => [user_id, toRole(role)]));
}
