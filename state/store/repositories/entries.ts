/** Folding: the SQL that reads entries as later ones have left them, and what both engines need for it. */
import type { ConversationId } from '../../../common/mod.ts';
import type { FoldedRow } from '../rows.ts';
import { sql, type SqlSession, type Statement } from '../sql.ts';
import { QUOTE_CHARACTERS } from '../store.ts';

/** Whose reading it is; see FoldReader. */
export interface FoldBounds {
  /** Most characters of a text; undefined: all. */
  readonly characters?: number;
  /** Texts are as of this seq, an expression; retractions are of the head. */
  readonly until: Statement;
  /** The same for the texts of targets. */
  readonly targetUntil: Statement;
}

/** As of the head, or as of when a former member left. */
export function foldedTo(seq: number | bigint): FoldBounds {
  const until = sql`cast(${seq} as bigint)`;
  return { until, targetUntil: until };
}

/** Entries as they were appended; quotes as of the head. */
export const asAppended: FoldBounds = {
  until: sql`m.seq`,
  targetUntil: sql`case m.kind when 0 then cast(${Number.MAX_SAFE_INTEGER} as bigint) else m.seq end`,
};

const message = sql`m`;
const target = sql`t`;

/** Columns of FoldedRow, of the messages m; used with foldJoins. */
export function foldedColumns({ characters, until, targetUntil }: FoldBounds): Statement {
  const body = sql`
    case when m.kind = 1 then case when ${retractionOf(target)} is null then ${textOf(target, targetUntil)} else '' end
         when r.seq is null then ${textOf(message, until)} else '' end`;
  return sql`
    m.conversation, m.seq, m.id, m.sender, m.client_msg_id, m.at_ms, m.kind,
    ${characters === undefined ? body : sql`substr(${body}, 1, ${characters})`} as body,
    ${versionOf(message, until)} as version,
    r.seq as retracted_seq, r.sender as retracted_by, r.at_ms as retracted_at_ms, rx.meta as retracted_meta,
    x.target, x.thread, x.meta,
    t.sender as target_sender, ${versionOf(target, targetUntil)} as target_version,
    ${retractionOf(target)} as target_retracted_seq,
    case when m.kind = 0 then substr(${textOf(target, targetUntil)}, 1, ${QUOTE_CHARACTERS}) end as quote`;
}

/** What an entry m has beyond a plain message, the RETRACT r of it, and the message t that it is about. */
export const foldJoins = sql`
    left join extras x on x.conversation = m.conversation and x.seq = m.seq
    left join messages r on r.conversation = m.conversation and r.seq = ${retractionOf(message)}
    left join extras rx on rx.conversation = r.conversation and rx.seq = r.seq
    left join messages t on t.conversation = m.conversation and t.seq = x.target`;

/** Seq of the last RETRACT of a message, also of a range with it that is not erased yet; null: it is not retracted. */
function retractionOf(row: Statement): Statement {
  return sql`coalesce((
      select max(e.entry_seq) from erasures e
      where e.conversation = ${row}.conversation and e.sender = ${row}.sender
        and e.from_seq <= ${row}.seq and e.to_seq >= ${row}.seq
    ), case when ${row}.retracted then ${row}.version end)`;
}

function textOf(row: Statement, until: Statement): Statement {
  return sql`case when ${isLater(row, until)} then ${revisionOf(row, sql`body`, until)} else ${row}.body end`;
}

/** Null: unchanged. */
function versionOf(row: Statement, until: Statement): Statement {
  return sql`case when ${isLater(row, until)} then ${revisionOf(row, sql`version`, until)} else ${row}.version end`;
}

/** Whether the newest text is one of after the bound. */
function isLater(row: Statement, until: Statement): Statement {
  return sql`${row}.version > ${until} and not ${row}.retracted`;
}

function revisionOf(row: Statement, column: Statement, until: Statement): Statement {
  return sql`(
      select v.${column} from revisions v
      where v.conversation = ${row}.conversation and v.seq = ${row}.seq and v.version <= ${until}
      order by v.version desc limit 1
    )`;
}

/**
 * Reads messages of several conversations for a list: folded as of `until`, their texts cut to QUOTE_CHARACTERS.
 *
 * @param places of each the conversation, its seq, and `until`
 */
export function readPlaces(
  db: SqlSession,
  places: readonly (readonly [conversation: ConversationId, seq: bigint | number, until: number])[],
): Promise<readonly FoldedRow[]> {
  const until = sql`place.until`;
  return db.query<FoldedRow>(sql`
    select ${foldedColumns({ until, targetUntil: until, characters: QUOTE_CHARACTERS })}
    from ${db.dialect.placesOf(places)}
    cross join messages m
    ${foldJoins}
    where m.conversation = place.id and m.seq = place.seq`);
}
