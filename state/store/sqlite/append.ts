/** Appends to the log on SQLite. The write transaction replaces PostgreSQL's row locks. */
import type { ConversationId, MessageId } from '../../../common/mod.ts';
import { storableDraft } from '../input.ts';
import { sql } from '../sql.ts';
import type { Appended, Draft, EntryRules, SendRefusal } from '../store.ts';
import { appendEntry, type EntryAppend } from './append-entry.ts';
import type { SqliteConnection } from './connection.ts';
import { isOfContent } from './database.ts';
import { advance, countMessage, findEntries, findMember, findTail, saveTail, type Tail } from './tail.ts';

const NOT_A_MEMBER: Appended = { ok: false, code: 'NOT_A_MEMBER' };
const UNSTORABLE: Appended = { ok: false, code: 'MESSAGE_UNSTORABLE' };

/** Returns results in the drafts' order; must run in a write transaction. */
export function appendDrafts(
  connection: SqliteConnection,
  drafts: readonly Draft[],
  rules: EntryRules,
  hasFeed: boolean,
): Appended[] {
  const tails = new Map<ConversationId, Tail | undefined>();
  let hasRefusals = connection.rows(sql`select 1 from refusals limit 1`).length > 0;
  const answers = drafts.map(storableDraft).map((draft) => {
    const { conversation } = draft;
    let tail = tails.get(conversation);
    if (!tail && !tails.has(conversation)) {
      tail = findTail(connection, conversation);
      tails.set(conversation, tail);
    }
    // Nobody can join it, so nothing need be remembered.
    if (tail === undefined) return NOT_A_MEMBER;
    const refused = hasRefusals ? findRefusal(connection, draft) : undefined;
    if (refused !== undefined) return refused;
    const answer = appendDraft(connection, tail, draft, rules);
    if (!answer.ok && answer !== UNSTORABLE) {
      remember(connection, draft, answer.code);
      hasRefusals = true;
    }
    return answer;
  });
  const changed = [...tails.values()].filter(
    (tail) => tail !== undefined && tail.lastSeq > tail.firstSeq,
  ) as Tail[];
  for (const tail of changed) saveTail(connection, tail);
  if (hasFeed && changed.length > 0) {
    const ranges = changed.map(({ id, firstSeq, lastSeq }) => `[${id},${firstSeq + 1},${lastSeq}]`);
    connection.run(sql`insert into feed (ranges) values (${`[${ranges.join(',')}]`})`);
  }
  return answers;
}

function appendDraft(connection: SqliteConnection, tail: Tail, draft: Draft, rules: EntryRules): Appended {
  const member = findMember(connection, tail, draft.sender);
  // A repetition by a former member is acknowledged too: it is in the log.
  if (member === undefined) return findOriginal(connection, tail, draft) ?? NOT_A_MEMBER;
  if (draft.entry === undefined) return tryMessage(connection, tail, draft);
  const entries = (tail.entries ??= findEntries(connection, tail));
  return tryEntry(connection, { tail, entries, member, draft, entry: draft.entry, rules });
}

function findRefusal(
  connection: SqliteConnection,
  { conversation, sender, clientMsgId }: Draft,
): Appended | undefined {
  const [refusal] = connection.rows<{ code: SendRefusal }>(sql`
    select code from refusals
    where conversation = ${conversation} and sender = ${sender} and client_msg_id = ${clientMsgId}`);
  return refusal && { ok: false, code: refusal.code };
}

function remember(
  connection: SqliteConnection,
  { conversation, sender, clientMsgId }: Draft,
  code: SendRefusal,
): void {
  connection.run(sql`
    insert into refusals (conversation, sender, client_msg_id, code)
    values (${conversation}, ${sender}, ${clientMsgId}, ${code})`);
}

/** SQLite rolls back only the statement that it rejects. */
function tryMessage(connection: SqliteConnection, tail: Tail, draft: Draft): Appended {
  try {
    return appendMessage(connection, tail, draft);
  } catch (error) {
    if (isOfContent(error)) return UNSTORABLE;
    throw error;
  }
}

/** An entry takes several statements. */
function tryEntry(connection: SqliteConnection, append: EntryAppend): Appended {
  const { tail, entries, draft } = append;
  const original = findOriginal(connection, tail, draft);
  if (original) return original;
  const before = [{ ...tail }, { ...entries }];
  connection.run(sql`savepoint entry`);
  let answer: Appended;
  try {
    answer = appendEntry(connection, append);
  } catch (error) {
    if (!isOfContent(error)) throw error;
    connection.run(sql`rollback to entry`);
    Object.assign(tail, before[0]);
    Object.assign(entries, before[1]);
    answer = UNSTORABLE;
  }
  connection.run(sql`release entry`);
  return answer;
}

function appendMessage(connection: SqliteConnection, tail: Tail, draft: Draft): Appended {
  const { conversation, sender, clientMsgId, id, text } = draft;
  const { memberVersion } = tail;
  const seq = tail.lastSeq + 1;
  const atMs = Math.max(draft.atMs, tail.lastAtMs);
  const added = connection.run(sql`
    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
    values (${conversation}, ${seq}, ${id}, ${sender}, ${atMs}, ${clientMsgId}, ${text})
    on conflict (conversation, sender, client_msg_id) do nothing`);
  if (added > 0) {
    advance(tail, atMs);
    countMessage(tail);
    return { ok: true, seq, id, atMs, duplicate: false, memberVersion, target: 0, quote: undefined };
  }
  const original = findOriginal(connection, tail, draft);
  if (!original) throw new Error('a message is neither new nor a duplicate');
  return original;
}

function findOriginal(connection: SqliteConnection, tail: Tail, draft: Draft): Appended | undefined {
  const { conversation, sender, clientMsgId } = draft;
  const [original] = connection.rows<{
    seq: bigint;
    id: MessageId;
    at_ms: bigint;
    target: bigint | null;
  }>(sql`
    select m.seq, m.id, m.at_ms, x.target
    from messages m left join extras x on x.conversation = m.conversation and x.seq = m.seq
    where m.conversation = ${conversation} and m.sender = ${sender} and m.client_msg_id = ${clientMsgId}`);
  return (
    original && {
      ok: true,
      seq: Number(original.seq),
      id: original.id,
      atMs: Number(original.at_ms),
      duplicate: true,
      memberVersion: tail.memberVersion,
      target: Number(original.target ?? 0),
      quote: undefined,
    }
  );
}
