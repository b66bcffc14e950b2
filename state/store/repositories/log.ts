/** Queries of entries that both engines share. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { AccessCheck, Refusal } from '../../policy.ts';
import { storableSeq } from '../input.ts';
import { type FoldedRow, toEntry } from '../rows.ts';
import { sql, type SqlSession } from '../sql.ts';
import { MAX_PINS, type Message, type Pin } from '../store.ts';
import { admitReader, boundsOf } from './conversations.ts';
import { asAppended, foldedColumns, foldedTo, foldJoins } from './entries.ts';

/** See LogStore.entriesAt. */
export async function entriesAt(
  db: SqlSession,
  conversation: ConversationId,
  seqs: readonly number[],
): Promise<Message[]> {
  const rows = await db.query<FoldedRow & { readonly floor_seq: bigint }>(sql`
    select ${foldedColumns(asAppended)}, c.floor_seq
    from conversations c
    join messages m on m.conversation = c.id and m.seq > c.floor_seq
      and m.seq in ${db.dialect.listOf(seqs.map((seq) => BigInt(storableSeq(seq))))}
    ${foldJoins}
    where c.id = ${conversation}
    order by m.seq`);
  return rows.map((row) => toEntry(row, { visibleAfterSeq: 0, floorSeq: Number(row.floor_seq) }));
}

/** See LogStore.pinsOf. */
export async function pinsOf(
  db: SqlSession,
  conversation: ConversationId,
  by: AccessCheck,
  start = 0,
  limit = MAX_PINS,
): Promise<{ readonly pins: readonly Pin[]; readonly pinsVersion: number } | Refusal> {
  const reader = await admitReader(db, conversation, by);
  if (typeof reader === 'string') return reader;
  const bounds = boundsOf(reader);
  const rows = await db.query<FoldedRow & { readonly pinned_by: UserId; readonly pinned_at_ms: bigint }>(sql`
    select ${foldedColumns(foldedTo(reader.until_seq))}, pe.sender as pinned_by, pe.at_ms as pinned_at_ms
    from pins p
    join messages m on m.conversation = p.conversation and m.seq = p.seq
    join messages pe on pe.conversation = p.conversation and pe.seq = p.entry_seq
    ${foldJoins}
    where p.conversation = ${conversation} and p.seq > ${Math.max(bounds.visibleAfterSeq, bounds.floorSeq)}
      and p.entry_seq <= ${reader.until_seq}
    order by p.entry_seq desc
    limit ${storableSeq(limit)} offset ${storableSeq(start)}`);
  const pins = rows.map((row) => {
    return { message: toEntry(row, bounds), by: row.pinned_by, atMs: Number(row.pinned_at_ms) };
  });
  return { pins, pinsVersion: Number(reader.pins_version) };
}
