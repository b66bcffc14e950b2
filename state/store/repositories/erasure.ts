/** The floor of a conversation, and the erasing in batches of what nobody can read any more. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { pageLimit, storableSeq } from '../input.ts';
import { parseMeta } from '../entry-meta.ts';
import { type EvidenceRow, toEvidence } from '../rows.ts';
import { sql, type SqlDatabase, type SqlSession } from '../sql.ts';
import { type Evidence, REFUSAL_MS } from '../store.ts';
import { eraseRetracted, keepEvidence } from './retraction.ts';

/** A row of `erasures`. */
interface ErasureRow {
  readonly entry_seq: bigint;
  readonly sender: UserId;
  readonly from_seq: bigint;
  readonly to_seq: bigint;
  readonly evidence_until_ms: bigint | null;
}

/** See LogStore.raiseFloor. */
export async function raiseFloor(
  session: SqlSession,
  conversation: ConversationId,
  seq: number,
): Promise<number> {
  const [before] = await session.query<{ last_seq: bigint; floor_seq: bigint }>(sql`
    select last_seq, floor_seq from conversations where id = ${conversation} and not deleted
    ${session.dialect.forChange}`);
  if (before === undefined) return 0;
  const floor = Math.min(storableSeq(seq), Number(before.last_seq));
  if (floor <= Number(before.floor_seq)) return Number(before.floor_seq);
  await session.query(sql`
    update conversations
    set floor_seq = ${floor},
        floor_skipped = coalesce((
          select x.skipped from extras x where x.conversation = ${conversation} and x.seq <= ${floor}
          order by x.seq desc limit 1
        ), floor_skipped)
    where id = ${conversation}`);
  await session.query(sql`delete from pins where conversation = ${conversation} and seq <= ${floor}`);
  await session.query(sql`
    insert into erasures (conversation, entry_seq, sender, from_seq, to_seq)
    values (${conversation}, 0, 0, 0, ${floor})
    on conflict (conversation, entry_seq) do update set to_seq = excluded.to_seq`);
  return floor;
}

/**
 * See LogStore.erase. Ranges come first, as their evidence needs what the rest erases; nothing waits until there are none, as
 * new ones may always come.
 */
export async function erase(db: SqlDatabase, limit: number, nowMs: number): Promise<boolean> {
  const most = pageLimit(limit);
  let isLeft = false;
  for (const step of [eraseRange, eraseDeleted, eraseBelowFloor, eraseRefusals])
    if (await db.transaction((session) => step(session, most))) isLeft = true;
  return (await db.transaction((session) => eraseEvidence(session, most, nowMs))) || isLeft;
}

/** See LogStore.evidenceOf. */
export async function evidenceOf(
  db: SqlSession,
  conversation: ConversationId,
  nowMs: number,
): Promise<Evidence[]> {
  const rows = await db.query<EvidenceRow>(sql`
    select * from evidence where conversation = ${conversation} and expires_at_ms > ${storableSeq(nowMs)}
    order by seq`);
  return rows.map(toEvidence);
}

/** Erases entries of deleted rooms, then the rooms; evidence stays until it expires. */
async function eraseDeleted(session: SqlSession, limit: number): Promise<boolean> {
  const { isTrue, forRemoval } = session.dialect;
  const [room] = await session.query<{ id: ConversationId }>(sql`
    select id from conversations where deleted = ${isTrue} order by id limit 1`);
  if (room === undefined) return false;
  // Waits for whoever has the lock: an append without members, or another node that erases.
  const locked = await session.query(sql`select id from conversations where id = ${room.id} ${forRemoval}`);
  if (locked.length === 0 || (await hasRange(session, room.id))) return true;
  if (await eraseUpTo(session, room.id, Number.MAX_SAFE_INTEGER, limit)) return true;
  await session.query(sql`delete from pins where conversation = ${room.id}`);
  await session.query(sql`delete from erasures where conversation = ${room.id}`);
  await session.query(sql`
    delete from cursors where conversation = ${room.id} and user_id in (
      select user_id from former_members where conversation = ${room.id}
    )`);
  await session.query(sql`delete from former_members where conversation = ${room.id}`);
  await session.query(sql`delete from conversations where id = ${room.id}`);
  return true;
}

/** Erases messages of a retracted range, `limit` seqs further: of any conversation, so that none waits for all of another's. */
async function eraseRange(session: SqlSession, limit: number): Promise<boolean> {
  const { forChange } = session.dialect;
  const [found] = await session.query<{ conversation: ConversationId; entry_seq: bigint }>(sql`
    select conversation, min(entry_seq) as entry_seq from erasures where entry_seq > 0
    group by conversation order by random() limit 1`);
  if (found === undefined) return false;
  const { conversation } = found;
  await session.query(sql`select id from conversations where id = ${conversation} ${forChange}`);
  // Another node may have erased it meanwhile.
  const [row] = await session.query<
    ErasureRow & { readonly by: UserId; readonly at_ms: bigint; readonly meta: string | null }
  >(sql`
    select e.*, m.sender as by, m.at_ms, x.meta
    from erasures e
    join messages m on m.conversation = e.conversation and m.seq = e.entry_seq
    join extras x on x.conversation = m.conversation and x.seq = m.seq
    where e.conversation = ${conversation} and e.entry_seq = ${found.entry_seq}`);
  if (row === undefined) return true;
  const [seq, fromSeq] = [Number(row.entry_seq), Number(row.from_seq)];
  const toSeq = Math.min(Number(row.to_seq), fromSeq + limit - 1);
  const range = { conversation, sender: row.sender, fromSeq, toSeq };
  const retraction = { seq, by: row.by, atMs: Number(row.at_ms), reason: parseMeta(row.meta).reason };
  if (row.evidence_until_ms !== null)
    await session.query(keepEvidence(session.dialect, range, retraction, Number(row.evidence_until_ms)));
  for (const statement of eraseRetracted(session.dialect, range, seq)) await session.query(statement);
  await session.query(sql`
    update erasures set from_seq = ${toSeq + 1} where conversation = ${conversation} and entry_seq = ${seq}`);
  await session.query(sql`
    delete from erasures where conversation = ${conversation} and entry_seq = ${seq} and from_seq > to_seq`);
  return true;
}

async function eraseBelowFloor(session: SqlSession, limit: number): Promise<boolean> {
  const { forChange } = session.dialect;
  const [found] = await session.query<{ conversation: ConversationId }>(sql`
    select e.conversation from erasures e join conversations c on c.id = e.conversation and not c.deleted
    where e.entry_seq = 0 order by random() limit 1`);
  if (found === undefined) return false;
  const { conversation } = found;
  const [locked] = await session.query<{ floor_seq: bigint }>(sql`
    select floor_seq from conversations where id = ${conversation} ${forChange}`);
  if (locked === undefined || (await hasRange(session, conversation))) return true;
  if (await eraseUpTo(session, conversation, Number(locked.floor_seq), limit)) return true;
  await session.query(sql`delete from erasures where conversation = ${conversation} and entry_seq = 0`);
  return true;
}

/** Whether a range of a locked conversation has come meanwhile, which is next: its evidence needs the RETRACT. */
async function hasRange(session: SqlSession, conversation: ConversationId): Promise<boolean> {
  const ranges = await session.query(sql`
    select entry_seq from erasures where conversation = ${conversation} and entry_seq > 0 limit 1`);
  return ranges.length > 0;
}

async function eraseEvidence(session: SqlSession, limit: number, nowMs: number): Promise<boolean> {
  const erased = await session.query(sql`
    delete from evidence where (conversation, seq) in (
      select conversation, seq from evidence where expires_at_ms <= ${storableSeq(nowMs)}
      order by expires_at_ms limit ${limit}
    )
    returning seq`);
  return erased.length >= limit;
}

/** Forgets refusals by the engine's clock, which wrote their times. */
async function eraseRefusals(session: SqlSession, limit: number): Promise<boolean> {
  const { nowMs, forRemoval } = session.dialect;
  const erased = await session.query(sql`
    delete from refusals where (conversation, sender, client_msg_id) in (
      select conversation, sender, client_msg_id from refusals where at_ms <= ${nowMs} - ${REFUSAL_MS}
      order by at_ms limit ${limit} ${forRemoval}
    )
    returning sender`);
  return erased.length >= limit;
}

/** Erases the `limit` first entries up to a seq with what there is about them. Returns whether there may be more. */
async function eraseUpTo(
  session: SqlSession,
  conversation: ConversationId,
  toSeq: number,
  limit: number,
): Promise<boolean> {
  const erased = await session.query<{ seq: bigint }>(sql`
    delete from messages
    where conversation = ${conversation} and seq in (
      select seq from messages where conversation = ${conversation} and seq <= ${toSeq} order by seq limit ${limit}
    )
    returning seq`);
  const last = erased.reduce((max, { seq }) => Math.max(max, Number(seq)), 0);
  for (const table of [sql`extras`, sql`revisions`])
    await session.query(sql`delete from ${table} where conversation = ${conversation} and seq <= ${last}`);
  await session.query(sql`delete from threads where conversation = ${conversation} and last_seq <= ${last}`);
  await session.query(sql`
    delete from thread_members
    where conversation = ${conversation} and root <= ${last} and not exists (
      select 1 from threads t where t.conversation = thread_members.conversation and t.root = thread_members.root
    )`);
  return erased.length >= limit;
}
