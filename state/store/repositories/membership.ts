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
import {
  type DeletedRoom,
  type EntryStamp,
  MAX_LOGGED_MEMBERS,
  MAX_MEMBER_CHANGES,
  type MemberChange,
  type MemberChanges,
  type Message,
} from '../store.ts';
import { appendSystem, type SystemDraft } from './system-entries.ts';

interface LockedRow {
  readonly kind: ConversationKind;
  readonly owner: UserId | null;
  readonly deleted: boolean | bigint;
  readonly last_seq: bigint;
  readonly member_version: bigint;
  readonly member_count: bigint;
}

/** A locked room in which the action is allowed. */
interface Admitted {
  readonly actor: Standing;
  /** Target of the action; the actor if it has no other. */
  readonly target: Standing;
  readonly lastSeq: number;
  readonly memberVersion: number;
  readonly memberCount: number;
}

/** Who owns a room after its owner has left or stepped down. */
interface NewOwner {
  readonly user: UserId;
  /** False: the user was an owner before. */
  readonly isNew: boolean;
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

/** Adds the actor to a room. Returns the entry of it, if it has one, and whether it changed anything. */
export async function join(
  session: SqlSession,
  room: ConversationId,
  by: AccessCheck,
  stamp: EntryStamp,
): Promise<{ readonly isNew: boolean; readonly entry?: Message } | Refusal> {
  const admitted = await admit(session, room, by);
  if (typeof admitted === 'string') return admitted;
  if (isRole(admitted.actor)) return { isNew: false };
  const user = by.actor;
  const isLogged = admitted.memberCount < MAX_LOGGED_MEMBERS;
  const [entry] = await appendSystem(
    session,
    room,
    stamp,
    isLogged ? [{ by: user, system: { event: 'joined', user } }] : [],
  );
  // After the entry: who joins a room that hides its history sees what comes after it.
  await session.query(sql`
      insert into members (conversation, user_id, joined_seq, visible_after_seq, read_seq, read_epoch, joined_version, role)
      select id, cast(${user} as bigint), last_seq, case when hides_history then last_seq else 0 end,
             coalesce((select read_seq from former_members where conversation = ${room} and user_id = ${user}), 0),
             coalesce((select read_epoch from former_members where conversation = ${room} and user_id = ${user}), 0),
             member_version + 1, case when member_count = 0 then cast(${rankOf('owner')} as smallint) else 0 end
      from conversations where id = ${room}`);
  await session.query(sql`delete from former_members where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`
      update conversations
      set member_version = member_version + 1, member_count = member_count + 1, owner = coalesce(owner, ${user})
      where id = ${room}`);
  return { isNew: true, ...(entry && { entry }) };
}

/** Removes a user from a room. */
export async function depart(
  session: SqlSession,
  room: ConversationId,
  user: UserId,
  { by, stamp }: { readonly by: AccessCheck; readonly stamp: EntryStamp },
): Promise<MemberChange | Refusal> {
  const admitted = await admit(session, room, by, user);
  if (typeof admitted === 'string') return admitted;
  const { lastSeq, memberVersion, memberCount, target } = admitted;
  if (!isRole(target)) {
    const [former] = await session.query<{ left_seq: bigint }>(sql`
      select left_seq from former_members where conversation = ${room} and user_id = ${user}`);
    return { changed: false, seq: Number(former?.left_seq ?? lastSeq), memberVersion, entries: [] };
  }
  const reason = by.actor === user ? 'left' : 'removed';
  await session.query(sql`
      insert into former_members (conversation, user_id, visible_after_seq, read_seq, read_epoch, left_seq, reason, left_version)
      select conversation, user_id, visible_after_seq, read_seq, read_epoch, cast(${lastSeq} as bigint), ${reason},
             cast(${memberVersion + 1} as bigint)
      from members where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`delete from members where conversation = ${room} and user_id = ${user}`);
  await session.query(sql`
      update conversations
      set member_version = member_version + 1, member_count = member_count - 1,
          owner = case when member_count = 1 then null else owner end
      where id = ${room}`);
  const newOwner = target === 'owner' ? await passOn(session, room, user) : undefined;
  const isLogged = reason === 'removed' || memberCount <= MAX_LOGGED_MEMBERS;
  const entries = await appendSystem(session, room, stamp, [
    ...(isLogged ? [{ by: by.actor, system: { event: reason, user } } as const] : []),
    ...successionOf(newOwner, by.actor),
  ]);
  return changeOf({ lastSeq, memberVersion: memberVersion + 1, entries, newOwner });
}

/** Sets a member's role. If the last owner steps down, another member becomes owner. */
export async function setRole(
  session: SqlSession,
  room: ConversationId,
  user: UserId,
  { role, by, stamp }: { readonly role: Role; readonly by: AccessCheck; readonly stamp: EntryStamp },
): Promise<MemberChange | Refusal | 'LAST_OWNER'> {
  const admitted = await admit(session, room, by, user, role);
  if (typeof admitted === 'string') return admitted;
  const { lastSeq, memberVersion, target } = admitted;
  if (target === role) return { changed: false, seq: lastSeq, memberVersion, entries: [] };
  const newOwner = target === 'owner' ? await passOn(session, room, user) : undefined;
  if (target === 'owner' && newOwner === undefined) return 'LAST_OWNER';
  await session.query(sql`
      update members set role = ${rankOf(role)} where conversation = ${room} and user_id = ${user}`);
  const entries = await appendSystem(session, room, stamp, [
    { by: by.actor, system: { event: 'role', user, role } },
    ...successionOf(newOwner, by.actor),
  ]);
  return changeOf({ lastSeq, memberVersion, entries, newOwner });
}

/** Removes all members, frees the room's name, and leaves the rest to `erase`. */
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
    select kind, owner, deleted, last_seq, member_version, member_count from conversations
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
    }) ?? {
      ...standing,
      lastSeq: Number(locked.last_seq),
      memberVersion: Number(locked.member_version),
      memberCount: Number(locked.member_count),
    }
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
): Promise<NewOwner | undefined> {
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

/** The entry of a change of owners. */
function successionOf(newOwner: NewOwner | undefined, by: UserId): SystemDraft[] {
  return newOwner?.isNew ? [{ by, system: { event: 'role', user: newOwner.user, role: 'owner' } }] : [];
}

function changeOf({
  lastSeq,
  memberVersion,
  entries,
  newOwner,
}: {
  readonly lastSeq: number;
  readonly memberVersion: number;
  readonly entries: readonly Message[];
  readonly newOwner: NewOwner | undefined;
}): MemberChange {
  return {
    changed: true,
    seq: entries.at(-1)?.seq ?? lastSeq,
    memberVersion,
    ...(newOwner?.isNew && { newOwner: newOwner.user }),
    entries,
  };
}

function isRole(standing: Standing): standing is Role {
  return standing !== 'nonmember' && standing !== 'former';
}
