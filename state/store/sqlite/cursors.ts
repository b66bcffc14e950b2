/** Delivered and read cursors on SQLite; to be run inside a write transaction. */
import { storableMoves } from '../input.ts';
import { sql } from '../sql.ts';
import type { CursorMove } from '../store.ts';
import type { SqliteConnection } from './connection.ts';

/** Moves cursors forward; see CursorStore.moveCursors. */
export function moveCursors(connection: SqliteConnection, moves: readonly CursorMove[]): void {
  for (const move of storableMoves(moves)) {
    const {
      user,
      device,
      conversation,
      deliveredSeq: delivered,
      readSeq: read,
      readEpoch: epoch,
      thread,
    } = move;
    connection.rows(sql`
      insert into cursors (user_id, device, conversation, delivered_seq)
      select m.user_id, ${device}, c.id, min(${delivered}, c.last_seq)
      from members m join conversations c on c.id = m.conversation
      where m.conversation = ${conversation} and m.user_id = ${user} and min(${delivered}, c.last_seq) > 0
      on conflict (user_id, device, conversation) do update set delivered_seq = excluded.delivered_seq
      where excluded.delivered_seq > delivered_seq`);
    if (read === 0 && epoch === 0) continue;
    const of = thread > 0 ? sql`thread_members` : sql`members`;
    const readSeq = sql`(select min(${read}, c.last_seq) from conversations c where c.id = ${of}.conversation)`;
    connection.rows(sql`
      update ${of} set read_epoch = ${epoch}, read_seq = ${readSeq}
      where conversation = ${conversation} and user_id = ${user}
        ${thread > 0 ? sql`and root = ${thread} and following` : sql``}
        and (${epoch}, ${readSeq}) > (read_epoch, read_seq)`);
  }
}
