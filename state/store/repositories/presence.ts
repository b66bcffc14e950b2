/** Queries of who may see whom, and of when users were last seen. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { storableId, storableSeq } from '../input.ts';
import { sql, type SqlSession } from '../sql.ts';
import type { Acquaintance, PresenceStore, Seen } from '../store.ts';

/** Nodes see the same end at slightly different times: the first one's is kept. */
const SLACK_MS = 5000;

export function presenceStore(db: SqlSession): PresenceStore {
  async function acquaintancesOf(
    viewer: UserId,
    users: readonly UserId[],
  ): Promise<Map<UserId, Acquaintance>> {
    // By user, so that each is a probe of the user's own conversations, however large the viewer's rooms are.
    const rows = await db.query<{ user_id: UserId; shares_room: bigint | number | null }>(sql`
      select a.id as user_id, (
        select max(case when c.kind = 'room' then 1 else 0 end)
        from members o
        join members m on m.conversation = o.conversation and m.user_id = ${viewer}
        join conversations c on c.id = o.conversation
        where o.user_id = a.id
      ) as shares_room
      from accounts a where a.id in ${db.dialect.listOf(users.map(storableId))}`);
    const found = new Map<UserId, Acquaintance>();
    for (const { user_id: user, shares_room: shared } of rows)
      if (shared !== null) found.set(user, { sharesRoom: Number(shared) === 1 });
      else if (user === viewer) found.set(user, { sharesRoom: false });
    return found;
  }

  async function memberCountsOf(
    user: UserId,
    conversations: readonly ConversationId[],
  ): Promise<Map<ConversationId, number>> {
    const rows = await db.query<{ id: ConversationId; member_count: bigint }>(sql`
      select c.id, c.member_count
      from members m join conversations c on c.id = m.conversation
      where m.user_id = ${user} and m.conversation in ${db.dialect.listOf(conversations.map(storableId))}`);
    return new Map(rows.map((row) => [row.id, Number(row.member_count)]));
  }

  async function countMembers(
    conversations: readonly ConversationId[],
  ): Promise<Map<ConversationId, number>> {
    const rows = await db.query<{ id: ConversationId; member_count: bigint }>(sql`
      select id, member_count from conversations
      where id in ${db.dialect.listOf(conversations.map(storableId))} and member_count > 0`);
    return new Map(rows.map((row) => [row.id, Number(row.member_count)]));
  }

  async function seenOf(users: readonly UserId[]): Promise<Map<UserId, number>> {
    const rows = await db.query<{ user_id: UserId; at_ms: bigint }>(sql`
      select user_id, at_ms from last_seen where user_id in ${db.dialect.listOf(users.map(storableId))}`);
    return new Map(rows.map((row) => [row.user_id, Number(row.at_ms)]));
  }

  async function noteSeen(seen: readonly Seen[]): Promise<void> {
    if (seen.length === 0) return;
    const places = seen.map(({ user, atMs }) => [storableId(user), storableSeq(atMs), 0] as const);
    // Sorted, so that nodes that write the same users lock in the same order.
    await db.query(sql`
      insert into last_seen (user_id, at_ms)
      select a.id, place.seq
      from ${db.dialect.placesOf(places)}
      join accounts a on a.id = place.id
      where not exists (select 1 from user_settings s where s.user_id = a.id and s.invisible)
      order by a.id
      on conflict (user_id) do update set at_ms = excluded.at_ms
      where excluded.at_ms > last_seen.at_ms + ${SLACK_MS}`);
  }

  return { acquaintancesOf, memberCountsOf, countMembers, seenOf, noteSeen };
}
