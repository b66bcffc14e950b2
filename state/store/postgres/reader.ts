/** Reads of the log on PostgreSQL: history pages, and sync of a device. */
import type { ConversationId } from '../../../common/mod.ts';
import { integerArray } from './arrays.ts';
import { pageLimit, storableSeq } from '../input.ts';
import { type AccessCheck, refusal, type Refusal } from '../../policy.ts';
import {
  conversationColumns,
  factsOf,
  fromConversations,
  messageColumns,
  type ReaderRow,
  readerOf,
} from '../repositories/conversations.ts';
import type { PostgresPool } from './pool.ts';
import { sql } from '../sql.ts';
import {
  type ConversationRow,
  type GoneRow,
  type MessageRow,
  toConversation,
  toGone,
  toMessage,
} from '../rows.ts';
import type { Gone, Message, SyncRequest, SyncResult, UserConversation } from '../store.ts';
import { cursorsToJson, PAGE_TEXT_BYTES, splitPage, foreignOf } from '../sync-page.ts';

/** Conversations in the request that the user was never in. */
interface ForeignRow {
  readonly part: 'foreign';
  /** Comma-separated; null: none. */
  readonly ids: string | null;
}

/** Reads a page of the log backwards; see LogStore.history. */
export async function history(
  pool: PostgresPool,
  conversation: ConversationId,
  { actor, requirement }: AccessCheck,
  { beforeSeq, limit }: { readonly beforeSeq: number; readonly limit: number },
): Promise<{ messages: Message[]; more: boolean } | Refusal> {
  // One row with nulls stands for a member without messages, no row for a non-member.
  const rows = await pool.query<ReaderRow & (MessageRow | { seq: null })>(
    sql`
      select m.*, reader.kind, reader.role, reader.visible_after_seq, reader.left_seq
      from (${readerOf(conversation, actor)}) reader
      left join lateral (
        select ${messageColumns}
        from (
          select page.*, sum(octet_length(body)) over (order by seq desc) - octet_length(body) as bytes_before
          from (
            select * from messages
            where messages.conversation = reader.id
              and messages.seq > reader.visible_after_seq
              and messages.seq <= least(reader.left_seq, ${(storableSeq(beforeSeq) || Number.MAX_SAFE_INTEGER) - 1}::bigint)
            order by messages.seq desc
            limit ${pageLimit(limit)}
          ) page
        ) m
        where m.bytes_before < ${PAGE_TEXT_BYTES}
      ) m on true
      order by m.seq desc`,
  );
  const [newest] = rows;
  const refused = refusal(requirement, factsOf(newest));
  if (newest === undefined || refused !== undefined) return refused ?? requirement.missing;
  const messages = rows.flatMap((row) => (row.seq === null ? [] : [toMessage(row)])).reverse();
  // Seqs have no holes, so there is an older message unless this is the first.
  const oldest = messages[0];
  return { messages, more: oldest !== undefined && oldest.seq > Number(newest.visible_after_seq) + 1 };
}

/** Reads the news of a device; see LogStore.sync. */
export async function sync(
  pool: Pick<PostgresPool, 'query'>,
  request: SyncRequest,
  triesLeft = 2,
): Promise<SyncResult> {
  const { user, device, cursors, pushed } = request;
  const limit = pageLimit(request.limit);
  // New messages and departures are read in one snapshot, so a membership that ends meanwhile appears in exactly one of
  // them. Cursors are a JSON object, because a lookup in it costs the same under every query plan, unlike a join with an
  // array. Cursors of conversations that the user is not in, up to ten thousand, come back as one text.
  const rows = await pool.query<
    (ConversationRow & { start: bigint; part: 'news' }) | (GoneRow & { part: 'gone' }) | ForeignRow
  >(
    sql`
      with given as (
        select ${cursorsToJson(cursors)}::text::jsonb as cursors, ${cursorsToJson(pushed)}::text::jsonb as pushed
      ),
      outside as materialized (
        select jsonb_object_keys(cursors || pushed)::bigint as conversation from given
        except
        select conversation from members where user_id = ${user}
      ),
      former as materialized (
        select f.*, c.kind, c.name, c.member_version, coalesce(d.delivered_seq, u.delivered_seq, 0) as delivered_seq
        from outside join former_members f on f.conversation = outside.conversation and f.user_id = ${user}
        join conversations c on c.id = f.conversation and not c.deleted
        left join cursors d on d.user_id = f.user_id and d.device = ${device} and d.conversation = f.conversation
        left join cursors u on u.user_id = f.user_id and u.device = '' and u.conversation = f.conversation
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
                 ) as start,
                 (c.kind = 'room' or c.owner = m.user_id)
                   and coalesce(d.delivered_seq, u.delivered_seq) is null
                   and not (select cursors || pushed from given) ? c.id::text as is_unknown
          ${fromConversations(user, device)}
          union all
          select conversation, kind, name, left_seq, member_version, null, visible_after_seq, delivered_seq, 0, 0,
                 greatest(
                   visible_after_seq,
                   coalesce(
                     ((select cursors from given) ->> conversation::text)::bigint,
                     least(((select pushed from given) ->> conversation::text)::bigint, delivered_seq)
                   )
                 ),
                 false
          from former
        ) as mine
        where last_seq > start or is_unknown
        -- What has no news comes last, the newest first.
        order by last_seq <= start, greatest(last_seq - start, 0), case when last_seq > start then id else -id end
        limit ${limit + 1}
      )
      select 'news' as part, news.*, null as reason, null::bigint as left_seq, null as ids from news
      union all
      select 'gone', conversation, null, null, null, null, null, null, null, null, null, null, null, reason, left_seq, null
      from former
      union all
      select 'foreign', null, null, null, null, null, null, null, null, null, null, null, null, null, null, (
        select string_agg(conversation::text, ',') from outside
        where conversation not in (select conversation from former)
      )`,
  );
  const pending: { conversation: UserConversation; start: number }[] = [];
  const unknown: SyncResult['conversations'][number][] = [];
  let gone: Gone[] = [];
  for (const row of rows) {
    if (row.part === 'foreign') gone = gone.concat(foreignOf(row.ids));
    else if (row.part === 'gone') gone.push(toGone(row));
    else if (row.last_seq > row.start)
      pending.push({ conversation: toConversation(row), start: Number(row.start) });
    else unknown.push({ conversation: toConversation(row), messages: [] });
  }
  const { parts, more } = splitPage(pending, limit);
  const last = { conversations: unknown, more: false, gone };
  if (parts.length === 0) return more ? { conversations: [], more, gone: [] } : last;
  const found = await pool.query<MessageRow & { n: bigint; bytes: bigint }>(
    sql`
      select ${messageColumns}, n, bytes
      from (
        select messages.*, part.n,
               sum(octet_length(body)) over (order by part.n, seq) as bytes,
               sum(octet_length(body)) over (order by part.n, seq) - octet_length(body) as bytes_before
        from unnest(
          ${integerArray(parts.map((part) => part.conversation.id))}::bigint[],
          ${integerArray(parts.map((part) => part.start))}::bigint[],
          ${integerArray(parts.map((part) => part.count))}::bigint[]
        ) with ordinality as part (conversation, start, count, n)
        cross join lateral (
          select * from messages
          where messages.conversation = part.conversation and messages.seq > part.start
          order by messages.seq
          limit part.count
        ) messages
      ) m
      where bytes_before < ${PAGE_TEXT_BYTES}
      order by n, seq`,
  );
  const wanted = parts.reduce((sum, { count }) => sum + count, 0);
  const isFull = found.length < wanted && Number(found.at(-1)?.bytes ?? 0) >= PAGE_TEXT_BYTES;
  const reached = isFull ? Number(found.at(-1)?.n) : parts.length;
  const messages = Map.groupBy(found.map(toMessage), (message) => message.conversation);
  const conversations = parts.slice(0, reached).flatMap(({ conversation, start }) => {
    const page = messages.get(conversation.id) ?? [];
    return page[0]?.seq === start + 1 ? [{ conversation, messages: page }] : [];
  });
  // A room deleted since the first statement is being erased from its beginning; the next attempt does not find it.
  if (conversations.length < reached && triesLeft > 0) return sync(pool, request, triesLeft - 1);
  if (more || isFull) return { conversations, more: true, gone: [] };
  return { ...last, conversations: [...conversations, ...unknown] };
}
