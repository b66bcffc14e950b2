/** Queries of direct conversations. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { sql, type SqlDatabase } from '../sql.ts';
import type { Joined } from '../store.ts';
import { conversationOf } from './conversations.ts';

/** See ConversationStore.openDirect. */
export async function openDirect(
  db: SqlDatabase,
  id: ConversationId,
  user: UserId,
  peer: UserId,
  device: string,
): Promise<Joined> {
  const [low, high] = user < peer ? [user, peer] : [peer, user];
  const find = async () => {
    const [found] = await db.query<{ id: ConversationId }>(sql`
      select id from conversations where direct_low = ${low} and direct_high = ${high}`);
    return found && conversationOf(db, found.id, user, device);
  };
  const known = await find();
  if (known) return { ...known, isNew: false };
  const isNew = await db.transaction(async (session) => {
    const made = await session.query(sql`
      insert into conversations (id, kind, direct_low, direct_high, active_at_ms, member_count, owner)
      values (${id}, 'direct', ${low}, ${high}, ${Date.now()}, ${low === high ? 1 : 2}, ${user})
      on conflict (direct_low, direct_high) do nothing returning id`);
    if (made.length === 0) return false;
    for (const member of new Set([low, high]))
      await session.query(sql`
        insert into members (conversation, user_id, joined_seq) values (${id}, ${member}, 0)`);
    return true;
  });
  const found = await find();
  if (!found) throw new Error(`the direct conversation of ${low} and ${high} has vanished`);
  return { ...found, isNew };
}
