/** Queries of rooms. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { AccessCheck, Refusal } from '../../policy.ts';
import { pageLimit } from '../input.ts';
import { pageKey, parsePageKey, toPage } from '../page-key.ts';
import { rankOf } from '../rows.ts';
import { sql, type SqlDatabase } from '../sql.ts';
import type { EntryStamp, Joined, Page, RoomStore, RoomSummary } from '../store.ts';
import { conversationOf, unreadOf } from './conversations.ts';
import { deleteRoom, depart, join, setRole } from './membership.ts';
import { type CountedRow, withUnread } from './unread.ts';

interface SummaryRow extends CountedRow {
  readonly name: string;
  readonly members: bigint;
  readonly joined: boolean | bigint;
}

export function roomStore(db: SqlDatabase): RoomStore {
  async function createRoom(
    id: ConversationId,
    name: string,
    creator: UserId,
    hidesHistory = false,
    device = '',
  ): Promise<Joined | undefined> {
    const isNew = await db.transaction(async (session) => {
      const made = await session.query(sql`
        insert into conversations (id, kind, name, active_at_ms, member_count, owner, hides_history)
        values (${id}, 'room', ${name}, ${Date.now()}, 1, ${creator}, ${hidesHistory})
        on conflict (name) do nothing returning id`);
      if (made.length === 0) return false;
      await session.query(sql`
        insert into members (conversation, user_id, joined_seq, role) values (${id}, ${creator}, 0, ${rankOf('owner')})`);
      return true;
    });
    // A repeated call whose answer was lost finds its own room.
    const [room] = await db.query<{ id: ConversationId }>(sql`
      select c.id
      from conversations c join members m on m.conversation = c.id and m.user_id = ${creator}
      where c.name = ${name} and c.hides_history = ${hidesHistory} and m.role = ${rankOf('owner')}`);
    const conversation = room && (await conversationOf(db, room.id, creator, device));
    return conversation && { ...conversation, isNew };
  }

  async function joinRoom(
    room: ConversationId | string,
    by: AccessCheck,
    stamp: EntryStamp,
    device = '',
  ): Promise<Joined | Refusal> {
    const [found] = await db.query<{ id: ConversationId; joined: boolean | bigint }>(sql`
      select c.id, c.kind = 'room' and m.user_id is not null as joined
      from conversations c left join members m on m.conversation = c.id and m.user_id = ${by.actor}
      where not c.deleted
        and ${typeof room === 'string' ? sql`c.name = ${room}` : sql`c.id = ${room}`}`);
    if (!found) return by.requirement.missing;
    const joined = found.joined
      ? { isNew: false }
      : await db.transaction((session) => join(session, found.id, by, stamp));
    if (typeof joined === 'string') return joined;
    const conversation = await conversationOf(db, found.id, by.actor, device);
    return conversation ? { ...conversation, ...joined } : by.requirement.missing;
  }

  async function listRooms(user: UserId, after: string, limit: number): Promise<Page<RoomSummary>> {
    const size = pageLimit(limit);
    const [start] = after === '' ? [0n] : (parsePageKey(after, 1) ?? []);
    if (start === undefined) return { items: [], next: undefined };
    const rows = await db.query<SummaryRow>(sql`
      select c.id, c.name, c.member_count as members, c.last_seq, m.user_id is not null as joined,
             coalesce(m.read_seq, 0) as read_seq, coalesce(m.visible_after_seq, 0) as visible_after_seq, c.floor_seq,
             case when m.user_id is null then 0 else ${unreadOf(db.dialect)} end as unread
      from conversations c
      left join members m on m.conversation = c.id and m.user_id = ${user}
      where c.kind = 'room' and not c.deleted and c.id > ${start}
      order by c.id
      limit ${size + 1}`);
    const page = toPage(rows, size, (last) => pageKey(last.id));
    const counted = await withUnread(db, user, page.items);
    const items = counted.map(({ id, name, members, joined, last_seq, unread }) => {
      return {
        id,
        name,
        members: Number(members),
        joined: Boolean(joined),
        lastSeq: Number(last_seq),
        unread: Number(unread),
      };
    });
    return { items, next: page.next };
  }

  return {
    createRoom,
    joinRoom,
    listRooms,
    leaveRoom: (room, by, stamp) =>
      db.transaction((session) => depart(session, room, by.actor, { by, stamp })),
    removeMember: (room, user, by, stamp) =>
      db.transaction((session) => depart(session, room, user, { by, stamp })),
    setRole: (room, user, role, by, stamp) =>
      db.transaction((session) => setRole(session, room, user, { role, by, stamp })),
    deleteRoom: (room, by) => db.transaction((session) => deleteRoom(session, room, by)),
  };
}
