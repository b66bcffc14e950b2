/** Queries of threads. As in unread.ts nothing is kept that could get stuck: what is unread is counted from the log. */
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { AccessCheck, Refusal } from '../../policy.ts';
import { type PagePlace, placeOf } from '../history-page.ts';
import { pageLimit, storableSeq } from '../input.ts';
import { pageKey, parsePageKey, toPage } from '../page-key.ts';
import { type FoldedRow, type ReadBounds, toEntry } from '../rows.ts';
import { type Dialect, sql, type SqlSession, type Statement } from '../sql.ts';
import {
  type FollowedThread,
  type Message,
  type Page,
  type ThreadStore,
  type ThreadSummary,
} from '../store.ts';
import { admitReader, boundsOf, type ReaderRow } from './conversations.ts';
import { foldedColumns, foldedTo, foldJoins, readPlaces } from './entries.ts';
import { areMany, fromUnreadReplies, MAX_UNREAD, threadStart } from './unread.ts';

/** A thread for one of its readers. */
export interface SummaryRow {
  readonly conversation: ConversationId;
  readonly root: bigint;
  readonly replies: bigint;
  readonly last_seq: bigint;
  readonly last_at_ms: bigint;
  /** Null, as the next: the user does not follow it. */
  readonly read_seq: bigint | null;
  readonly read_epoch: bigint | null;
  readonly unread: bigint | null;
}

/**
 * Selects SummaryRows.
 *
 * @param from clauses with the threads t and their conversations c @param until the last seq for the user, an expression
 */
function summaries(dialect: Dialect, user: UserId, from: Statement, until: Statement): Statement {
  const range = {
    conversation: sql`t.conversation`,
    root: sql`t.root`,
    user: sql`${user}`,
    start: threadStart(dialect),
    until,
  };
  return sql`
    select t.conversation, t.root, l.thread_number + 1 - (
             select x.thread_number from extras x
             where x.conversation = t.conversation and x.thread = t.root and x.seq > c.floor_seq
             order by x.seq limit 1
           ) as replies,
           l.seq as last_seq, lm.at_ms as last_at_ms, tm.read_seq, tm.read_epoch,
           case when tm.user_id is null then null when ${areMany(range)} then ${MAX_UNREAD}
             else (select count(*) ${fromUnreadReplies(range)}) end as unread
    ${from}
    join extras l on l.conversation = t.conversation and l.seq = (
      select max(x.seq) from extras x where x.conversation = t.conversation and x.thread = t.root and x.seq <= ${until}
    )
    join messages lm on lm.conversation = l.conversation and lm.seq = l.seq
    left join members m on m.conversation = t.conversation and m.user_id = ${user}
    left join thread_members tm
      on tm.conversation = t.conversation and tm.root = t.root and tm.user_id = m.user_id and tm.following
    where l.seq > c.floor_seq`;
}

/** Selects the SummaryRows of the threads with a root on a page of messages, as of a seq; undefined: the page is empty. */
export function summariesOfPage(
  dialect: Dialect,
  user: UserId,
  messages: readonly Message[],
  until: number,
): Statement | undefined {
  const [first, last] = [messages[0], messages.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const from = sql`
    from threads t
    join conversations c on c.id = t.conversation and t.conversation = ${first.conversation}
      and t.root >= ${first.seq} and t.root <= ${last.seq}`;
  return summaries(dialect, user, from, sql`cast(${until} as bigint)`);
}

/** Returns the messages of a page with the summaries of the threads that they are the roots of. */
export function withSummaries(messages: readonly Message[], rows: readonly SummaryRow[]): readonly Message[] {
  if (rows.length === 0) return messages;
  const byRoot = new Map(rows.map((row) => [Number(row.root), toSummary(row)]));
  return messages.map((message) => {
    const threadSummary = byRoot.get(message.seq);
    return threadSummary === undefined ? message : { ...message, threadSummary };
  });
}

/** See ThreadStore.threadOf. */
export async function threadOf(
  db: SqlSession,
  conversation: ConversationId,
  by: AccessCheck,
  root: number,
  { point, limit }: { readonly point: Parameters<ThreadStore['threadOf']>[3]; readonly limit: number },
): ReturnType<ThreadStore['threadOf']> {
  const reader = await admitReader(db, conversation, by);
  if (typeof reader === 'string') return reader;
  const found = await findRoot(db, reader, root);
  if (found === 'TARGET_NOT_FOUND') return found;
  const until = Number(reader.until_seq);
  const after = Math.min(until, Math.max(root, Number(reader.floor_seq)));
  const thread = sql`
    from threads t
    join conversations c on c.id = t.conversation and t.conversation = ${conversation} and t.root = ${root}`;
  const [summary] = await db.query<SummaryRow>(
    summaries(db.dialect, by.actor, thread, sql`cast(${until} as bigint)`),
  );
  const first = point.at === 'firstUnread' ? await firstUnread(db, by.actor, reader, summary) : 0;
  const place = placeOf(point, { after, until }, pageLimit(limit), first);
  const page = await repliesAt(db, reader, root, place, { after, until });
  return {
    conversation,
    seq: root,
    root: found,
    summary: summary && toSummary(summary),
    ...page,
    asOf: until,
    anchorSeq: page.messages.some(({ seq }) => seq === place.anchorSeq) ? place.anchorSeq : 0,
  };
}

/** Returns the root; undefined: it is no longer kept. */
async function findRoot(
  db: SqlSession,
  reader: ReaderRow,
  root: number,
): Promise<Message | undefined | 'TARGET_NOT_FOUND'> {
  const seq = storableSeq(root);
  if (seq < 1 || seq > reader.until_seq || seq <= reader.visible_after_seq) return 'TARGET_NOT_FOUND';
  if (seq <= reader.floor_seq) return undefined;
  const [row] = await db.query<FoldedRow>(sql`
    select ${foldedColumns(foldedTo(reader.until_seq))} from messages m ${foldJoins}
    where m.conversation = ${reader.id} and m.seq = ${seq}`);
  return row === undefined || Number(row.kind) !== 0 ? 'TARGET_NOT_FOUND' : toEntry(row, boundsOf(reader));
}

/** Returns the seq of the first unread reply; 0: there is none. */
async function firstUnread(
  db: SqlSession,
  user: UserId,
  { id, visible_after_seq, floor_seq, until_seq }: ReaderRow,
  summary: SummaryRow | undefined,
): Promise<number> {
  if (summary === undefined || summary.read_seq === null) return 0;
  const start = [summary.read_seq, visible_after_seq, floor_seq].reduce((a, b) => (a > b ? a : b));
  const range = {
    conversation: sql`${id}`,
    root: sql`${summary.root}`,
    user: sql`${user}`,
    start: sql`${start}`,
    until: sql`${until_seq}`,
  };
  const [first] = await db.query<{ seq: bigint }>(
    sql`select x.seq ${fromUnreadReplies(range)} order by x.seq limit 1`,
  );
  return Number(first?.seq ?? 0);
}

async function repliesAt(
  db: SqlSession,
  reader: ReaderRow,
  root: number,
  { at, older, newer }: PagePlace,
  { after, until }: { readonly after: number; readonly until: number },
): Promise<{ readonly messages: readonly Message[]; readonly more: boolean; readonly moreAfter: boolean }> {
  const replies = sql`select x.seq from extras x where x.conversation = ${reader.id} and x.thread = ${root}`;
  const [before, behind] = [
    await db.query<{ seq: bigint }>(sql`
      ${replies} and x.seq > ${after} and x.seq <= ${at} order by x.seq desc limit ${older + 1}`),
    await db.query<{ seq: bigint }>(sql`
      ${replies} and x.seq > ${at} and x.seq <= ${until} order by x.seq limit ${newer + 1}`),
  ];
  const seqs = [...before.slice(0, older), ...behind.slice(0, newer)].map(({ seq }) => seq);
  const rows = await db.query<FoldedRow>(sql`
    select ${foldedColumns(foldedTo(until))} from messages m ${foldJoins}
    where m.conversation = ${reader.id} and m.seq in ${db.dialect.listOf(seqs)}
    order by m.seq`);
  return {
    messages: rows.map((row) => toEntry(row, boundsOf(reader))),
    more: before.length > older,
    moreAfter: behind.length > newer,
  };
}

interface FollowedRow {
  readonly conversation: ConversationId;
  readonly root: bigint;
  readonly last_seq: bigint;
  readonly last_at_ms: bigint;
  readonly until_seq: bigint;
  readonly visible_after_seq: bigint;
  readonly floor_seq: bigint;
}

/** See ThreadStore.followedThreads. */
export async function followedThreads(
  db: SqlSession,
  user: UserId,
  conversation: ConversationId | undefined,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<Page<FollowedThread>> {
  const size = pageLimit(limit);
  const start = after === '' ? [Number.MAX_SAFE_INTEGER, 0n, 0n] : parsePageKey(after, 3);
  if (start === undefined) return { items: [], next: undefined };
  const [atMs, id, root] = start as [bigint, bigint, bigint];
  const rows = await db.query<FollowedRow>(sql`
    select t.conversation, t.root, t.last_seq, t.last_at_ms, c.last_seq as until_seq, m.visible_after_seq, c.floor_seq
    from thread_members tm
    join members m on m.conversation = tm.conversation and m.user_id = tm.user_id
    join conversations c on c.id = tm.conversation
    join threads t on t.conversation = tm.conversation and t.root = tm.root
    where tm.user_id = ${user} and tm.following and tm.root > m.visible_after_seq and t.last_seq > c.floor_seq
      ${conversation === undefined ? sql`` : sql`and tm.conversation = ${conversation}`}
      and (t.last_at_ms, t.conversation, t.root) < (${atMs}, ${id}, ${root})
    order by t.last_at_ms desc, t.conversation desc, t.root desc
    limit ${size + 1}`);
  const page = toPage(rows, size, (last) => pageKey(last.last_at_ms, last.conversation, last.root));
  const { items } = page;
  if (items.length === 0) return { items: [], next: undefined };
  const messages = await messagesOf(db, items);
  const places = items.map((row) => [row.conversation, row.root, Number(row.until_seq)] as const);
  const threads = sql`
    from ${db.dialect.placesOf(places)}
    cross join threads t
    join conversations c on c.id = t.conversation and t.conversation = place.id and t.root = place.seq`;
  const summed = await db.query<SummaryRow>(summaries(db.dialect, user, threads, sql`place.until`));
  const byThread = new Map(summed.map((row) => [`${row.conversation}/${row.root}`, toSummary(row)]));
  return {
    items: items.map((row) => ({
      conversation: row.conversation,
      seq: Number(row.root),
      root: messages.get(`${row.conversation}/${row.root}`),
      summary: byThread.get(`${row.conversation}/${row.root}`),
      last: messages.get(`${row.conversation}/${row.last_seq}`),
    })),
    next: page.next,
  };
}

/** Reads the roots that are kept, and the last replies, with the beginnings of their texts. */
async function messagesOf(
  db: SqlSession,
  rows: readonly FollowedRow[],
): Promise<ReadonlyMap<string, Message>> {
  const bounds = new Map<ConversationId, ReadBounds>(rows.map((row) => [row.conversation, boundsOf(row)]));
  const places = rows.flatMap(({ conversation, root, last_seq, until_seq, floor_seq }) =>
    [root, last_seq]
      .filter((seq) => seq > floor_seq)
      .map((seq) => [conversation, seq, Number(until_seq)] as const),
  );
  const found = await readPlaces(db, places);
  return new Map(
    found.map((row) => [
      `${row.conversation}/${row.seq}`,
      toEntry(row, bounds.get(row.conversation) as ReadBounds),
    ]),
  );
}

/** See ThreadStore.followThread. */
export async function followThread(
  db: SqlSession,
  conversation: ConversationId,
  by: AccessCheck,
  root: number,
  follows: boolean,
): Promise<{ readonly follows: boolean } | Refusal | 'TARGET_NOT_FOUND'> {
  const reader = await admitReader(db, conversation, by);
  if (typeof reader === 'string') return reader;
  const found = await findRoot(db, reader, root);
  // One that has sunk is followed on, but nobody begins to.
  if (found === 'TARGET_NOT_FOUND') return found;
  const { isTrue } = db.dialect;
  const following = follows ? isTrue : sql`not ${isTrue}`;
  if (found !== undefined)
    await db.query(sql`
      insert into thread_members (conversation, root, user_id, following, read_seq)
      values (${conversation}, ${root}, ${by.actor}, ${following}, ${reader.until_seq})
      on conflict (conversation, root, user_id) do nothing`);
  await db.query(sql`
    update thread_members
    set following = ${following},
        read_seq = case when read_seq < ${reader.until_seq} and ${follows ? 1 : 0} = 1 then ${reader.until_seq} else read_seq end
    where conversation = ${conversation} and root = ${root} and user_id = ${by.actor} and following <> ${following}`);
  return { follows };
}

/**
 * Moves the read cursor of a thread that the user follows; see CursorStore.markRead. The seq is not beyond the end.
 */
export async function markThreadRead(
  db: SqlSession,
  {
    conversation,
    user,
    root,
  }: { readonly conversation: ConversationId; readonly user: UserId; readonly root: number },
  { readSeq, readEpoch }: { readonly readSeq: number; readonly readEpoch: number },
): Promise<'CURSOR_EPOCH_OLD' | 'TARGET_NOT_FOUND' | undefined> {
  const mine = sql`conversation = ${conversation} and root = ${storableSeq(root)} and user_id = ${user} and following`;
  await db.query(sql`
    update thread_members set read_seq = ${readSeq}, read_epoch = ${readEpoch}
    where ${mine} and (read_epoch, read_seq) < (${readEpoch}, ${readSeq})`);
  const [row] = await db.query<{ read_epoch: bigint }>(
    sql`select read_epoch from thread_members where ${mine}`,
  );
  if (row === undefined) return 'TARGET_NOT_FOUND';
  return row.read_epoch > readEpoch ? 'CURSOR_EPOCH_OLD' : undefined;
}

function toSummary(row: SummaryRow): ThreadSummary {
  return {
    replies: Number(row.replies),
    lastSeq: Number(row.last_seq),
    lastAtMs: Number(row.last_at_ms),
    following:
      row.read_seq === null
        ? undefined
        : { unread: Number(row.unread), readSeq: Number(row.read_seq), readEpoch: Number(row.read_epoch) },
  };
}
