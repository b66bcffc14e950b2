/** How the log is read on PostgreSQL: pages backwards, and what a device lacks. */
import type { ConversationId, UserId } from '../../common/mod.ts';
import { integerArray } from './postgres-arrays.ts';
import { conversationColumns, fromConversations, messageColumns } from './postgres-fragments.ts';
import type { PostgresPool } from './postgres-pool.ts';
import { sql } from './postgres-sql.ts';
import {
  type ConversationRow,
  type GoneRow,
  type MessageRow,
  toConversation,
  toGone,
  toMessage,
} from './rows.ts';
import type { Gone, Message, SyncRequest, SyncResult, UserConversation } from './store.ts';
import { splitPage } from './sync-page.ts';

/** Reads a page of the log backwards; see Store.history. */
export async function history(
  pool: PostgresPool,
  user: UserId,
  conversation: ConversationId,
  beforeSeq: number,
  limit: number,
): Promise<{ messages: Message[]; more: boolean } | undefined> {
  // One row with nulls stands for a member without messages, no row for a stranger.
  const rows = await pool.query<MessageRow | { seq: null }>(
    sql`
      select ${messageColumns}
      from (
        select conversation, visible_after_seq, ${Number.MAX_SAFE_INTEGER}::bigint as left_seq
        from members where conversation = ${conversation} and user_id = ${user}
        union all
        select f.conversation, f.visible_after_seq, f.left_seq
        from former_members f join conversations c on c.id = f.conversation and not c.deleted
        where f.conversation = ${conversation} and f.user_id = ${user}
      ) reader
      left join lateral (
        select * from messages
        where messages.conversation = reader.conversation
          and messages.seq > reader.visible_after_seq
          and messages.seq <= least(reader.left_seq, ${(beforeSeq || Number.MAX_SAFE_INTEGER) - 1}::bigint)
        order by messages.seq desc
        limit ${limit + 1}
      ) m on true
      order by m.seq desc`,
  );
  if (rows.length === 0) return undefined;
  const messages = rows
    .filter((row) => row.seq !== null)
    .slice(0, limit)
    .reverse()
    .map(toMessage);
  return { messages, more: rows.length > limit };
}

/** Reads what a device lacks; see Store.sync. */
export async function sync(
  pool: Pick<PostgresPool, 'query'>,
  request: SyncRequest,
  triesLeft = 2,
): Promise<SyncResult> {
  const { user, device, cursors, pushed, limit } = request;
  // What is new and what is gone are of one snapshot: nothing that was the user's is lost between them.
  const rows = await pool.query<
    (ConversationRow & { start: bigint; gone: false }) | (GoneRow & { gone: true })
  >(
    sql`
      with given as (select ${toJson(cursors)}::text::jsonb as cursors, ${toJson(pushed)}::text::jsonb as pushed),
      named as (select jsonb_object_keys(cursors || pushed)::bigint as conversation from given),
      former as (
        select f.*, c.kind, c.name, c.member_version, coalesce(d.delivered_seq, u.delivered_seq, 0) as delivered_seq
        from former_members f join conversations c on c.id = f.conversation and not c.deleted
        left join cursors d on d.user_id = f.user_id and d.device = ${device} and d.conversation = f.conversation
        left join cursors u on u.user_id = f.user_id and u.device = '' and u.conversation = f.conversation
        where f.user_id = ${user} and f.conversation in (select conversation from named)
      ),
      news as (
        select * from (
          select ${conversationColumns},
                 greatest(
                   m.visible_after_seq,
                   coalesce(
                     ((select cursors from given) ->> c.id::text)::bigint,
                     least(
                       ((select pushed from given) ->> c.id::text)::bigint,
                       coalesce(d.delivered_seq, u.delivered_seq, 0)
                     )
                   )
                 ) as start
          ${fromConversations(user, device)}
          union all
          select conversation, kind, name, left_seq, member_version, null, visible_after_seq, delivered_seq, 0, false,
                 greatest(
                   visible_after_seq,
                   coalesce(
                     ((select cursors from given) ->> conversation::text)::bigint,
                     least(((select pushed from given) ->> conversation::text)::bigint, delivered_seq)
                   )
                 )
          from former
        ) as mine
        where last_seq > start
        order by last_seq - start, id
        limit ${limit + 1}
      )
      select false as gone, news.*, null as reason, null::bigint as left_seq from news
      union all
      select true, conversation, null, null, null, null, null, null, null, null, null, null, former.reason,
             former.left_seq
      from named left join former using (conversation)
      where not exists (select from members m where m.user_id = ${user} and m.conversation = named.conversation)`,
  );
  const pending: { conversation: UserConversation; start: number }[] = [];
  const gone: Gone[] = [];
  for (const row of rows) {
    if (row.gone) gone.push(toGone(row));
    else pending.push({ conversation: toConversation(row), start: Number(row.start) });
  }
  const { parts, more } = splitPage(pending, limit);
  const answer = { more, gone: more ? [] : gone };
  if (parts.length === 0) return { conversations: [], ...answer };
  const found = await pool.query<MessageRow>(
    sql`
      select ${messageColumns}
      from unnest(
        ${integerArray(parts.map((part) => part.conversation.id))}::bigint[],
        ${integerArray(parts.map((part) => part.start))}::bigint[],
        ${integerArray(parts.map((part) => part.count))}::bigint[]
      ) as part (conversation, start, count)
      cross join lateral (
        select * from messages
        where messages.conversation = part.conversation and messages.seq > part.start
        order by messages.seq
        limit part.count
      ) m
      order by m.conversation, m.seq`,
  );
  const messages = Map.groupBy(found.map(toMessage), (message) => message.conversation);
  const conversations = parts.flatMap(({ conversation, start }) => {
    const page = messages.get(conversation.id) ?? [];
    return page[0]?.seq === start + 1 ? [{ conversation, messages: page }] : [];
  });
  // A room that was deleted since the first statement is erased from its beginning on; the next try does not find it.
  if (conversations.length < parts.length && triesLeft > 0) return sync(pool, request, triesLeft - 1);
  return { conversations, ...answer };
}

/** Returns cursors as an object, because a lookup in jsonb costs the same under every plan, unlike a join with an array. */
function toJson(cursors: ReadonlyMap<ConversationId, number> = new Map()): string {
  return `{${[...cursors].map(([id, seq]) => `"${id}":${seq}`).join(',')}}`;
}
