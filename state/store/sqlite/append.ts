/** Appends to the log on SQLite. The write transaction replaces PostgreSQL's row locks. */
import type { ConversationId, MessageId, UserId } from '../../../common/mod.ts';
import { isOfContent } from './database.ts';
import { storableDraft } from '../input.ts';
import { sql } from '../sql.ts';
import type { Appended, Draft } from '../store.ts';
import type { SqliteConnection } from './connection.ts';

const NOT_A_MEMBER: Appended = { ok: false, code: 'NOT_A_MEMBER' };
const UNSTORABLE: Appended = { ok: false, code: 'MESSAGE_UNSTORABLE' };

/** A conversation of the batch. */
interface Target {
  lastSeq: bigint;
  activeAtMs: bigint;
  changed: boolean;
  readonly memberVersion: number;
  /** Membership of senders, as far as queried. */
  readonly members: Map<UserId, boolean>;
}

/** Returns results in the drafts' order; must run in a write transaction. */
export function appendDrafts(connection: SqliteConnection, drafts: readonly Draft[]): Appended[] {
  const targets = new Map<ConversationId, Target | undefined>();
  const answers = drafts.map(storableDraft).map((draft) => {
    const { conversation, sender } = draft;
    let target = targets.get(conversation);
    if (!target && !targets.has(conversation)) {
      target = findTarget(connection, conversation);
      targets.set(conversation, target);
    }
    if (target === undefined) return NOT_A_MEMBER;
    if (isMember(connection, target, conversation, sender)) return tryOne(connection, target, draft);
    // A repetition by a former member is acknowledged too: it is in the log.
    return findOriginal(connection, target, draft) ?? NOT_A_MEMBER;
  });
  for (const [id, target] of targets)
    if (target?.changed)
      connection.run(sql`
        update conversations set last_seq = ${target.lastSeq}, active_at_ms = ${target.activeAtMs} where id = ${id}`);
  return answers;
}

/** SQLite rolls back only the statement that it rejects. */
function tryOne(connection: SqliteConnection, target: Target, draft: Draft): Appended {
  try {
    return appendOne(connection, target, draft);
  } catch (error) {
    if (isOfContent(error)) return UNSTORABLE;
    throw error;
  }
}

function appendOne(connection: SqliteConnection, target: Target, draft: Draft): Appended {
  const { conversation, sender, clientMsgId, id, atMs, text } = draft;
  const { memberVersion } = target;
  const seq = target.lastSeq + 1n;
  const added = connection.run(sql`
    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
    values (${conversation}, ${seq}, ${id}, ${sender}, ${atMs}, ${clientMsgId}, ${text})
    on conflict (conversation, sender, client_msg_id) do nothing`);
  if (added > 0) {
    target.lastSeq = seq;
    target.changed = true;
    if (target.activeAtMs < atMs) target.activeAtMs = BigInt(atMs);
    return { ok: true, seq: Number(seq), id, atMs, duplicate: false, memberVersion };
  }
  const original = findOriginal(connection, target, draft);
  if (!original) throw new Error('a message is neither new nor a duplicate');
  return original;
}

function findOriginal(connection: SqliteConnection, target: Target, draft: Draft): Appended | undefined {
  const { conversation, sender, clientMsgId } = draft;
  const [original] = connection.rows<{ seq: bigint; id: MessageId; at_ms: bigint }>(sql`
    select seq, id, at_ms from messages
    where conversation = ${conversation} and sender = ${sender} and client_msg_id = ${clientMsgId}`);
  return (
    original && {
      ok: true,
      seq: Number(original.seq),
      id: original.id,
      atMs: Number(original.at_ms),
      duplicate: true,
      memberVersion: target.memberVersion,
    }
  );
}

function findTarget(connection: SqliteConnection, conversation: ConversationId): Target | undefined {
  const [row] = connection.rows<{ last_seq: bigint; active_at_ms: bigint; member_version: bigint }>(sql`
    select last_seq, active_at_ms, member_version from conversations where id = ${conversation}`);
  if (!row) return undefined;
  return {
    lastSeq: row.last_seq,
    activeAtMs: row.active_at_ms,
    changed: false,
    memberVersion: Number(row.member_version),
    members: new Map(),
  };
}

function isMember(
  connection: SqliteConnection,
  target: Target,
  conversation: ConversationId,
  user: UserId,
): boolean {
  let member = target.members.get(user);
  if (member === undefined) {
    const found = connection.rows(
      sql`select 1 from members where conversation = ${conversation} and user_id = ${user}`,
    );
    member = found.length > 0;
    target.members.set(user, member);
  }
  return member;
}
