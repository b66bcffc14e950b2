/** Reads of the log on PostgreSQL: history pages, and sync of a device. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { placeOf, toHistoryPage } from '../history-page.ts';
import { pageLimit, storableSeq } from '../input.ts';
import { type AccessCheck, refusal, type Refusal } from '../../policy.ts';
import {
  boundsOf,
  conversationColumns,
  factsOf,
  fromConversations,
  type ReaderRow,
  readerOf,
} from '../repositories/conversations.ts';
import { summariesOfPage, withSummaries } from '../repositories/threads.ts';
import { countUnread, firstUnread, MAX_UNREAD, subtractedOf } from '../repositories/unread.ts';
import { type ConversationRow, type GoneRow, toConversation, toGone } from '../rows.ts';
import { sql, Statement } from '../sql.ts';
import type { Gone, HistoryPage, HistoryPoint, SyncRequest, SyncResult, UserConversation } from '../store.ts';
import { cursorsToJson, foreignOf, PAGE_TEXT_BYTES, splitPage } from '../sync-page.ts';
import { readParts } from './entries.ts';
import { postgresDialect } from './host-pool.ts';
import type { PostgresPool } from './pool.ts';

/** Conversations in the request that the user was never in. */
interface ForeignRow {
  readonly part: 'foreign';
  /** Comma-separated; null: none. */
  readonly ids: string | null;
}

/** Reads a page of the log; see LogStore.history. */
export async function history(
  pool: Pick<PostgresPool, 'query'>,
  conversation: ConversationId,
  { actor, requirement }: AccessCheck,
  { point, limit }: { readonly point: HistoryPoint; readonly limit: number },
): Promise<HistoryPage | Refusal> {
  const [reader] = await pool.query<ReaderRow & { readonly found: bigint }>(sql`
    select r.*, ${foundBy(point, actor)} as found
    from (
      select r.*, least(until_seq, greatest(visible_after_seq, floor_seq)) as after_seq
      from (${readerOf(conversation, actor)}) r
    ) r`);
  const refused = refusal(requirement, factsOf(reader));
  if (reader === undefined || refused !== undefined) return refused ?? requirement.missing;
  const bounds = boundsOf(reader);
  const until = Number(reader.until_seq);
  const readable = { after: Math.min(until, Math.max(bounds.visibleAfterSeq, bounds.floorSeq)), until };
  const place = placeOf(point, readable, pageLimit(limit), Number(reader.found));
  const { at, older, newer } = place;
  const part = { conversation, bounds, until };
  const after = Math.max(readable.after, at - older);
  // Texts are of the first statement's snapshot, whatever comes between the two; retractions are of the second's.
  const { messages } = await readParts(
    pool,
    [
      { ...part, after, count: at - after, isBackward: true },
      { ...part, after: at, count: Math.min(newer, until - at) },
    ].filter(({ count }) => count > 0),
    { bytes: older > 0 && newer > 0 ? PAGE_TEXT_BYTES / 2 : PAGE_TEXT_BYTES, perPart: true },
  );
  const page = messages.flat();
  const threads = reader.has_threads ? summariesOfPage(postgresDialect, actor, page, until) : undefined;
  const summed = threads === undefined ? page : withSummaries(page, await pool.query(threads));
  return toHistoryPage(summed, place, readable, bounds.floorSeq);
}

/** Selects the seq that a point asks for, of the reader r; 0: none. */
function foundBy(point: HistoryPoint, actor: UserId): Statement {
  if (point.at === 'date')
    return sql`gochat_first_at(r.id, r.after_seq, r.until_seq, ${storableSeq(point.ms)})`;
  if (point.at === 'firstUnread') {
    const start = sql`greatest(r.after_seq, r.read_seq)`;
    const lookedAt = sql`least(r.until_seq, ${start} + ${MAX_UNREAD}::bigint)`;
    return sql`coalesce(
      (${firstUnread(actor, { conversation: sql`r.id`, start, until: lookedAt })}),
      gochat_first_message(r.id, ${lookedAt}, r.until_seq)
    )`;
  }
  return sql`0::bigint`;
}

/** Reads the news of a device; see LogStore.sync. */
export async function sync(
  pool: Pick<PostgresPool, 'query'>,
  request: SyncRequest,
  triesLeft = 2,
): Promise<SyncResult> {
  const { user, device, cursors, pushed, after, until } = request;
  const limit = pageLimit(request.limit);
  const newest = storableSeq(request.newest) || Number.MAX_SAFE_INTEGER;
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
        select conversation
        from (select jsonb_object_keys(cursors || pushed)::bigint as conversation from given) named
        where conversation > ${after} and conversation <= ${until}
        except
        select conversation from members where user_id = ${user}
      ),
      former as materialized (
        select f.*, c.kind, c.name, c.member_version, c.floor_seq,
               -- Nothing that tells what came after the user had left.
               least(c.pins_version, f.left_seq) as pins_version,
               coalesce((select at_ms from messages where conversation = c.id and seq = f.left_seq), 0) as active_at_ms,
               coalesce(d.delivered_seq, u.delivered_seq, 0) as delivered_seq
        from outside join former_members f on f.conversation = outside.conversation and f.user_id = ${user}
        join conversations c on c.id = f.conversation and not c.deleted
        left join cursors d on d.user_id = f.user_id and d.device = ${device} and d.conversation = f.conversation
        left join cursors u on u.user_id = f.user_id and u.device = '' and u.conversation = f.conversation
      ),
      news as (
        select * from (
          select ${conversationColumns(postgresDialect)},
                 greatest(
                   m.visible_after_seq, c.floor_seq, c.last_seq - ${newest}::bigint,
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
          ${fromConversations(user, device)} and c.id > ${after} and c.id <= ${until}
          union all
          select conversation, kind, name, left_seq, member_version, null, visible_after_seq, delivered_seq, read_seq, read_epoch, 0,
                 floor_seq, pins_version, active_at_ms, 0, 0, 0,
                 greatest(
                   visible_after_seq, floor_seq, left_seq - ${newest}::bigint,
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
      select 'gone', conversation, ${nulls(18)}, reason, left_seq, null from former
      union all
      select 'foreign', ${nulls(21)}, (
        select string_agg(conversation::text, ',') from outside
        where conversation not in (select conversation from former)
      )`,
  );
  const pending: { conversation: UserConversation; start: number }[] = [];
  const unknown: SyncResult['conversations'][number][] = [];
  let gone: Gone[] = [];
  const news: (ConversationRow & { readonly start: bigint })[] = [];
  for (const row of rows) {
    if (row.part === 'foreign') gone = gone.concat(foreignOf(row.ids));
    else if (row.part === 'gone') gone.push(toGone(row));
    else news.push(row);
  }
  const subtracted = subtractedOf(postgresDialect, user, news);
  for (const row of countUnread(news, subtracted === undefined ? [] : await pool.query(subtracted))) {
    if (row.last_seq > row.start)
      pending.push({ conversation: toConversation(row), start: Number(row.start) });
    else {
      const conversation = toConversation(row);
      unknown.push({ conversation, messages: [], afterSeq: Number(row.start), asOf: conversation.lastSeq });
    }
  }
  const { parts, more } = splitPage(pending, limit);
  const last = { conversations: unknown, more: false, gone };
  if (parts.length === 0) return more ? { conversations: [], more, gone: [] } : last;
  // Texts are of the first statement's snapshot; who has left since reads no later ones.
  const found = await readParts(
    pool,
    parts.map(({ conversation, start, count }) => {
      return {
        conversation: conversation.id,
        bounds: conversation,
        until: conversation.lastSeq,
        after: start,
        count,
      };
    }),
    { bytes: PAGE_TEXT_BYTES, perPart: false },
  );
  const wanted = parts.reduce((sum, { count }) => sum + count, 0);
  const isFull = found.isSpent && found.messages.reduce((sum, { length }) => sum + length, 0) < wanted;
  const reached = isFull ? found.messages.findLastIndex(({ length }) => length > 0) + 1 : parts.length;
  const conversations = parts.slice(0, reached).flatMap(({ conversation, start }, index) => {
    const messages = found.messages[index] ?? [];
    if (messages[0]?.seq !== start + 1) return [];
    return [{ conversation, messages, afterSeq: start, asOf: conversation.lastSeq }];
  });
  // A room deleted since the first statement is being erased from its beginning; the next attempt does not find it.
  if (conversations.length < reached && triesLeft > 0) return sync(pool, request, triesLeft - 1);
  if (more || isFull) return { conversations, more: true, gone: [] };
  return { ...last, conversations: [...conversations, ...unknown] };
}

/** Fillers of a union's columns. */
function nulls(count: number): Statement {
  return new Statement([Array.from({ length: count }, () => 'null').join(', ')], []);
}
