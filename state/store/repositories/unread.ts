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
      and m.sender <> ${user} and not m.retracted
      and not exists (
        select 1 from erasures e
        where e.conversation = m.conversation and e.sender = m.sender and m.seq between e.from_seq and e.to_seq
      )
    order by m.seq limit 1`;
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
