/** Reads parts of conversations, folded as by repositories/entries.ts, but with an index probe per row under every plan. */
import type { ConversationId } from '../../../common/mod.ts';
import { type FoldedRow, type ReadBounds, toEntry, toMessage } from '../rows.ts';
import { sql, type SqlSession, type Statement } from '../sql.ts';
import { type Message, QUOTE_CHARACTERS, THREAD_REPLY } from '../store.ts';
import { integerArray } from './arrays.ts';

/** The entries with after < seq <= after + count. */
export interface EntryPart {
  readonly conversation: ConversationId;
  readonly bounds: ReadBounds;
  /** Texts are as of this seq. */
  readonly until: number;
  readonly after: number;
  readonly count: number;
  /** Whether the newest entries are taken first. */
  readonly isBackward?: boolean;
}

/** The texts to read end with the one that reaches `bytes`. */
export interface TextBudget {
  readonly bytes: number;
  /** Whether each part has so much, or all of them together. */
  readonly perPart: boolean;
}

export interface FoundParts {
  /** Of each part, ascending. */
  readonly messages: readonly (readonly Message[])[];
  /** Whether the last one has reached the budget. */
  readonly isSpent: boolean;
}

/** Reads the parts in their order, in one statement. */
export async function readParts(
  session: Pick<SqlSession, 'query'>,
  parts: readonly EntryPart[],
  { bytes, perPart }: TextBudget,
): Promise<FoundParts> {
  const column = (value: (part: EntryPart, index: number) => bigint | number) =>
    sql`${integerArray(parts.map(value))}::bigint[]`;
  const rows = await session.query<FoldedRow & { n: bigint; is_special: boolean; bytes: bigint }>(sql`
    select *
    from (
      select f.*, p.n, s.is_special,
             sum(octet_length(f.body)) over (
               partition by p.budget order by p.n, case p.is_backward when 1 then -f.seq else f.seq end
             ) as bytes
      from unnest(
        ${column(({ conversation }) => conversation)}, ${column(({ after }) => after)},
        ${column(({ count }) => count)}, ${column(({ until }) => until)},
        ${column(({ isBackward }) => (isBackward ? 1 : 0))}, ${column((_, index) => (perPart ? index : 0))}
      ) with ordinality as p (conversation, after, count, until, is_backward, budget, n)
      cross join lateral (
        select exists (select from extras where conversation = p.conversation) as is_special,
               exists (select from erasures where conversation = p.conversation and entry_seq > 0) as is_erasing
        offset 0
      ) s
      cross join lateral (
        select * from messages
        where conversation = p.conversation and seq > p.after and seq <= p.after + p.count
        order by seq limit p.count
      ) m
      cross join lateral (${folded}) f
    ) f
    where bytes - octet_length(body) < ${bytes}
    order by n, seq`);
  const messages = parts.map((): Message[] => []);
  for (const row of rows) {
    const index = Number(row.n) - 1;
    const entry = row.is_special ? toEntry(row, (parts[index] as EntryPart).bounds) : toMessage(row);
    (messages[index] as Message[]).push(entry);
  }
  return { messages, isSpent: Number(rows.at(-1)?.bytes ?? 0) >= bytes };
}

/** What has changed a message: r its retraction, v its text as of p.until if it has a newer one. */
function changesOf(row: Statement, [r, v]: readonly [Statement, Statement]): Statement {
  return sql`
    left join lateral (
      select coalesce(
               (
                 select max(entry_seq) from erasures
                 where s.is_erasing and ${row}.kind in (0, ${THREAD_REPLY}) and conversation = ${row}.conversation
                   and sender = ${row}.sender and ${row}.seq between from_seq and to_seq
               ),
               case when ${row}.retracted then ${row}.version end
             ) as seq
      offset 0
    ) ${r} on true
    left join lateral (
      select version, body from revisions
      where ${r}.seq is null and ${row}.version > p.until
        and conversation = ${row}.conversation and seq = ${row}.seq and version <= p.until
      order by version desc limit 1
    ) ${v} on true`;
}

/** Selects the columns of FoldedRow for the entry m of the part p; plain ones are looked up nowhere. */
const folded = sql`
  select m.conversation, m.seq, m.id, m.sender, m.client_msg_id, m.at_ms, m.kind,
         case when m.kind in (0, ${THREAD_REPLY}) and mr.seq is null then coalesce(mv.body, m.body)
              when m.kind = 1 and tr.seq is null then coalesce(tv.body, t.body, '')
              else '' end as body,
         coalesce(mv.version, m.version) as version,
         mr.seq as retracted_seq, rm.sender as retracted_by, rm.at_ms as retracted_at_ms, rx.meta as retracted_meta,
         x.target, x.thread, x.meta,
         t.sender as target_sender, coalesce(tv.version, t.version) as target_version, tr.seq as target_retracted_seq,
         case when m.kind = 0 and tr.seq is null then left(coalesce(tv.body, t.body), ${QUOTE_CHARACTERS}) end as quote
  from (values (true)) one
  left join lateral (
    select target, thread, meta from extras
    where s.is_special and conversation = m.conversation and seq = m.seq limit 1
  ) x on true
  ${changesOf(sql`m`, [sql`mr`, sql`mv`])}
  left join lateral (
    select sender, at_ms from messages where conversation = m.conversation and seq = mr.seq limit 1
  ) rm on true
  left join lateral (
    select meta from extras where conversation = m.conversation and seq = mr.seq limit 1
  ) rx on true
  left join lateral (
    select conversation, seq, sender, kind, body, version, retracted from messages
    where x.target > 0 and conversation = m.conversation and seq = x.target limit 1
  ) t on true
  ${changesOf(sql`t`, [sql`tr`, sql`tv`])}`;
