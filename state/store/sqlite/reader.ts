/** Reads of the log on SQLite: history pages, and sync of a device. */
import { Buffer } from 'node:buffer';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { pageLimit, storableSeq } from '../input.ts';
import { type AccessCheck, refusal, type Refusal } from '../../policy.ts';
import {
  conversationColumns,
  factsOf,
  fromConversations,
  messageColumns,
  type ReaderRow,
  readerOf,
} from '../repositories/conversations.ts';
import {
  type ConversationRow,
  type GoneRow,
  type MessageRow,
  toConversation,
  toGone,
  toMessage,
} from '../rows.ts';
import { sql, type Statement } from '../sql.ts';
import type { Message, SyncResult, UserConversation } from '../store.ts';
import { PAGE_TEXT_BYTES, splitPage } from '../sync-page.ts';
import type { SqliteConnection } from './connection.ts';

/** A SyncRequest with its cursors as JSON (cursorsToJson): a text passes between threads at little cost. */
export interface SyncQuestion {
  readonly user: UserId;
  readonly device: string;
  readonly cursors: string;
  readonly pushed: string;
  readonly limit: number;
}

/** A SyncResult whose foreign conversations are not in `gone` but in a text (foreignOf). */
export interface SyncAnswer extends SyncResult {
  readonly foreign: string | null;
}

type SyncRow = ConversationRow & { readonly start: bigint };

/** Reads a page of the log backwards; see LogStore.history. */
export function history(
  connection: SqliteConnection,
  conversation: ConversationId,
  { actor, requirement }: AccessCheck,
  { beforeSeq, limit }: { readonly beforeSeq: number; readonly limit: number },
): { messages: Message[]; more: boolean } | Refusal {
  const [reader] = connection.rows<ReaderRow>(readerOf(conversation, actor));
  const refused = refusal(requirement, factsOf(reader));
  if (reader === undefined || refused !== undefined) return refused ?? requirement.missing;
  const before = storableSeq(beforeSeq) || Number.MAX_SAFE_INTEGER;
  const page = readPage(
    connection,
    sql`
      select ${messageColumns} from messages m
      where m.conversation = ${conversation} and m.seq > ${reader.visible_after_seq}
        and m.seq <= min(${reader.left_seq}, ${before - 1})
      order by m.seq desc limit ${pageLimit(limit)}`,
    PAGE_TEXT_BYTES,
  );
  const messages = page.messages.reverse();
  // Seqs have no holes, so there is an older one unless this one is the first.
  const oldest = messages[0];
  return { messages, more: oldest !== undefined && oldest.seq > Number(reader.visible_after_seq) + 1 };
}

/** Reads what a device lacks; see LogStore.sync. To be run on one snapshot. */
export function sync(connection: SqliteConnection, question: SyncQuestion): SyncAnswer {
  const limit = pageLimit(question.limit);
  const pending: { conversation: UserConversation; start: number }[] = [];
  const unknown: SyncAnswer['conversations'][number][] = [];
  for (const row of connection.rows<SyncRow>(newsOf(question, limit + 1))) {
    const conversation = toConversation(row);
    if (row.last_seq > row.start) pending.push({ conversation, start: Number(row.start) });
    else unknown.push({ conversation, messages: [] });
  }
  const { parts, more } = splitPage(pending, limit);
  const conversations: SyncAnswer['conversations'][number][] = [];
  let left = PAGE_TEXT_BYTES;
  for (const { conversation, start, count } of parts) {
    if (left <= 0) return { conversations, more: true, gone: [], foreign: null };
    const page = readPage(
      connection,
      sql`
        select ${messageColumns} from messages m
        where m.conversation = ${conversation.id} and m.seq > ${start} order by m.seq limit ${count}`,
      left,
    );
    conversations.push({ conversation, messages: page.messages });
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
function newsOf(question: SyncQuestion, rows: number): Statement {
  const { user, device, cursors, pushed } = question;
  return sql`
    with ${namedIn(question)},
    given (conversation, seq) as materialized (select cast(key as integer), value from json_each(${cursors})),
    told (conversation, seq) as materialized (select cast(key as integer), value from json_each(${pushed})),
    mine as (
      select ${conversationColumns} ${fromConversations(user, device)}
      union all
      select c.id, c.kind, coalesce(c.name, ''), f.left_seq, c.member_version, null, f.visible_after_seq,
             coalesce(d.delivered_seq, u.delivered_seq, 0), 0, 0
      ${formerOf(user)}
      left join cursors d on d.user_id = f.user_id and d.device = ${device} and d.conversation = f.conversation
      left join cursors u on u.user_id = f.user_id and u.device = '' and u.conversation = f.conversation
    ),
    started as (
      select mine.*,
             max(
               visible_after_seq, coalesce(given.seq, min(coalesce(told.seq, delivered_seq), delivered_seq))
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
function namedIn({ user, cursors, pushed }: SyncQuestion): Statement {
  return sql`
    named (conversation) as materialized (
      select cast(key as integer) from json_each(${cursors}) union select cast(key as integer) from json_each(${pushed})
    ),
    outside (conversation) as materialized (
      select conversation from named except select conversation from members where user_id = ${user}
    )`;
}

/** Rooms of `outside` that the user was in, as they ended for them. */
function formerOf(user: UserId): Statement {
  return sql`
    from outside o
    join former_members f on f.conversation = o.conversation and f.user_id = ${user}
    join conversations c on c.id = f.conversation and not c.deleted`;
}

/** Reads messages until their texts have `maxBytes` bytes, the one that takes them there included. */
function readPage(
  connection: SqliteConnection,
  statement: Statement,
  maxBytes: number,
): { readonly messages: Message[]; readonly bytes: number } {
  const messages: Message[] = [];
  let bytes = 0;
  for (const row of connection.each<MessageRow>(statement)) {
    messages.push(toMessage(row));
    bytes += Buffer.byteLength(row.body);
    if (bytes >= maxBytes) break;
  }
  return { messages, bytes };
}
