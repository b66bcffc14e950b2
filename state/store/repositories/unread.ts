/**
 * Unread counts. The log's ordinals say how many messages lie between two seqs (conversationColumns); this subtracts those that are the
 * user's own, or retracted. Nothing is kept, so no count can get stuck.
 */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { type Dialect, sql, type SqlSession, type Statement } from '../sql.ts';

/**
 * Most entries above a cursor that are looked at. Where there are more, and a message among them, the count is this number,
 * which stands for "as many or more".
 */
export const MAX_UNREAD = 1000;

/** A conversation of a user, with the number of messages in the range that may be unread. */
export interface CountedRow {
  readonly id: ConversationId;
  readonly last_seq: bigint;
  readonly read_seq: bigint;
  readonly visible_after_seq: bigint;
  readonly floor_seq: bigint;
  readonly unread: bigint;
}

/** How many of these are not unread. */
export interface SubtractedRow {
  readonly id: ConversationId;
  readonly subtracted: bigint;
}

/** Returns the statement that answers with SubtractedRows; undefined: there is nothing to subtract. */
export function subtractedOf(
  { placesOf }: Dialect,
  user: UserId,
  rows: readonly CountedRow[],
): Statement | undefined {
  const places = rows.flatMap((row) => {
    const start = startOf(row);
    const until = Number(row.last_seq);
    return row.unread > 0 && until - start <= MAX_UNREAD ? [[row.id, start, until] as const] : [];
  });
  if (places.length === 0) return undefined;
  return sql`
    select place.id, (
      select count(*) from messages m
      where m.conversation = place.id and m.seq > place.seq and m.seq <= place.until and m.kind = 0
        and (m.sender = ${user} or m.retracted)
    ) + (
      select count(distinct m.seq)
      from erasures e
      join messages m on m.conversation = e.conversation and m.seq >= e.from_seq and m.seq <= e.to_seq and m.sender = e.sender
      where e.conversation = place.id and e.entry_seq > 0 and m.seq > place.seq and m.seq <= place.until and m.kind = 0
        and m.sender <> ${user} and not m.retracted
    ) as subtracted
    from ${placesOf(places)}`;
}

/** Selects the seq of the first unread message with start < seq <= until, if there is one. */
export function firstUnread(
  user: UserId,
  { conversation, start, until }: Readonly<Record<'conversation' | 'start' | 'until', Statement>>,
): Statement {
  return sql`
    select m.seq from messages m
    where m.conversation = ${conversation} and m.seq > ${start} and m.seq <= ${until} and m.kind = 0
      and ${isUnread(sql`m`, sql`${user}`)}
    order by m.seq limit 1`;
}

/** Whether a message beyond the user's cursor is unread: it is another's, and nobody has retracted it. */
export function isUnread(row: Statement, user: Statement): Statement {
  return sql`
    ${row}.sender <> ${user} and not ${row}.retracted and not exists (
      select 1 from erasures e
      where e.conversation = ${row}.conversation and e.sender = ${row}.sender and ${row}.seq between e.from_seq and e.to_seq
    )`;
}

/** What the queries of unread replies need, as expressions: of a thread, its reader, and how far that one may read. */
export interface ReplyRange {
  readonly conversation: Statement;
  readonly root: Statement;
  readonly user: Statement;
  readonly start: Statement;
  readonly until: Statement;
}

const NO_END = sql`cast(${Number.MAX_SAFE_INTEGER} as bigint)`;

/** Replies x that are looked at. */
function repliesIn({ conversation, root, start, until }: ReplyRange): Statement {
  return sql`x.conversation = ${conversation} and x.thread = ${root} and x.seq > ${start} and x.seq <= ${until}`;
}

/** Whether there are more replies than are looked at. */
export function areMany(range: ReplyRange): Statement {
  return sql`exists (select 1 from extras x where ${repliesIn(range)} order by x.seq limit 1 offset ${MAX_UNREAD})`;
}

/** From the replies x that are unread. */
export function fromUnreadReplies(range: ReplyRange): Statement {
  return sql`
    from extras x join messages r on r.conversation = x.conversation and r.seq = x.seq
    where ${repliesIn(range)} and ${isUnread(sql`r`, range.user)}`;
}

/** The seq after which replies may be unread: of a member m of c who follows the thread with the cursor tm. */
export function threadStart({ greatest }: Dialect): Statement {
  return sql`${greatest}(tm.read_seq, m.visible_after_seq, c.floor_seq)`;
}

/** The number of threads with unread replies that a member m of c follows. */
export function unreadThreadsOf(dialect: Dialect): Statement {
  const range = {
    conversation: sql`tm.conversation`,
    root: sql`tm.root`,
    user: sql`tm.user_id`,
    start: threadStart(dialect),
    until: NO_END,
  };
  return sql`(
    select count(*) from (
      select 1 from thread_members tm
      where tm.user_id = m.user_id and tm.conversation = m.conversation and tm.following and tm.root > m.visible_after_seq
        and (${areMany(range)} or exists (select 1 ${fromUnreadReplies(range)}))
      limit ${MAX_UNREAD}
    ) unread_threads
  )`;
}

/** Returns the rows with their unread counts. */
export function countUnread<Row extends CountedRow>(
  rows: readonly Row[],
  subtracted: readonly SubtractedRow[],
): Row[] {
  const byId = new Map(subtracted.map((row) => [row.id, row.subtracted]));
  return rows.map((row) => {
    if (row.unread <= 0) return row;
    const isMany = Number(row.last_seq) - startOf(row) > MAX_UNREAD;
    return { ...row, unread: isMany ? BigInt(MAX_UNREAD) : row.unread - (byId.get(row.id) ?? 0n) };
  });
}

/** Reads what is to be subtracted, and subtracts it. */
export async function withUnread<Row extends CountedRow>(
  db: SqlSession,
  user: UserId,
  rows: readonly Row[],
): Promise<Row[]> {
  const statement = subtractedOf(db.dialect, user, rows);
  return countUnread(rows, statement === undefined ? [] : await db.query<SubtractedRow>(statement));
}

/** The seq after which messages may be unread. */
function startOf({ read_seq, visible_after_seq, floor_seq }: CountedRow): number {
  return Math.max(Number(read_seq), Number(visible_after_seq), Number(floor_seq));
}
