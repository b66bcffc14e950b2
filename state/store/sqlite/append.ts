/** Appends drafts to the log on SQLite; its transaction takes the place of PostgreSQL's row locks. */
import type { ConversationId, MessageId, UserId } from '../../../common/mod.ts';
import { isOfContent } from './database.ts';
import type { SqliteConnection } from './connection.ts';
import type { Appended, Draft } from '../store.ts';

const STRANGER: Appended = { ok: false, code: 'NOT_A_MEMBER' };
const UNSTORABLE: Appended = { ok: false, code: 'MESSAGE_UNSTORABLE' };

/** A conversation that the batch touches. */
interface Target {
  lastSeq: bigint;
  activeAtMs: bigint;
  changed: boolean;
  readonly memberVersion: number;
  /** Whether a sender is a member, as far as asked. */
  readonly members: Map<UserId, boolean>;
}

/** Answers in the drafts' order; to be run inside a write transaction. */
export function appendDrafts(sql: SqliteConnection, drafts: readonly Draft[]): Appended[] {
  const targets = new Map<ConversationId, Target | undefined>();
  const answers = drafts.map((draft) => {
    const { conversation, sender } = draft;
    let target = targets.get(conversation);
    if (!target && !targets.has(conversation)) {
      target = findTarget(sql, conversation);
      targets.set(conversation, target);
    }
    if (target === undefined) return STRANGER;
    if (isMember(sql, target, conversation, sender)) return tryOne(sql, target, draft);
    // A repetition is acknowledged also to a sender who has left since: it is in the log.
    return findOriginal(sql, target, draft) ?? STRANGER;
  });
  for (const [id, target] of targets)
    if (target?.changed)
      sql.run('update conversations set last_seq = :lastSeq, active_at_ms = :activeAtMs where id = :id', {
        id,
        lastSeq: target.lastSeq,
        activeAtMs: target.activeAtMs,
      });
  return answers;
}

/** SQLite undoes only the statement that it rejects. */
function tryOne(sql: SqliteConnection, target: Target, draft: Draft): Appended {
  try {
    return appendOne(sql, target, draft);
  } catch (error) {
    if (isOfContent(error)) return UNSTORABLE;
    throw error;
  }
}

function appendOne(sql: SqliteConnection, target: Target, draft: Draft): Appended {
  const { conversation, sender, clientMsgId, id, atMs, text } = draft;
  const { memberVersion } = target;
  const seq = target.lastSeq + 1n;
  const added = sql.run(
    `insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
     values (:conversation, :seq, :id, :sender, :atMs, :clientMsgId, :text)
     on conflict (conversation, sender, client_msg_id) do nothing`,
    { conversation, seq, id, sender, atMs, clientMsgId, text },
  );
  if (added > 0) {
    target.lastSeq = seq;
    target.changed = true;
    if (target.activeAtMs < atMs) target.activeAtMs = BigInt(atMs);
    return { ok: true, seq: Number(seq), id, atMs, duplicate: false, memberVersion };
  }
  const original = findOriginal(sql, target, draft);
  if (!original) throw new Error('a message is neither new nor a duplicate');
  return original;
}

function findOriginal(sql: SqliteConnection, target: Target, draft: Draft): Appended | undefined {
  const { conversation, sender, clientMsgId } = draft;
  const original = sql.get<{ seq: bigint; id: MessageId; at_ms: bigint }>(
    `select seq, id, at_ms from messages
     where conversation = :conversation and sender = :sender and client_msg_id = :clientMsgId`,
    { conversation, sender, clientMsgId },
  );
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

function findTarget(sql: SqliteConnection, conversation: ConversationId): Target | undefined {
  const row = sql.get<{ last_seq: bigint; active_at_ms: bigint; member_version: bigint }>(
    'select last_seq, active_at_ms, member_version from conversations where id = :conversation',
    { conversation },
  );
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
  sql: SqliteConnection,
  target: Target,
  conversation: ConversationId,
  user: UserId,
): boolean {
  let member = target.members.get(user);
  if (member === undefined) {
    const row = sql.get('select 1 from members where conversation = :conversation and user_id = :user', {
      conversation,
      user,
    });
    member = row !== undefined;
    target.members.set(user, member);
  }
  return member;
}
