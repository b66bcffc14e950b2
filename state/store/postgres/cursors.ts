/** Delivered and read cursors on PostgreSQL. */
import { integerArray, textArray } from './arrays.ts';
import { storableMoves } from '../input.ts';
import type { PostgresPool } from './pool.ts';
import { sql } from '../sql.ts';
import type { CursorMove } from '../store.ts';

/** Moves cursors forward; see CursorStore.moveCursors. */
export async function moveCursors(pool: PostgresPool, given: readonly CursorMove[]): Promise<void> {
  const all = storableMoves(given);
  const inThreads = all.filter(
    ({ thread, readSeq, readEpoch }) => thread > 0 && (readSeq > 0 || readEpoch > 0),
  );
  if (inThreads.length > 0) await moveThreadCursors(pool, inThreads);
  const moves = all
    .map((move) => (move.thread > 0 ? { ...move, readSeq: 0, readEpoch: 0 } : move))
    .filter(({ deliveredSeq, readSeq, readEpoch }) => deliveredSeq > 0 || readSeq > 0 || readEpoch > 0);
  if (moves.length === 0) return;
  // Sorted, so that nodes that move the same cursors lock in the same order; member rows are locked before cursor rows.
  await pool.query(
    sql`
      with given as materialized (
        select user_id, device collate "C" as device, conversation, delivered, read, epoch
        from unnest(
          ${integerArray(moves.map((move) => move.user))}::bigint[],
          ${textArray(moves.map((move) => move.device))}::text[],
          ${integerArray(moves.map((move) => move.conversation))}::bigint[],
          ${integerArray(moves.map((move) => move.deliveredSeq))}::bigint[],
          ${integerArray(moves.map((move) => move.readSeq))}::bigint[],
          ${integerArray(moves.map((move) => move.readEpoch))}::bigint[]
        ) as t (user_id, device, conversation, delivered, read, epoch)
      ),
      readers as materialized (
        select m.conversation, m.user_id, least(g.read, c.last_seq) as read_seq, g.epoch as read_epoch
        from (
          select distinct on (user_id, conversation) user_id, conversation, read, epoch
          from given where read > 0 or epoch > 0
          order by user_id, conversation, epoch desc, read desc
        ) g
        join members m on m.conversation = g.conversation and m.user_id = g.user_id
        join conversations c on c.id = g.conversation
        where (g.epoch, least(g.read, c.last_seq)) > (m.read_epoch, m.read_seq)
        order by 1, 2
        for no key update of m
      ),
      moved as (
        update members m set read_seq = r.read_seq, read_epoch = r.read_epoch from readers r
        where m.conversation = r.conversation and m.user_id = r.user_id
          and (r.read_epoch, r.read_seq) > (m.read_epoch, m.read_seq)
      )
      insert into cursors (user_id, device, conversation, delivered_seq)
      select g.user_id, g.device, g.conversation, least(g.delivered, c.last_seq)
      from (select user_id, device, conversation, max(delivered) as delivered from given group by 1, 2, 3) g
      join members m on m.conversation = g.conversation and m.user_id = g.user_id
      join conversations c on c.id = g.conversation
      where least(g.delivered, c.last_seq) > 0
      order by 1, 2, 3
      on conflict (user_id, device, conversation) do update
      set delivered_seq = excluded.delivered_seq
      where excluded.delivered_seq > cursors.delivered_seq`,
  );
}

async function moveThreadCursors(pool: PostgresPool, moves: readonly Required<CursorMove>[]): Promise<void> {
  await pool.query(sql`
    with readers as materialized (
      select tm.ctid, least(g.read, c.last_seq) as read_seq, g.epoch as read_epoch
      from (
        select distinct on (user_id, conversation, root) user_id, conversation, root, read, epoch
        from unnest(
          ${integerArray(moves.map((move) => move.user))}::bigint[],
          ${integerArray(moves.map((move) => move.conversation))}::bigint[],
          ${integerArray(moves.map((move) => move.thread))}::bigint[],
          ${integerArray(moves.map((move) => move.readSeq))}::bigint[],
          ${integerArray(moves.map((move) => move.readEpoch))}::bigint[]
        ) as t (user_id, conversation, root, read, epoch)
        order by user_id, conversation, root, epoch desc, read desc
      ) g
      join thread_members tm on tm.conversation = g.conversation and tm.root = g.root and tm.user_id = g.user_id and tm.following
      join conversations c on c.id = g.conversation
      where (g.epoch, least(g.read, c.last_seq)) > (tm.read_epoch, tm.read_seq)
      order by tm.conversation, tm.root, tm.user_id
      for no key update of tm
    )
    update thread_members tm set read_seq = r.read_seq, read_epoch = r.read_epoch from readers r
    where tm.ctid = r.ctid and (r.read_epoch, r.read_seq) > (tm.read_epoch, tm.read_seq)`);
}
