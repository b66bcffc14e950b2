/** Queries of cursors as others are shown them: receipts. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { type AccessCheck, refusal, type Refusal } from '../../policy.ts';
import { pageLimit, storableId } from '../input.ts';
import { pageKey, parsePageKey, toPage } from '../page-key.ts';
import { sql, type SqlDatabase, type SqlSession, type Statement } from '../sql.ts';
import type { CursorStore, MovedCursor, Page, ShownReceipt } from '../store.ts';
import { admitReader, conversationOf } from './conversations.ts';
import { markThreadRead } from './threads.ts';

interface MovedRow {
  readonly conversation: ConversationId;
  /** 0: of the timeline. */
  readonly root: bigint;
  readonly read_seq: bigint;
  readonly read_epoch: bigint;
}

interface ReceiptRow {
  readonly conversation: ConversationId;
  readonly user_id: UserId;
  readonly read_seq: bigint;
  readonly read_epoch: bigint;
  readonly shown_read_seq: bigint;
  readonly shown_read_epoch: bigint;
  readonly shown_delivered_seq: bigint;
  readonly hides_receipts: boolean | bigint;
}

/**
 * Columns of ReceiptRow from members m, their settings s and frozen receipts f. Of a user who is invisible others are shown the
 * cursors of before, or none.
 */
const receiptColumns = sql`
  m.conversation, m.user_id, m.read_seq, m.read_epoch,
  case when coalesce(s.invisible, false) then coalesce(f.read_seq, 0) else m.read_seq end as shown_read_seq,
  case when coalesce(s.invisible, false) then coalesce(f.read_epoch, 0) else m.read_epoch end as shown_read_epoch,
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

/** See CursorStore.receiptsIn. */
export async function receiptsIn(
  db: SqlSession,
  conversations: readonly ConversationId[],
): Promise<ShownReceipt[]> {
  const rows = await db.query<ReceiptRow>(sql`
    select ${receiptColumns}
    from members m
    ${receiptJoins}
    where m.conversation in ${db.dialect.listOf(conversations.map(storableId))}`);
  return rows.map(toReceipt);
}

/** See CursorStore.readersOf. It goes through the members by id: an index on cursors would make each move dearer. */
export async function readersOf(
  db: SqlSession,
  conversation: ConversationId,
  by: AccessCheck,
  { seq, after, limit }: { readonly seq: number; readonly after: string; readonly limit: number },
): Promise<Page<UserId> | Refusal | 'TARGET_NOT_FOUND' | 'TARGET_EXPIRED'> {
  const reader = await admitReader(db, conversation, by);
  if (typeof reader === 'string') return reader;
  if (seq < 1 || seq > reader.until_seq || seq <= reader.visible_after_seq) return 'TARGET_NOT_FOUND';
  if (seq <= reader.floor_seq) return 'TARGET_EXPIRED';
  const size = pageLimit(limit);
  const [start] = after === '' ? [0n] : (parsePageKey(after, 1) ?? []);
  if (start === undefined) return { items: [], next: undefined };
  const rows = await db.query<{ user_id: UserId }>(sql`
    select m.user_id
    from members m
    ${receiptJoins}
    where m.conversation = ${conversation} and m.user_id > ${start}
      and m.read_seq >= ${seq} and m.visible_after_seq < ${seq}
      and not coalesce(s.hides_receipts, false)
      and (not coalesce(s.invisible, false) or coalesce(f.read_seq, 0) >= ${seq})
    order by m.user_id limit ${size + 1}`);
  const page = toPage(rows, size, (last) => pageKey(last.user_id));
  return { items: page.items.map((row) => row.user_id), next: page.next };
}

function toReceipt(row: ReceiptRow): ShownReceipt {
  return {
    conversation: row.conversation,
    user: row.user_id,
    readSeq: Number(row.read_seq),
    readEpoch: Number(row.read_epoch),
    shown: row.hides_receipts
      ? undefined
      : {
          readSeq: Number(row.shown_read_seq),
          readEpoch: Number(row.shown_read_epoch),
          deliveredSeq: Number(row.shown_delivered_seq),
        },
  };
}

/** See CursorStore.markAllRead. Rows are locked in the order in which moveCursors does. */
export async function markAllRead(
  db: SqlDatabase,
  user: UserId,
  conversation: ConversationId | undefined,
): Promise<MovedCursor[]> {
  const inOne = conversation === undefined ? sql`` : sql`and conversation = ${conversation}`;
  const end = (table: Statement) =>
    sql`(select c.last_seq from conversations c where c.id = ${table}.conversation)`;
  return db.transaction(async (session) => {
    const { forChange } = session.dialect;
    await session.query(sql`
      select conversation from members where user_id = ${user} ${inOne} order by conversation ${forChange}`);
    const timelines = await session.query<MovedRow>(sql`
      update members set read_seq = ${end(sql`members`)}
      where user_id = ${user} ${inOne} and read_seq < ${end(sql`members`)}
      returning conversation, 0 as root, read_seq, read_epoch`);
    await session.query(sql`
      select root from thread_members where user_id = ${user} ${inOne} and following
      order by conversation, root ${forChange}`);
    const isMember = sql`exists (
      select 1 from members m where m.conversation = thread_members.conversation and m.user_id = thread_members.user_id
    )`;
    const threads = await session.query<MovedRow>(sql`
      update thread_members set read_seq = ${end(sql`thread_members`)}
      where user_id = ${user} ${inOne} and following and ${isMember} and read_seq < ${end(sql`thread_members`)}
      returning conversation, root, read_seq, read_epoch`);
    return [...timelines, ...threads].map((row) => ({
      conversation: row.conversation,
      thread: Number(row.root),
      readSeq: Number(row.read_seq),
      readEpoch: Number(row.read_epoch),
    }));
  });
}

/** See CursorStore.markRead. */
export async function markRead(
  db: SqlSession,
  conversation: ConversationId,
  { actor, requirement }: AccessCheck,
  { readSeq, readEpoch, device, thread = 0 }: Parameters<CursorStore['markRead']>[2],
): ReturnType<CursorStore['markRead']> {
  const find = () => conversationOf(db, conversation, actor, device);
  const before = await find();
  const refused = refusal(requirement, { kind: before?.kind, actor: before?.role ?? 'nonmember' });
  if (before === undefined || refused !== undefined) return refused ?? requirement.missing;
  if (readSeq > before.lastSeq) return 'CURSOR_BEYOND_END';
  if (thread > 0) {
    const place = { conversation, user: actor, root: thread };
    const wrong = await markThreadRead(db, place, { readSeq, readEpoch });
    return wrong ?? (await find()) ?? requirement.missing;
  }
  await db.query(sql`
    update members set read_seq = ${readSeq}, read_epoch = ${readEpoch}
    where conversation = ${conversation} and user_id = ${actor} and (read_epoch, read_seq) < (${readEpoch}, ${readSeq})`);
  const after = await find();
  if (after === undefined) return requirement.missing;
  return after.readEpoch > readEpoch ? 'CURSOR_EPOCH_OLD' : after;
}
