/** Queries of cursors as others are shown them: receipts. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { sql, type SqlSession, type Statement } from '../sql.ts';
import type { ShownReceipt } from '../store.ts';

interface ReceiptRow {
  readonly conversation: ConversationId;
  readonly user_id: UserId;
  readonly read_seq: bigint;
  readonly shown_read_seq: bigint;
  readonly shown_delivered_seq: bigint;
  readonly hides_receipts: boolean | bigint;
}

/**
 * Columns of ReceiptRow from members m, their settings s and frozen receipts f. Of a user who is invisible others are shown the
 * cursors of before, or none.
 */
const receiptColumns = sql`
  m.conversation, m.user_id, m.read_seq,
  case when coalesce(s.invisible, false) then coalesce(f.read_seq, 0) else m.read_seq end as shown_read_seq,
  case when coalesce(s.invisible, false) then coalesce(f.delivered_seq, 0) else coalesce((
    select max(d.delivered_seq) from cursors d where d.conversation = m.conversation and d.user_id = m.user_id
  ), 0) end as shown_delivered_seq,
  coalesce(s.hides_receipts, false) as hides_receipts`;

const receiptJoins: Statement = sql`
  left join user_settings s on s.user_id = m.user_id
  left join frozen_receipts f on f.user_id = m.user_id and f.conversation = m.conversation`;

/** See CursorStore.receiptsOf. */
export async function receiptsOf(
  db: SqlSession,
  members: readonly { readonly conversation: ConversationId; readonly user: UserId }[],
): Promise<ShownReceipt[]> {
  if (members.length === 0) return [];
  const places = members.map(({ conversation, user }) => [conversation, user, 0] as const);
  const rows = await db.query<ReceiptRow>(sql`
    select ${receiptColumns}
    from ${db.dialect.placesOf(places)}
    join members m on m.conversation = place.id and m.user_id = place.seq
    ${receiptJoins}`);
  return rows.map(toReceipt);
}

function toReceipt(row: ReceiptRow): ShownReceipt {
  return {
    conversation: row.conversation,
    user: row.user_id,
    readSeq: Number(row.read_seq),
    shown: row.hides_receipts
      ? undefined
      : { readSeq: Number(row.shown_read_seq), deliveredSeq: Number(row.shown_delivered_seq) },
  };
}
