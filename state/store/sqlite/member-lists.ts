/** Member lists on SQLite. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { MEMBERS_A_TURN } from '../member-pieces.ts';
import { sql } from '../sql.ts';
import type { MemberList } from '../store.ts';
import type { SqliteConnection } from './connection.ts';

interface MemberRow {
  readonly version: bigint;
  readonly user: UserId;
  readonly visible: bigint;
}

/** Members by ascending user id from the one that follows `after`, as many as a reply may hold. */
export function memberRows(
  connection: SqliteConnection,
  conversation: ConversationId,
  after: UserId | 0n,
): MemberList | undefined {
  const rows = connection.rows<MemberRow>(sql`
    select c.member_version as version, m.user_id as user, m.visible_after_seq as visible
    from conversations c join members m on m.conversation = c.id
    where c.id = ${conversation} and m.user_id > ${after}
    order by m.user_id
    limit ${MEMBERS_A_TURN}`);
  const first = rows[0];
  if (first === undefined) return undefined;
  const members = rows.map(({ user, visible }) => ({ user, visibleAfterSeq: Number(visible) }));
  return { version: Number(first.version), members };
}
