/** Reads of the log on SQLite: history pages, and sync of a device. */
import { Buffer } from 'node:buffer';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { type Readable, placeOf, toHistoryPage } from '../history-page.ts';
import { pageLimit, storableSeq } from '../input.ts';
import { type AccessCheck, refusal, type Refusal } from '../../policy.ts';
import {
  boundsOf,
  conversationColumns,
  factsOf,
  fromConversations,
  messageColumns,
  type ReaderRow,
  readerOf,
} from '../repositories/conversations.ts';
import { foldedColumns, foldedTo, foldJoins } from '../repositories/entries.ts';
import { summariesOfPage, withSummaries } from '../repositories/threads.ts';
import { countUnread, firstUnread, MAX_UNREAD, subtractedOf } from '../repositories/unread.ts';
import {
  type ConversationRow,
  type FoldedRow,
  type GoneRow,
  type MessageRow,
  type ReadBounds,
  toConversation,
  toEntry,
  toGone,
  toMessage,
} from '../rows.ts';
import { sql, type Statement } from '../sql.ts';
import type {
  HistoryPage,
  HistoryPoint,
  Message,
  SyncRequest,
  SyncResult,
  UserConversation,
} from '../store.ts';
import { PAGE_TEXT_BYTES, splitPage } from '../sync-page.ts';
import type { SqliteConnection } from './connection.ts';

/** A SyncRequest with its cursors as JSON (cursorsToJson): a text passes between threads at little cost. */
export interface SyncQuestion extends Omit<SyncRequest, 'cursors' | 'pushed'> {
  readonly cursors: string;
  readonly pushed: string;
}

/** A SyncResult whose foreign conversations are not in `gone` but in a text (foreignOf). */
export interface SyncAnswer extends SyncResult {
  readonly foreign: string | null;
}

type SyncRow = ConversationRow & { readonly start: bigint };

/** A part of a conversation's log for a reader. */
interface Part {
  readonly conversation: ConversationId;
  readonly bounds: ReadBounds;
  /** Texts are as of this seq. */
  readonly until: number;
  /** Condition on the messages m, and their order. */
  readonly where: Statement;
  readonly maxBytes: number;
}

/** Reads a page of the log; see LogStore.history. To be run on one snapshot. */
export function history(
  connection: SqliteConnection,
  conversation: ConversationId,
  { actor, requirement }: AccessCheck,
  { point, limit }: { readonly point: HistoryPoint; readonly limit: number },
): HistoryPage | Refusal {
  const [reader] = connection.rows<ReaderRow>(readerOf(conversation, actor));
  const refused = refusal(requirement, factsOf(reader));
  if (reader === undefined || refused !== undefined) return refused ?? requirement.missing;
  const bounds = boundsOf(reader);
  const until = Number(reader.until_seq);
  const readable = { after: Math.min(until, Math.max(bounds.visibleAfterSeq, bounds.floorSeq)), until };
  const place = placeOf(
    point,
    readable,
    pageLimit(limit),
    findAnchor(connection, reader, { actor, point }, readable),
  );
  const { at, older, newer } = place;
  const part = { conversation, bounds, until };
  const maxBytes = older > 0 && newer > 0 ? PAGE_TEXT_BYTES / 2 : PAGE_TEXT_BYTES;
  const before = readPart(connection, {
    ...part,
    where: sql`m.seq > ${readable.after} and m.seq <= ${at} order by m.seq desc limit ${older}`,
    maxBytes,
  });
  const after = readPart(connection, {
    ...part,
    where: sql`m.seq > ${at} and m.seq <= ${until} order by m.seq limit ${newer}`,
    maxBytes,
  });
  const page = before.messages.reverse().concat(after.messages);
  const threads = reader.has_threads ? summariesOfPage(connection.dialect, actor, page, until) : undefined;
  const messages = threads === undefined ? page : withSummaries(page, connection.rows(threads));
  return toHistoryPage(messages, place, readable, bounds.floorSeq);
}

/** Returns the seq that a point of `history` asks for; 0: none. */
function findAnchor(
  connection: SqliteConnection,
  { id, read_seq }: ReaderRow,
  { actor, point }: { readonly actor: UserId; readonly point: HistoryPoint },
  { after, until }: Readable,
): number {
  if (point.at === 'firstUnread') {
    const start = Math.max(after, Number(read_seq));
    const lookedAt = Math.min(until, start + MAX_UNREAD);
    const bounds = { conversation: sql`${id}`, start: sql`${start}`, until: sql`${lookedAt}` };
    const [first] = connection.rows<{ seq: bigint }>(firstUnread(actor, bounds));
    if (first !== undefined) return Number(first.seq);
    // A million edits cost as much as one.
    const read = messageCount(connection, id, lookedAt);
    return firstSeq({ after: lookedAt, until }, (seq) => messageCount(connection, id, seq) > read);
  }
  if (point.at !== 'date') return 0;
  // Times ascend with the seqs.
  const ms = storableSeq(point.ms);
  return firstSeq({ after, until }, (seq) => {
    const [entry] = connection.rows<{ at_ms: bigint }>(sql`
      select at_ms from messages where conversation = ${id} and seq = ${seq}`);
    return entry !== undefined && entry.at_ms >= ms;
  });
}

/** Returns the first seq for which `test` is true, which then is so for all later ones; 0: there is none. */
function firstSeq({ after, until }: Readable, test: (seq: number) => boolean): number {
  let [low, high] = [after + 1, until + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (test(middle)) high = middle;
    else low = middle + 1;
  }
  return low > until ? 0 : low;
}

/** Returns the number of messages up to a seq that is not below the floor. */
function messageCount(connection: SqliteConnection, id: ConversationId, seq: number): number {
  const [row] = connection.rows<{ skipped: bigint }>(sql`
    select coalesce((
      select x.skipped from extras x where x.conversation = c.id and x.seq <= ${seq} order by x.seq desc limit 1
    ), c.floor_skipped) as skipped
    from conversations c where c.id = ${id}`);
  return seq - Number(row?.skipped ?? 0);
}

/** Reads what a device lacks; see LogStore.sync. To be run on one snapshot. */
export function sync(connection: SqliteConnection, question: SyncQuestion): SyncAnswer {
  const limit = pageLimit(question.limit);
  const pending: { conversation: UserConversation; start: number }[] = [];
  const unknown: SyncAnswer['conversations'][number][] = [];
  const news = connection.rows<SyncRow>(newsOf(connection, question, limit + 1));
  const subtracted = subtractedOf(connection.dialect, question.user, news);
  for (const row of countUnread(news, subtracted === undefined ? [] : connection.rows(subtracted))) {
    const conversation = toConversation(row);
    const start = Number(row.start);
    if (conversation.lastSeq > start) pending.push({ conversation, start });
    else unknown.push({ conversation, messages: [], afterSeq: start, asOf: conversation.lastSeq });
  }
  const { parts, more } = splitPage(pending, limit);
  const conversations: SyncAnswer['conversations'][number][] = [];
  let left = PAGE_TEXT_BYTES;
  for (const { conversation, start, count } of parts) {
    if (left <= 0) return { conversations, more: true, gone: [], foreign: null };
    const { id, lastSeq } = conversation;
    const page = readPart(connection, {
      conversation: id,
      bounds: conversation,
      until: lastSeq,
      where: sql`m.seq > ${start} order by m.seq limit ${count}`,
      maxBytes: left,
    });
    conversations.push({ conversation, messages: page.messages, afterSeq: start, asOf: lastSeq });
    left -= page.bytes;
    if (page.messages.length < count) return { conversations, more: true, gone: [], foreign: null };
  }
  if (more) return { conversations, more, gone: [], foreign: null };
  const named = namedIn(question);
  const formerly = formerOf(question.user);
  const gone = connection.rows<GoneRow>(sql`with ${named} select c.id, f.reason, f.left_seq ${formerly}`);
  const [foreign] = connection.rows<{ ids: string | null }>(sql`
    with ${named}
    select group_concat(conversation) as ids from outside where conversation not in (select c.id ${formerly})`);
  return {
    conversations: [...conversations, ...unknown],
    more: false,
    gone: gone.map(toGone),
    foreign: foreign?.ids ?? null,
  };
}

/**
 * Conversations with news, oldest news first, then those that the device does not know and that have none, newest
 * first.
 */
function newsOf(connection: SqliteConnection, question: SyncQuestion, rows: number): Statement {
  const { user, device, cursors, pushed, after, until } = question;
  const newest = storableSeq(question.newest) || Number.MAX_SAFE_INTEGER;
  return sql`
    with ${namedIn(question)},
    given (conversation, seq) as materialized (select cast(key as integer), value from json_each(${cursors})),
    told (conversation, seq) as materialized (select cast(key as integer), value from json_each(${pushed})),
    mine as (
      select ${conversationColumns(connection.dialect)} ${fromConversations(user, device)}
        and c.id > ${after} and c.id <= ${until}
      union all
      select c.id, c.kind, coalesce(c.name, ''), f.left_seq, c.member_version, null, f.visible_after_seq,
             coalesce(d.delivered_seq, u.delivered_seq, 0), f.read_seq, f.read_epoch, 0,
             -- Nothing that tells what came after the user had left.
             c.floor_seq, min(c.pins_version, f.left_seq),
             coalesce((select m.at_ms from messages m where m.conversation = c.id and m.seq = f.left_seq), 0), 0, 0, 0
      ${formerOf(user)}
      left join cursors d on d.user_id = f.user_id and d.device = ${device} and d.conversation = f.conversation
      left join cursors u on u.user_id = f.user_id and u.device = '' and u.conversation = f.conversation
    ),
    started as (
      select mine.*,
             max(
               visible_after_seq, floor_seq, last_seq - ${newest},
               coalesce(given.seq, min(coalesce(told.seq, delivered_seq), delivered_seq))
             ) as start,
             delivered_seq = 0 and given.seq is null and told.seq is null as is_unnamed
      from mine
      left join given on given.conversation = mine.id
      left join told on told.conversation = mine.id
    )
    select * from started
    where last_seq > start
       or (is_unnamed and (
         kind = 'room' or exists (select 1 from conversations c where c.id = started.id and c.owner = ${user})
       ))
    order by last_seq <= start, max(last_seq - start, 0), iif(last_seq > start, id, -id)
    limit ${rows}`;
}

/** The conversations of a request: `named`, and `outside`, those of them that the user is not in. */
function namedIn({ user, cursors, pushed, after, until }: SyncQuestion): Statement {
  return sql`
    named (conversation) as materialized (
      select cast(key as integer) from json_each(${cursors}) union select cast(key as integer) from json_each(${pushed})
    ),
    outside (conversation) as materialized (
      select conversation from named where conversation > ${after} and conversation <= ${until}
      except select conversation from members where user_id = ${user}
    )`;
}

/** Rooms of `outside` that the user was in, as they ended for them. */
function formerOf(user: UserId): Statement {
  return sql`
    from outside o
    join former_members f on f.conversation = o.conversation and f.user_id = ${user}
    join conversations c on c.id = f.conversation and not c.deleted`;
}

/** Reads entries, folded, until their texts have `maxBytes` bytes, the one that takes them there included. */
function readPart(
  connection: SqliteConnection,
  { conversation, bounds, until, where, maxBytes }: Part,
): { readonly messages: Message[]; readonly bytes: number } {
  const messages: Message[] = [];
  let bytes = 0;
  for (const entry of entriesOf(connection, conversation, { bounds, until, where })) {
    messages.push(entry);
    bytes += Buffer.byteLength(entry.text);
    if (bytes >= maxBytes) break;
  }
  return { messages, bytes };
}

function* entriesOf(
  connection: SqliteConnection,
  conversation: ConversationId,
  { bounds, until, where }: Pick<Part, 'bounds' | 'until' | 'where'>,
): Iterable<Message> {
  const special = connection.rows(sql`select 1 from extras where conversation = ${conversation} limit 1`);
  if (special.length === 0) {
    const plain = sql`select ${messageColumns} from messages m where m.conversation = ${conversation} and ${where}`;
    for (const row of connection.each<MessageRow>(plain)) yield toMessage(row);
    return;
  }
  const folded = sql`
    select ${foldedColumns(foldedTo(until))} from messages m ${foldJoins}
    where m.conversation = ${conversation} and ${where}`;
  for (const row of connection.each<FoldedRow>(folded)) yield toEntry(row, bounds);
}
