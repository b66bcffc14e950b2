/** Who is in a room, on SQLite; to be run inside a write transaction, which puts the changes in one order. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { SqliteStatements } from './statements.ts';
import type { DeletedRoom, MemberChange, RoomRefusal } from '../store.ts';

interface Room {
  readonly owner: UserId | null;
  readonly deleted: bigint;
  readonly last_seq: bigint;
  readonly member_version: bigint;
}

/** Makes a user a member without counting; returns how many it added. */
export function addMember(sql: SqliteStatements, conversation: ConversationId, user: UserId): number {
  return sql.run(
    `insert into members (conversation, user_id, joined_seq, visible_after_seq, joined_version)
     select id, :user, last_seq, case when hides_history then last_seq else 0 end, member_version + 1
     from conversations where id = :conversation
     on conflict (conversation, user_id) do nothing`,
    { conversation, user },
  );
}

/** Puts a user into a room that exists; returns whether that changed anything. */
export function join(sql: SqliteStatements, room: ConversationId, user: UserId): boolean {
  if (addMember(sql, room, user) === 0) return false;
  sql.run('delete from former_members where conversation = :room and user_id = :user', { room, user });
  sql.run(
    `update conversations
     set member_version = member_version + 1, member_count = member_count + 1, owner = coalesce(owner, :user)
     where id = :room`,
    { room, user },
  );
  return true;
}

/** Takes a user out of a room, by themselves or by the owner. */
export function depart(
  sql: SqliteStatements,
  room: ConversationId,
  user: UserId,
  by: UserId,
): MemberChange | RoomRefusal {
  const found = find(sql, room);
  if (found === undefined || found.deleted !== 0n) return 'ROOM_NOT_FOUND';
  if (by !== user && found.owner !== by) return refusal(sql, room, by);
  const seq = Number(found.last_seq);
  const memberVersion = Number(found.member_version);
  const moved = sql.run(
    `insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason)
     select conversation, user_id, visible_after_seq, :leftSeq, :reason
     from members where conversation = :room and user_id = :user`,
    { room, user, leftSeq: found.last_seq, reason: by === user ? 'left' : 'removed' },
  );
  if (moved > 0) {
    sql.run('delete from members where conversation = :room and user_id = :user', { room, user });
    sql.run(
      `update conversations
       set member_version = member_version + 1, member_count = member_count - 1,
           owner = case when owner = :user then (
             select m.user_id from members m where m.conversation = :room
             order by m.joined_version, m.joined_at_ms, m.user_id limit 1
           ) else owner end
       where id = :room`,
      { room, user },
    );
    return { changed: true, seq, memberVersion: memberVersion + 1 };
  }
  const former = sql.get<{ left_seq: bigint }>(
    'select left_seq from former_members where conversation = :room and user_id = :user',
    { room, user },
  );
  if (former === undefined) return 'NOT_A_MEMBER';
  return { changed: false, seq: Number(former.left_seq), memberVersion };
}

/** Takes everybody out of a room, frees its name and leaves it to `eraseDeleted`. */
export function deleteRoom(
  sql: SqliteStatements,
  room: ConversationId,
  owner: UserId,
): DeletedRoom | RoomRefusal {
  const found = find(sql, room);
  if (found === undefined || (found.deleted !== 0n && found.owner !== owner)) return 'ROOM_NOT_FOUND';
  if (found.owner !== owner) return refusal(sql, room, owner);
  if (found.deleted === 0n) {
    sql.run(
      `insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason)
       select conversation, user_id, visible_after_seq, :leftSeq, 'removed' from members where conversation = :room`,
      { room, leftSeq: found.last_seq },
    );
    sql.run('delete from members where conversation = :room', { room });
    // Names of users' rooms begin with a letter.
    sql.run(
      `update conversations
       set deleted = 1, name = '~' || id, member_version = member_version + 1, member_count = 0 where id = :room`,
      { room },
    );
  }
  const members = sql.all<{ user_id: UserId }>(
    'select user_id from former_members where conversation = :room order by user_id',
    { room },
  );
  return { seq: Number(found.last_seq), members: members.map((member) => member.user_id) };
}

/** Erases messages of deleted rooms, then what is left of the rooms; returns whether there may be more. */
export function eraseDeleted(sql: SqliteStatements, limit: number): boolean {
  const room = sql.get<{ id: ConversationId }>(
    'select id from conversations where deleted = 1 order by id limit 1',
  );
  if (room === undefined) return false;
  const { id } = room;
  const erased = sql.run(
    `delete from messages where conversation = :id and seq in (
       select seq from messages where conversation = :id order by seq limit :limit
     )`,
    { id, limit },
  );
  if (erased >= limit) return true;
  sql.run(
    `delete from cursors where conversation = :id and user_id in (
       select user_id from former_members where conversation = :id
     )`,
    { id },
  );
  sql.run('delete from former_members where conversation = :id', { id });
  sql.run('delete from conversations where id = :id', { id });
  return true;
}

function find(sql: SqliteStatements, room: ConversationId): Room | undefined {
  return sql.get<Room>(
    `select owner, deleted, last_seq, member_version from conversations where id = :room and kind = 'room'`,
    { room },
  );
}

/** Tells a caller who is not the owner why not. */
function refusal(sql: SqliteStatements, room: ConversationId, user: UserId): RoomRefusal {
  const found = sql.get('select 1 from members where conversation = :room and user_id = :user', {
    room,
    user,
  });
  return found === undefined ? 'NOT_A_MEMBER' : 'NOT_OWNER';
}
