/** The statements that retract messages of one sender, of one message or of a range; both the append and `erase` run them. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { type Dialect, sql, type Statement } from '../sql.ts';
import { type Retraction, THREAD_REPLY } from '../store.ts';

export interface RetractedRange {
  readonly conversation: ConversationId;
  readonly sender: UserId;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** Unpins; at the commit of the RETRACT. */
export function unpinRetracted({ conversation, sender, fromSeq, toSeq }: RetractedRange): Statement {
  return sql`
    delete from pins
    where conversation = ${conversation} and seq between ${fromSeq} and ${toSeq} and exists (
      select 1 from messages m
      where m.conversation = pins.conversation and m.seq = pins.seq and m.sender = ${sender}
    )`;
}

/** Copies all texts; before eraseRetracted. What was retracted before has none. */
export function keepEvidence(
  { jsonArray }: Dialect,
  range: RetractedRange,
  { seq, by, atMs, reason }: Retraction,
  expiresAtMs: number,
): Statement {
  return sql`
    insert into evidence (
      conversation, seq, sender, at_ms, texts, entry_seq, by_user, by_at_ms, reason, expires_at_ms
    )
    select m.conversation, m.seq, m.sender, m.at_ms,
           (
             select cast(${jsonArray}(v.body order by v.version) as text)
             from (
               select r.version, r.body from revisions r where r.conversation = m.conversation and r.seq = m.seq
               union all
               select cast(${Number.MAX_SAFE_INTEGER} as bigint), m.body
             ) v
           ),
           cast(${seq} as bigint), cast(${by} as bigint), cast(${atMs} as bigint), cast(${reason} as text),
           cast(${expiresAtMs} as bigint)
    from messages m
    where ${isConcerned(range)} and not m.retracted`;
}

/** Erases the texts and marks the messages as retracted by the entry. To be run in this order. */
export function eraseRetracted(
  { isTrue }: Dialect,
  range: RetractedRange,
  entrySeq: number,
): readonly Statement[] {
  const { conversation } = range;
  const concerned = sql`
    conversation = ${conversation} and seq in (select m.seq from messages m where ${isConcerned(range)})`;
  return [
    sql`delete from revisions where ${concerned}`,
    sql`update messages set body = '', version = ${entrySeq}, retracted = ${isTrue} where ${concerned}`,
  ];
}

/** The last retraction of a message counts. */
function isConcerned({ conversation, sender, fromSeq, toSeq }: RetractedRange): Statement {
  return sql`
    m.conversation = ${conversation} and m.seq between ${fromSeq} and ${toSeq} and m.sender = ${sender}
    and m.kind in (0, ${THREAD_REPLY})`;
}
