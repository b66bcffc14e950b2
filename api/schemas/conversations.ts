/** Schemas of conversations, rooms and their members. */
import { z } from 'zod';
import { After, At, AtMs, Count, Id, limit, Next, Role, RoomParams } from './basic.ts';
import { Message } from './messages.ts';

export const Conversation = z
  .object({
    id: Id,
    kind: z.enum(['direct', 'room']),
    name: z.string().describe("The room's name; of a direct conversation the other user's"),
    peer: Id.optional().describe('Of a direct conversation: the other user'),
    role: Role.describe("The caller's; in a direct conversation both are members"),
    last_seq: Count,
    read_seq: Count.describe('How far the caller has read'),
    read_epoch: Count.describe('Grows whenever the read cursor goes back'),
    unread: Count.describe('Messages of others beyond the read cursor; 1000 stands for 1000 or more'),
    threads_unread: Count.describe('Threads that the caller follows with unread replies'),
    visible_after_seq: Count.describe('Entries up to this one are not for the caller'),
    floor_seq: Count.describe('Entries up to this one are no longer kept'),
    pins_version: Count.describe('Seq of the last entry that changed the pins; 0: none has'),
    active_at: At.describe('Time of the last message, else of the making'),
    active_at_ms: AtMs,
    muted_until_ms: Count.describe(
      'Unix time until which the caller wants no notifications; 0: they are wanted',
    ),
    last_message: Message.optional().describe(
      'In a list: the last message that the caller may read, its text cut to 100 characters or less, without client_msg_id and quote; absent: there is none',
    ),
  })
  .meta({ id: 'Conversation', description: 'The conversation, of which the caller is a member' });

export const ConversationsQuery = z.object({ after: After, limit: limit(500, 100) });

export const ConversationsAnswer = z
  .object({
    conversations: z.array(Conversation).describe('By descending activity'),
    next: Next,
  })
  .describe('A page of conversations');

const Room = z.object({
  id: Id,
  name: z.string(),
  members: Count,
  joined: z.boolean().describe('The caller is a member'),
  last_seq: Count,
  unread: Count.describe('Messages that the caller may read and has not; 0 where not joined'),
});
const Rooms = z.array(Room).describe('Ascending by id');

export const RoomsQuery = z.object({
  scope: z
    .literal('public', {
      error: 'expected "public"; the caller’s own are listed by GET /api/v1/conversations',
    })
    .describe('public: all rooms, whether the caller has joined or not'),
  after: After,
  limit: limit(200, 50),
});

export const RoomsAnswer = z.object({ rooms: Rooms, next: Next }).describe('A page of rooms');

export const OldRoomsQuery = RoomsQuery.omit({ scope: true });

export const OldRoomsAnswer = z.object({ rooms: Rooms, next_after: Next }).describe('A page of rooms');

export const NewRoom = z.object({
  name: z.string().min(1).max(256).describe('Room name: 1 to 32 of a-z, 0-9, dot, dash and underscore'),
  history: z
    .enum(['all', 'since-joined'])
    .default('all')
    .describe('What those who join later see: all that was said, or what is said from then on'),
});

export const NewDirect = z.strictObject({
  user: z.string().min(1).max(256).describe("Name of the other user; one's own: notes to oneself"),
});

export const ReadBody = z.strictObject({
  seq: Count.describe('The last entry that was read'),
  epoch: Count.default(0).describe('That of the conversation; one more to move the cursor back'),
});

export const MemberParams = RoomParams.extend({
  user: z
    .string()
    .min(1)
    .max(256)
    .refine((text) => !/^[0-9]/.test(text) || Id.safeParse(text).success, 'expected a name or a decimal id')
    .describe('Name of the member, or id in decimal'),
});

export const RoleBody = z.object({ role: Role.describe('The role that the member is to have') });

export const MembersQuery = z.object({ after: After, limit: limit(1000, 200) });

export const MembersAnswer = z
  .object({
    members: z
      .array(
        z.object({ id: Id, name: z.string(), display_name: z.string(), role: Role, online: z.boolean() }),
      )
      .describe('Ascending by id'),
    count: Count.describe('Number of all members'),
    next: Next,
  })
  .describe('A page of members');
