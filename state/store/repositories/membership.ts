/**
 * Who is in a room. What changes it is to be run in a transaction, and locks the room first, which puts it in one order with the
 * room's messages and the other changes.
 */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { storableSeq } from '../input.ts';
import { sql, type SqlSession } from '../sql.ts';
import {
  type DeletedRoom,
  MAX_MEMBER_CHANGES,
  type MemberChange,
  type MemberChanges,
  type RoomRefusal,
} from '../store.ts';

interface LockedRoom {
  readonly owner: UserId | null;
  readonly deleted: boolean | bigint;
  readonly last_seq: bigint;
  readonly member_version: bigint;
}

/** A row of `memberChanges`. */
interface ChangeRow {
  readonly version: bigint;
  readonly count: bigint;
  /** Null: nobody has come or gone. */
  readonly user_id: UserId | null;
  /** Null: has left. */
  readonly visible_after_seq: bigint | null;
}

/** Puts a user into a room; returns whether that changed anything. */
export async function join(session: SqlSession, room: ConversationId, user: UserId): Promise<boolean> {
  const locked = await lock(session, room);
  if (locked === undefined || locked.deleted) return false;
  const added = await session.query(sql`
      insert into members (conversation, user_id, joined_seq, visible_after_seq, joined_version)
      select id, cast(${user} as bigint), last_seq, case when hides_history then last_seq else 0 end, member_version + 1
      from conversations where id = ${room}
      on conflict (conversation, user_id) do nothing
      returning user_id`);
  if (added.length === 0) return false;
  await session.query(sql`delete from former_members where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`
      update conversations
      set member_version = member_version + 1, member_count = member_count + 1, owner = coalesce(owner, ${user})
      where id = ${room}`);
  return true;
}

/** Takes a user out of a room, by themselves or by the owner. */
export async function depart(
  session: SqlSession,
  room: ConversationId,
  user: UserId,
  by: UserId,
): Promise<MemberChange | RoomRefusal> {
  const locked = await lock(session, room);
  if (locked === undefined || locked.deleted) return 'ROOM_NOT_FOUND';
  if (by !== user && locked.owner !== by) return refusal(session, room, by);
  const reason = by === user ? 'left' : 'removed';
  const seq = Number(locked.last_seq);
  const memberVersion = Number(locked.member_version);
  const gone = await session.query<{ visible_after_seq: bigint }>(sql`
      delete from members where conversation = ${room} and user_id = ${user} returning visible_after_seq`);
  if (gone[0] !== undefined) {
    await session.query(sql`
        insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason, left_version)
        values (${room}, ${user}, ${gone[0].visible_after_seq}, ${locked.last_seq}, ${reason}, ${memberVersion + 1})`);
    await session.query(sql`
        update conversations
        set member_version = member_version + 1, member_count = member_count - 1,
            owner = case when owner = ${user} then (
              select m.user_id from members m where m.conversation = ${room}
              order by m.joined_version, m.${session.dialect.joinedAt}, m.user_id limit 1
            ) else owner end
        where id = ${room}`);
    return { changed: true, seq, memberVersion: memberVersion + 1 };
  }
  const [former] = await session.query<{ left_seq: bigint }>(sql`
      select left_seq from former_members where conversation = ${room} and user_id = ${user}`);
  if (former === undefined) return 'NOT_A_MEMBER';
  return { changed: false, seq: Number(former.left_seq), memberVersion };
}

/** Takes everybody out of a room, frees its name and leaves it to `eraseDeleted`. */
export async function deleteRoom(
  session: SqlSession,
  room: ConversationId,
  owner: UserId,
): Promise<DeletedRoom | RoomRefusal> {
  const locked = await lock(session, room);
  if (locked === undefined || (locked.deleted && locked.owner !== owner)) return 'ROOM_NOT_FOUND';
  if (locked.owner !== owner) return refusal(session, room, owner);
  if (!locked.deleted) {
    await session.query(sql`
        insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason, left_version)
        select conversation, user_id, visible_after_seq, cast(${locked.last_seq} as bigint), 'removed',
               cast(${locked.member_version + 1n} as bigint)
        from members where conversation = ${room}`);
    await session.query(sql`delete from members where conversation = ${room}`);
    // Names of users' rooms begin with a letter.
    await session.query(sql`
        update conversations
        set deleted = true, name = '~' || id, member_version = member_version + 1, member_count = 0
        where id = ${room}`);
  }
  const members = await session.query<{ user_id: UserId }>(sql`
      select user_id from former_members where conversation = ${room} order by user_id`);
  return { seq: Number(locked.last_seq), members: members.map((member) => member.user_id) };
}

/** Erases messages of deleted rooms, then what is left of the rooms; returns whether there may be more. */
export async function eraseDeleted(session: SqlSession, limit: number): Promise<boolean> {
  const { isTrue, forRemoval } = session.dialect;
  const [room] = await session.query<{ id: ConversationId }>(sql`
      select id from conversations where deleted = ${isTrue} order by id limit 1`);
  if (room === undefined) return false;
  // Whoever has it, an append that found nobody in it or another node that erases, is waited for.
  const locked = await session.query(sql`select id from conversations where id = ${room.id} ${forRemoval}`);
  if (locked.length === 0) return true;
  const erased = await session.query(sql`
      delete from messages
      where conversation = ${room.id} and seq in (
        select seq from messages where conversation = ${room.id} order by seq limit ${limit}
      )
      returning seq`);
  if (erased.length >= limit) return true;
  await session.query(sql`
      delete from cursors where conversation = ${room.id} and user_id in (
        select user_id from former_members where conversation = ${room.id}
      )`);
  await session.query(sql`delete from former_members where conversation = ${room.id}`);
  await session.query(sql`delete from conversations where id = ${room.id}`);
  return true;
}

/** Reads Store.memberChanges in one statement, so that all of it is of one moment. */
export async function memberChanges(
  session: Pick<SqlSession, 'query'>,
  conversation: ConversationId,
  since: number,
): Promise<MemberChanges | undefined> {
  const rows = await session.query<ChangeRow>(sql`
      select c.member_version as version, c.member_count as count, x.user_id, x.visible_after_seq
      from conversations c
      left join (
        select conversation, user_id, visible_after_seq from members
        where conversation = ${conversation} and joined_version > ${storableSeq(since)}
        union all
        select conversation, user_id, null from former_members
        where conversation = ${conversation} and left_version > ${storableSeq(since)}
      ) x on x.conversation = c.id
      where c.id = ${conversation} and c.member_count > 0
      limit ${MAX_MEMBER_CHANGES + 1}`);
  const [first] = rows;
  if (first === undefined || rows.length > MAX_MEMBER_CHANGES) return undefined;
  const joined: MemberChanges['joined'][number][] = [];
  const left: UserId[] = [];
  for (const { user_id: user, visible_after_seq: visible } of rows) {
    if (user === null) break;
    if (visible === null) left.push(user);
    else joined.push({ user, visibleAfterSeq: Number(visible) });
  }
  return { version: Number(first.version), count: Number(first.count), joined, left };
}

async function lock(session: SqlSession, room: ConversationId): Promise<LockedRoom | undefined> {
  const [locked] = await session.query<LockedRoom>(sql`
    select owner, deleted, last_seq, member_version from conversations
    where id = ${room} and kind = 'room'
    ${session.dialect.forChange}`);
  return locked;
}

/** Tells a caller who is not the owner why not. */
async function refusal(session: SqlSession, room: ConversationId, user: UserId): Promise<RoomRefusal> {
  const found = await session.query(
    sql`select 1 from members where conversation = ${room} and user_id = ${user}`,
  );
  return found.length > 0 ? 'NOT_OWNER' : 'NOT_A_MEMBER';
}
