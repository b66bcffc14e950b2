/** Entries that the server makes. The transaction must have locked the conversation. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { metaOfSystem } from '../entry-meta.ts';
import { NO_EXTRA } from '../rows.ts';
import { sql, type SqlSession } from '../sql.ts';
import { ENTRY_KINDS, type EntryStamp, type Message, type SystemEvent } from '../store.ts';

const SYSTEM = ENTRY_KINDS.indexOf('system');

/** An event, and who did it. */
export interface SystemDraft {
  readonly by: UserId;
  readonly system: SystemEvent;
}

/** Appends an entry for each event, with the ids of the stamp. Its sender is 0: no user can have the same client_msg_id. */
export async function appendSystem(
  session: SqlSession,
  conversation: ConversationId,
  { ids, atMs: nowMs }: EntryStamp,
  drafts: readonly SystemDraft[],
): Promise<Message[]> {
  if (drafts.length === 0) return [];
  const [before] = await session.query<{ last_seq: bigint; last_at_ms: bigint; skipped: bigint }>(sql`
    select last_seq, last_at_ms, skipped from conversations where id = ${conversation}`);
  if (before === undefined) throw new Error(`the conversation ${conversation} is gone`);
  const atMs = Math.max(nowMs, Number(before.last_at_ms));
  const entries: Message[] = [];
  for (const [index, { by, system }] of drafts.entries()) {
    const id = ids[index];
    if (id === undefined) throw new Error('a stamp has too few ids');
    const seq = Number(before.last_seq) + index + 1;
    await session.query(sql`
      insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body, kind)
      values (${conversation}, ${seq}, ${id}, 0, ${atMs}, ${String(id)}, '', ${SYSTEM})`);
    await session.query(sql`
      insert into extras (conversation, seq, skipped, target, meta)
      values (${conversation}, ${seq}, ${Number(before.skipped) + index + 1}, 0, ${metaOfSystem(system, by)})`);
    const extra = { ...NO_EXTRA, kind: 'system', version: seq, system } as const;
    entries.push({ conversation, seq, id, sender: by, clientMsgId: '', text: '', atMs, extra });
  }
  await session.query(sql`
    update conversations
    set last_seq = last_seq + ${drafts.length}, skipped = skipped + ${drafts.length}, last_at_ms = ${atMs}
    where id = ${conversation}`);
  return entries;
}
