/**
 * Changes of a room's members. Each must run in a transaction. It locks the room first, so it has one order with the
 * room's messages and other changes.
 */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import {
  type AccessCheck,
  type ConversationKind,
  refusal,
  type Refusal,
  type Role,
  type Standing,
} from '../../policy.ts';
import { storableSeq } from '../input.ts';
import { rankOf, type RoleColumn, toRole } from '../rows.ts';
import { sql, type SqlSession } from '../sql.ts';
import { type DeletedRoom, MAX_MEMBER_CHANGES, type MemberChange, type MemberChanges } from '../store.ts';

interface LockedRow {
  readonly kind: ConversationKind;
  readonly owner: UserId | null;
  readonly deleted: boolean | bigint;
  readonly last_seq: bigint;
  readonly member_version: bigint;
}

/** A locked room in which the action is allowed. */
interface Admitted {
  readonly actor: Standing;
  /** Target of the action; the actor if it has no other. */
  readonly target: Standing;
  readonly lastSeq: number;
  readonly memberVersion: number;
}

/** A row of `memberChanges`. */
interface ChangeRow {
  readonly version: bigint;
  readonly count: bigint;
  /** Null if there are no changes. */
  readonly user_id: UserId | null;
  /** Null if the user has left. */
  readonly visible_after_seq: bigint | null;
}

/** Adds the actor to a room. Returns whether that changed anything. */
export async function join(
  session: SqlSession,
  room: ConversationId,
  by: AccessCheck,
): Promise<boolean | Refusal> {
  const admitted = await admit(session, room, by);
  if (typeof admitted === 'string') return admitted;
  if (isRole(admitted.actor)) return false;
  await session.query(sql`
      insert into members (conversation, user_id, joined_seq, visible_after_seq, joined_version, role)
      select id, cast(${by.actor} as bigint), last_seq, case when hides_history then last_seq else 0 end,
             member_version + 1, case when member_count = 0 then cast(${rankOf('owner')} as smallint) else 0 end
      from conversations where id = ${room}`);
  await session.query(sql`delete from former_members where conversation = ${room} and user_id = ${by.actor}`);
  await session.query(sql`
      update conversations
      set member_version = member_version + 1, member_count = member_count + 1, owner = coalesce(owner, ${by.actor})
      where id = ${room}`);
  return true;
}

/** Removes a user from a room. */
export async function depart(
  session: SqlSession,
  room: ConversationId,
  user: UserId,
  by: AccessCheck,
): Promise<MemberChange | Refusal> {
  const admitted = await admit(session, room, by, user);
  if (typeof admitted === 'string') return admitted;
  const { lastSeq: seq, memberVersion, target } = admitted;
  if (!isRole(target)) {
    const [former] = await session.query<{ left_seq: bigint }>(sql`
      select left_seq from former_members where conversation = ${room} and user_id = ${user}`);
    return { changed: false, seq: Number(former?.left_seq ?? seq), memberVersion };
  }
  const reason = by.actor === user ? 'left' : 'removed';
  await session.query(sql`
      insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason, left_version)
      select conversation, user_id, visible_after_seq, cast(${seq} as bigint), ${reason},
             cast(${memberVersion + 1} as bigint)
      from members where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`delete from members where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`
      update conversations
      set member_version = member_version + 1, member_count = member_count - 1,
          owner = case when member_count = 1 then null else owner end
      where id = ${room}`);
  const newOwner = target === 'owner' ? await passOn(session, room, user) : undefined;
  return {
    changed: true,
    seq,
    memberVersion: memberVersion + 1,
    ...(newOwner?.isNew && { newOwner: newOwner.user }),
  };
}

/** Sets a member's role. If the last owner steps down, another member becomes owner. */
export async function setRole(
  session: SqlSession,
  room: ConversationId,
  user: UserId,
  { role, by }: { readonly role: Role; readonly by: AccessCheck },
): Promise<MemberChange | Refusal | 'LAST_OWNER'> {
  const admitted = await admit(session, room, by, user, role);
  if (typeof admitted === 'string') return admitted;
  const { lastSeq: seq, memberVersion, target } = admitted;
  if (target === role) return { changed: false, seq, memberVersion };
  const newOwner = target === 'owner' ? await passOn(session, room, user) : undefined;
  if (target === 'owner' && newOwner === undefined) return 'LAST_OWNER';
  await session.query(sql`
      update members set role = ${rankOf(role)} where conversation = ${room} and user_id = ${user}`);
  return { changed: true, seq, memberVersion, ...(newOwner?.isNew && { newOwner: newOwner.user }) };
}

/** Removes all members, frees the room's name, and leaves the rest to `eraseDeleted`. */
export async function deleteRoom(
  session: SqlSession,
  room: ConversationId,
  by: AccessCheck,
): Promise<DeletedRoom | Refusal> {
  const before = await lock(session, room);
  const isRepeat = Boolean(before?.deleted) && before?.owner === by.actor;
  if (!isRepeat) {
    const admitted = await admit(session, room, by);
    if (typeof admitted === 'string') return admitted;
    await session.query(sql`
        insert into former_members (conversation, user_id, visible_after_seq, left_seq, reason, left_version)
        select conversation, user_id, visible_after_seq, cast(${admitted.lastSeq} as bigint), 'removed',
               cast(${admitted.memberVersion + 1} as bigint)
        from members where conversation = ${room}`);
    await session.query(sql`delete from members where conversation = ${room}`);
    // Names of rooms begin with a letter.
    await session.query(sql`
        update conversations
        set deleted = true, name = '~' || id, member_version = member_version + 1, member_count = 0, owner = ${by.actor}
        where id = ${room}`);
  }
  const members = await session.query<{ user_id: UserId }>(sql`
      select user_id from former_members where conversation = ${room} order by user_id`);
  return { seq: Number(before?.last_seq), members: members.map((member) => member.user_id) };
}

/** Erases messages of deleted rooms, then the rooms. Returns whether there may be more. */
export async function eraseDeleted(session: SqlSession, limit: number): Promise<boolean> {
  const { isTrue, forRemoval } = session.dialect;
  const [room] = await session.query<{ id: ConversationId }>(sql`
      select id from conversations where deleted = ${isTrue} order by id limit 1`);
  if (room === undefined) return false;
  // Waits for whoever has the lock: an append without members, or another node that erases.
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

/** Reads Store.memberChanges in one statement, so that all of it is of one snapshot. */
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

/** Locks a conversation and its member list: every change locks it first. */
async function lock(session: SqlSession, room: ConversationId): Promise<LockedRow | undefined> {
  const [locked] = await session.query<LockedRow>(sql`
    select kind, owner, deleted, last_seq, member_version from conversations
    where id = ${room}
    ${session.dialect.forChange}`);
  return locked;
}

/** Locks a conversation and compares what an action there requires with what is; `target` is whom it is about. */
async function admit(
  session: SqlSession,
  room: ConversationId,
  { actor, requirement }: AccessCheck,
  target = actor,
  given?: Role,
): Promise<Admitted | Refusal> {
  const locked = await lock(session, room);
  if (locked === undefined || locked.deleted) return requirement.missing;
  const rows = await session.query<{ user_id: UserId; role: RoleColumn | null }>(sql`
    select user_id, role from members where conversation = ${room} and user_id in (${actor}, ${target})
    union all
    select user_id, null from former_members where conversation = ${room} and user_id in (${actor}, ${target})`);
  const standingOf = (user: UserId): Standing => {
    const row = rows.find(({ user_id }) => user_id === user);
    if (row === undefined) return 'nonmember';
    return row.role === null ? 'former' : toRole(row.role);
  };
  const standing = { actor: standingOf(actor), target: standingOf(target) };
  return (
    refusal(requirement, {
      kind: locked.kind,
      actor: standing.actor,
      target: target === actor ? 'self' : standing.target,
      given,
    }) ?? { ...standing, lastSeq: Number(locked.last_seq), memberVersion: Number(locked.member_version) }
  );
}

/**
 * Ensures that a room has an owner besides this one, who leaves or steps down: another owner, else the longest-standing
 * member of the highest role. Returns undefined if there is no other member.
 */
async function passOn(
  session: SqlSession,
  room: ConversationId,
  owner: UserId,
): Promise<{ readonly user: UserId; readonly isNew: boolean } | undefined> {
  const [newOwner] = await session.query<{ user_id: UserId; role: RoleColumn }>(sql`
    select user_id, role from members where conversation = ${room} and user_id <> ${owner}
    order by role desc, joined_version, ${session.dialect.joinedAt}, user_id limit 1`);
  if (newOwner === undefined) return undefined;
  const { user_id: user, role } = newOwner;
  await session.query(sql`
    update members set role = ${rankOf('owner')} where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`update conversations set owner = ${user} where id = ${room}`);
  return { user, isNew: toRole(role) !== 'owner' };
}

function isRole(standing: Standing): standing is Role {
  return standing !== 'nonmember' && standing !== 'former';
}
