/** Schemas of the log: messages and other entries, pins, and what is sent. */
import { z } from 'zod';
import { User } from './accounts.ts';
import { After, At, AtMs, Count, Id, limit, Next, Role, RoomParams, Seq, SeqText } from './basic.ts';

const Sender = z.string().describe('Display name of the sender, as of this answer');

const Quote = z.object({
  seq: Seq,
  sender: Id.optional(),
  from: Sender.optional(),
  text: z.string().describe('At most 280 characters'),
  cut: z.boolean().describe('The text goes on'),
  retracted: z.boolean(),
  expired: z.boolean().describe('The message is no longer kept: its seq is all that is known'),
  version: Count,
});

const Retraction = z.object({
  seq: Seq.describe('Of the entry that retracted it'),
  by: Id,
  at: At,
  at_ms: AtMs,
  reason: z.string(),
});

const System = z.object({
  event: z.enum(['joined', 'left', 'removed', 'role', 'unknown']),
  user: Id.describe('Whom it concerns'),
  name: z.string().describe('Display name of that user'),
  role: Role.optional().describe('The new role'),
});

const ThreadSummary = z.object({
  replies: Count.describe('Number of replies that are kept, retracted ones included'),
  last_seq: Seq.describe('Of the last reply'),
  last_at: At,
  last_at_ms: AtMs,
  followed: z.boolean().describe('The caller follows the thread; the next three are 0 if not'),
  unread: Count.describe('Unread replies of others; 1000 stands for 1000 or more'),
  read_seq: Count.describe('How far the caller has read the thread'),
  read_epoch: Count,
});

export const Message = z
  .object({
    seq: Seq.describe('Contiguous from 1 in its conversation'),
    id: Id,
    kind: z
      .enum(['message', 'edit', 'retract', 'pin', 'unpin', 'system', 'unknown'])
      .describe('message: what people read; the others say what was done; unknown: of a newer server'),
    sender: Id.describe('The author; of a system entry, who did it'),
    from: Sender,
    client_msg_id: z
      .string()
      .describe('As the sender gave it; empty in system entries and where a list shows the last message'),
    text: z.string().describe('Markdown, as all edits have left it; empty if the message was retracted'),
    at: At,
    at_ms: AtMs,
    version: Count.describe('Seq of the last entry that changed the message; 0: none has'),
    target: Seq.optional().describe('Seq of the message that an edit, retract, pin or unpin is about'),
    quote: Quote.optional().describe('The message that this one answers'),
    thread: Seq.optional().describe('A reply in the thread with this root'),
    thread_summary: ThreadSummary.optional().describe('In a page: of the root of a thread'),
    retraction: Retraction.optional().describe('The message was retracted'),
    range: z
      .object({ sender: Id, from_seq: Seq, to_seq: Seq })
      .optional()
      .describe('A retract of all messages of one sender in a range'),
    reason: z.string().optional().describe('Of a retract'),
    system: System.optional(),
    bare: z
      .boolean()
      .optional()
      .describe('The caller may not read the message that the entry is about: nothing is said about that'),
  })
  .meta({ id: 'Message', description: 'The entry, folded: as all later ones have left it' });

const Messages = z.array(Message).describe('Ascending by seq, without a hole');

export const MessageParams = RoomParams.extend({ seq: SeqText.describe('Seq of the message') });

const POINTS = ['before', 'after', 'around', 'first_unread', 'date'] as const;

const point = {
  before: SeqText.optional().describe('The entries before this seq'),
  after: z.coerce
    .number()
    .pipe(Seq.or(z.literal(0)))
    .optional()
    .describe('The entries after this seq'),
  around: SeqText.optional().describe('Half before this seq, it, and half after it'),
  first_unread: z.literal('true').optional().describe('Around the first unread message'),
};

export const MessagesQuery = z
  .object({
    ...point,
    date: z
      .union([z.iso.datetime({ offset: true }), z.iso.date()])
      .optional()
      .describe('Around the first entry at or after this time; a date begins at midnight UTC'),
    limit: limit(200, 50),
  })
  .refine(
    (query) => POINTS.filter((name) => query[name] !== undefined).length <= 1,
    `expected at most one of ${POINTS.join(', ')}`,
  );
export type MessagesQuery = z.output<typeof MessagesQuery>;

export const MessagesAnswer = z
  .object({
    messages: Messages,
    more: z.boolean().describe('There are older ones that the caller may read'),
    more_after: z.boolean().describe('There are newer ones'),
    as_of: Count.describe(
      'The last seq when the page was read: the messages are as that entry has left them',
    ),
    anchor_seq: Seq.nullable().describe('The entry that around, first_unread or date has found'),
    floor_seq: Count.describe('Entries up to this one are no longer kept'),
  })
  .describe('A page of messages');

export const OldMessagesQuery = z.object({
  before: SeqText.optional().describe('next_before of the page before; absent: the newest messages'),
  limit: limit(200, 50),
});

export const OldMessagesAnswer = z
  .object({
    messages: Messages,
    next_before: Seq.nullable().describe('Cursor of the next older page; null: there are none'),
  })
  .describe('A page of messages');

const Text = z.string().describe('Markdown');
const Reason = z.string().optional().describe('For people: why; at most 300 bytes');

// Strict, so that what is not served is not dropped in silence.
export const NewMessage = z.strictObject({
  text: Text,
  reply_to: Seq.optional().describe('Seq of the message that it answers'),
  thread: Seq.optional().describe('Seq of the root of the thread that it is a reply in; not with reply_to'),
  client_msg_id: z
    .string()
    .max(256)
    .optional()
    .describe(
      '1 to 64 bytes, unique for the caller in the conversation: with the same one, nothing is sent again, however late; absent: one is made',
    ),
});

export const Edit = z.strictObject({ text: Text.describe('The whole new text, Markdown') });

export const RetractBody = z.object({ reason: Reason }).nullish();

export const RangeRetraction = z.object({
  user: Id.describe('Whose messages'),
  from_seq: Seq,
  to_seq: Seq,
  reason: Reason,
});

export const Sent = z
  .object({
    seq: Seq,
    id: Id,
    client_msg_id: z.string(),
    at: At,
    at_ms: AtMs,
    duplicate: z
      .boolean()
      .describe('It was there before, from an earlier request with the same client_msg_id'),
  })
  .meta({ id: 'Sent', description: 'The entry is in the log' });

export const ReadersQuery = z.object({ after: After, limit: limit(1000, 100) });

export const ReadersAnswer = z
  .object({ readers: z.array(User).describe('Ascending by id'), next: Next })
  .describe('A page of who has read the message');

export const ThreadParams = RoomParams.extend({ root: SeqText.describe('Seq of the root') });

const THREAD_POINTS = ['before', 'after', 'around', 'first_unread'] as const;

export const ThreadQuery = z
  .object({ ...point, limit: limit(100, 50) })
  .refine(
    (query) => THREAD_POINTS.filter((name) => query[name] !== undefined).length <= 1,
    `expected at most one of ${THREAD_POINTS.join(', ')}`,
  );

const thread = {
  conversation: Id,
  seq: Seq.describe('Of the root'),
  root: Message.nullable().describe('Null: it is no longer kept, and the thread takes no more replies'),
  summary: ThreadSummary.nullable().describe('Null: there is no reply'),
};

export const ThreadAnswer = z
  .object({
    ...thread,
    messages: z.array(Message).describe('Replies, ascending by seq'),
    more: z.boolean().describe('There are older ones'),
    more_after: z.boolean().describe('There are newer ones'),
    as_of: Count.describe('The last seq when the page was read'),
    anchor_seq: Seq.nullable().describe('The reply that around or first_unread has found'),
  })
  .describe('A page of the replies of a thread');

export const ThreadsQuery = z.object({
  room: Id.optional().describe('Those of this conversation; absent: of all'),
  after: After,
  limit: limit(100, 50),
});

export const ThreadsAnswer = z
  .object({
    threads: z
      .array(z.object({ ...thread, last: Message.nullable().describe('The last reply') }))
      .describe('By descending activity; the texts are cut to 100 characters'),
    next: Next,
  })
  .describe('A page of the threads that the caller follows');

export const PinsQuery = z.object({ after: After });

export const PinsAnswer = z
  .object({
    pins: z
      .array(z.object({ message: Message, by: Id, at: At, at_ms: AtMs }))
      .describe('The newest pin first'),
    pins_version: Count.describe(
      'Seq of the last entry that changed the pins; another one than in the page before: begin again',
    ),
    next: Next,
  })
  .describe('A page of pinned messages');
