/** Appends an entry that is not a plain message: checks what it concerns, and changes that. */
import type { UserId } from '../../../common/mod.ts';
import { metaOfDraft } from '../entry-meta.ts';
import {
  eraseRetracted,
  keepEvidence,
  type RetractedRange,
  unpinRetracted,
} from '../repositories/retraction.ts';
import { rankOf } from '../rows.ts';
import { sql } from '../sql.ts';
import {
  type Appended,
  type Draft,
  type DraftEntry,
  ENTRY_KINDS,
  type EntryRules,
  MAX_PINS,
  MAX_RANGES,
  QUOTE_CHARACTERS,
  type SendRefusal,
  type SenderRange,
  THREAD_REPLY,
} from '../store.ts';
import type { SqliteConnection } from './connection.ts';
import { advance, countMessage, type EntriesTail, findMember, type Membership, type Tail } from './tail.ts';

/** Rank of who is not a member. */
const NO_RANK = -1;

/** An entry to be appended, with what it meets. */
export interface EntryAppend {
  readonly tail: Tail;
  readonly entries: EntriesTail;
  /** The sender's. */
  readonly member: Membership;
  readonly draft: Draft;
  readonly entry: DraftEntry;
  readonly rules: EntryRules;
}

/** The message that an entry concerns or quotes. */
interface ConcernedRow {
  readonly seq: bigint;
  readonly sender: UserId;
  readonly at_ms: bigint;
  readonly kind: bigint;
  readonly version: bigint;
  readonly retracted: bigint;
  readonly quote: string;
}

/** Appends a draft that is not a duplicate, or refuses it. */
export function appendEntry(connection: SqliteConnection, append: EntryAppend): Appended {
  const { tail, draft, entry } = append;
  const atMs = Math.max(draft.atMs, tail.lastAtMs);
  if (entry.range !== undefined) {
    const code = refusalOfRange(connection, append, entry.range);
    if (code !== undefined) return { ok: false, code };
    insertEntry(connection, append, { atMs, concerned: 0 });
    retractRange(connection, append, entry.range);
    return appended(append);
  }
  const seq = entry.thread || entry.target || findSent(connection, draft, entry.targetClientMsgId);
  const found = seq > tail.lastSeq ? undefined : findConcerned(connection, draft, seq);
  const code = refusalOf(connection, append, { seq, found, atMs });
  if (code !== undefined || found === undefined) return { ok: false, code: code ?? 'TARGET_NOT_FOUND' };
  insertEntry(connection, append, { atMs, concerned: seq });
  if (entry.thread > 0) joinThread(connection, append, found);
  else change(connection, append, found);
  return appended(append, found);
}

/** The checks in the order of SendRefusal. */
function refusalOf(
  connection: SqliteConnection,
  append: EntryAppend,
  {
    seq,
    found,
    atMs,
  }: { readonly seq: number; readonly found: ConcernedRow | undefined; readonly atMs: number },
): SendRefusal | undefined {
  const { tail, entries, member, draft, entry, rules } = append;
  const { kind } = entry;
  if (seq < 1 || seq > tail.lastSeq || seq <= member.visible_after_seq) return 'TARGET_NOT_FOUND';
  if (seq <= entries.floorSeq) return 'TARGET_EXPIRED';
  if (found === undefined) return 'TARGET_NOT_FOUND';
  const isReply = Number(found.kind) === THREAD_REPLY;
  if (found.kind !== 0n && !isReply) return 'TARGET_INVALID';
  if (entry.thread > 0) return isReply ? 'THREAD_NESTED' : undefined;
  if (found.retracted !== 0n) return 'TARGET_RETRACTED';
  if (kind === 'edit' && found.sender !== draft.sender) return 'NOT_AUTHOR';
  if (kind === 'retract' && !mayRetract(connection, append, found.sender)) return 'ROLE_TOO_LOW';
  const isPin = kind === 'pin' || kind === 'unpin';
  if (isPin && entries.kind === 'room' && Number(member.role) < rankOf(rules.pin)) return 'ROLE_TOO_LOW';
  if (kind === 'edit' && atMs - Number(found.at_ms) > rules.editWindowMs) return 'EDIT_TOO_LATE';
  return kind === 'pin' && isFull(connection, draft, seq) ? 'PINS_FULL' : undefined;
}

function refusalOfRange(
  connection: SqliteConnection,
  append: EntryAppend,
  { sender, fromSeq, toSeq }: SenderRange,
): SendRefusal | undefined {
  const { tail, entries, member, draft } = append;
  if (fromSeq > toSeq || fromSeq > tail.lastSeq || fromSeq <= member.visible_after_seq)
    return 'TARGET_NOT_FOUND';
  if (toSeq <= entries.floorSeq) return 'TARGET_EXPIRED';
  if (!mayRetract(connection, append, sender)) return 'ROLE_TOO_LOW';
  const [ranges] = connection.rows<{ same: bigint }>(sql`
    select count(*) as same from erasures
    where conversation = ${draft.conversation} and entry_seq > 0
      and (evidence_until_ms is null) = ${sender === draft.sender ? 1 : 0}`);
  return ranges !== undefined && ranges.same >= MAX_RANGES ? 'RANGES_FULL' : undefined;
}

function mayRetract(
  connection: SqliteConnection,
  { tail, entries, member, draft, rules }: EntryAppend,
  author: UserId,
): boolean {
  if (author === draft.sender) return true;
  const rank = Number(member.role);
  if (entries.kind === 'direct' || rank < rankOf(rules.retract)) return false;
  return rank > Number(findMember(connection, tail, author)?.role ?? NO_RANK);
}

function isFull(connection: SqliteConnection, { conversation }: Draft, seq: number): boolean {
  const [pins] = connection.rows<{ others: bigint; same: bigint }>(sql`
    select count(*) filter (where seq <> ${seq}) as others, count(*) filter (where seq = ${seq}) as same
    from pins where conversation = ${conversation}`);
  return pins !== undefined && pins.same === 0n && pins.others >= MAX_PINS;
}

/** Returns the seq of an entry of the same sender; 0: there is none. */
function findSent(
  connection: SqliteConnection,
  { conversation, sender }: Draft,
  clientMsgId: string,
): number {
  const [sent] = connection.rows<{ seq: bigint }>(sql`
    select seq from messages
    where conversation = ${conversation} and sender = ${sender} and client_msg_id = ${clientMsgId}`);
  return Number(sent?.seq ?? 0);
}

function findConcerned(
  connection: SqliteConnection,
  { conversation }: Draft,
  seq: number,
): ConcernedRow | undefined {
  const [found] = connection.rows<ConcernedRow>(sql`
    select m.seq, m.sender, m.at_ms, m.kind, coalesce(m.version, m.seq) as version,
           m.retracted or exists (
             select 1 from erasures e
             where e.conversation = m.conversation and e.sender = m.sender and m.seq between e.from_seq and e.to_seq
           ) as retracted,
           substr(m.body, 1, ${QUOTE_CHARACTERS}) as quote
    from messages m
    where m.conversation = ${conversation} and m.seq = ${seq}`);
  return found;
}

function insertEntry(
  connection: SqliteConnection,
  { tail, entries, draft, entry }: EntryAppend,
  { atMs, concerned }: { readonly atMs: number; readonly concerned: number },
): void {
  const { conversation, sender, clientMsgId, id } = draft;
  const isMessage = entry.kind === 'message';
  advance(tail, atMs);
  if (isMessage && entry.thread === 0) countMessage(tail);
  else entries.skipped++;
  const { lastSeq: seq } = tail;
  // The text of an edit goes to its message.
  connection.run(sql`
    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body, kind)
    values (${conversation}, ${seq}, ${id}, ${sender}, ${atMs}, ${clientMsgId}, ${isMessage ? draft.text : ''},
            ${entry.thread > 0 ? THREAD_REPLY : ENTRY_KINDS.indexOf(entry.kind)})`);
  if (entry.thread > 0) {
    connection.run(sql`
      insert into threads (conversation, root, replies, last_seq, last_at_ms)
      values (${conversation}, ${entry.thread}, 1, ${seq}, ${atMs})
      on conflict (conversation, root) do update
      set replies = replies + 1, last_seq = excluded.last_seq, last_at_ms = excluded.last_at_ms`);
    connection.run(sql`
      insert into extras (conversation, seq, skipped, target, thread, thread_number)
      select conversation, ${seq}, ${entries.skipped}, 0, root, replies
      from threads where conversation = ${conversation} and root = ${entry.thread}`);
    return;
  }
  connection.run(sql`
    insert into extras (conversation, seq, skipped, target, meta)
    values (${conversation}, ${seq}, ${entries.skipped}, ${concerned}, ${metaOfDraft(entry)})`);
}

/** Who replies has read what came before; who wrote the root has not. */
function joinThread(connection: SqliteConnection, { tail, draft }: EntryAppend, root: ConcernedRow): void {
  for (const [user, readSeq] of [
    [draft.sender, tail.lastSeq],
    [root.sender, 0],
  ] as const)
    connection.run(sql`
      insert into thread_members (conversation, root, user_id, following, read_seq)
      values (${draft.conversation}, ${root.seq}, ${user}, 1, ${readSeq})
      on conflict (conversation, root, user_id) do nothing`);
}

/** Does to a message what the entry says, which has just been inserted. */
function change(connection: SqliteConnection, append: EntryAppend, found: ConcernedRow): void {
  const { tail, entries, draft, entry } = append;
  const { conversation, text } = draft;
  const { seq } = found;
  const entrySeq = tail.lastSeq;
  if (entry.kind === 'edit') {
    connection.run(sql`
      insert into revisions (conversation, seq, version, body)
      select conversation, seq, ${found.version}, body from messages where conversation = ${conversation} and seq = ${seq}`);
    connection.run(sql`
      update messages set body = ${text}, version = ${entrySeq} where conversation = ${conversation} and seq = ${seq}`);
  }
  if (entry.kind === 'retract') {
    const range = { conversation, sender: found.sender, fromSeq: Number(seq), toSeq: Number(seq) };
    if (found.sender !== draft.sender) keep(connection, append, range);
    for (const statement of eraseRetracted(connection.dialect, range, entrySeq)) connection.run(statement);
    unpin(connection, append, range);
  }
  if (entry.kind === 'pin')
    connection.run(sql`
      insert into pins (conversation, seq, entry_seq) values (${conversation}, ${seq}, ${entrySeq})
      on conflict (conversation, seq) do nothing`);
  if (entry.kind === 'unpin')
    connection.run(sql`delete from pins where conversation = ${conversation} and seq = ${seq}`);
  if (entry.kind === 'pin' || entry.kind === 'unpin') entries.pinsVersion = entrySeq;
}

function keep(
  connection: SqliteConnection,
  { tail, draft, entry, rules }: EntryAppend,
  range: RetractedRange,
): void {
  const retraction = { seq: tail.lastSeq, by: draft.sender, atMs: tail.lastAtMs, reason: entry.reason };
  connection.run(keepEvidence(connection.dialect, range, retraction, tail.lastAtMs + rules.evidenceMs));
}

/** Hides the messages of a range; `erase` does the rest. */
function retractRange(
  connection: SqliteConnection,
  append: EntryAppend,
  { sender, fromSeq, toSeq }: SenderRange,
): void {
  const { tail, draft, rules } = append;
  const { conversation } = draft;
  const entrySeq = tail.lastSeq;
  const range = { conversation, sender, fromSeq, toSeq: Math.min(toSeq, entrySeq - 1) };
  const evidenceUntilMs = sender === draft.sender ? null : tail.lastAtMs + rules.evidenceMs;
  connection.run(sql`
    insert into erasures (conversation, entry_seq, sender, from_seq, to_seq, evidence_until_ms)
    values (${conversation}, ${entrySeq}, ${sender}, ${fromSeq}, ${range.toSeq}, ${evidenceUntilMs})`);
  unpin(connection, append, range);
}

function unpin(connection: SqliteConnection, { tail, entries }: EntryAppend, range: RetractedRange): void {
  if (connection.run(unpinRetracted(range)) > 0) entries.pinsVersion = tail.lastSeq;
}

function appended({ tail, draft, entry }: EntryAppend, found?: ConcernedRow): Appended {
  const { lastSeq: seq, lastAtMs: atMs, memberVersion } = tail;
  const target = Number(found?.seq ?? 0);
  const answer = { ok: true, seq, id: draft.id, atMs, duplicate: false, memberVersion, target } as const;
  if (entry.thread > 0) return { ...answer, target: 0, quote: undefined };
  if (entry.kind !== 'message' || found === undefined) return { ...answer, quote: undefined };
  const { sender, quote: text, version } = found;
  return { ...answer, quote: { seq: target, state: 'kept', sender, text, version: Number(version) } };
}
