/** Schemas of the api server's requests and answers, from which the OpenAPI document is made. */
import { z } from 'zod';

const MAX_ID = 2n ** 64n - 1n;

/** A 64-bit id as a decimal string, because JSON numbers lose digits. */
export const Id = z
  .string()
  .regex(/^[1-9][0-9]{0,19}$/, 'expected a decimal id')
  .refine((text) => !/^[1-9][0-9]{0,19}$/.test(text) || BigInt(text) <= MAX_ID, 'expected a 64-bit id')
  .describe('64-bit id in decimal');

const Count = z.int().min(0);

// Wide bounds: state checks the rules and names the one that is broken (NAME_INVALID, PASSWORD_WEAK).
export const Credentials = z.object({
  name: z.string().min(1).max(256).describe('User name: 1 to 32 of a-z, 0-9, dot, dash and underscore'),
  password: z.string().min(1).max(1024).describe('6 to 128 characters'),
});

export const User = z.object({ id: Id, name: z.string() });

export const SignupAnswer = z.object({ user: User }).describe('The account was made');

export const LoginAnswer = z
  .object({
    token: z.string().describe('Access token: Authorization: Bearer TOKEN, and HELLO at the gateway'),
    expires_at: z.iso.datetime(),
    expires_at_ms: Count.describe('Unix time in ms'),
    user: User,
  })
  .describe('Logged in');

export const Limit = z.coerce.number().int().min(1).max(200).default(50).describe('Most entries in the page');

export const RoomsQuery = z.object({
  after: Id.optional().describe('next_after of the page before; absent: from the first'),
  limit: Limit,
});

export const Room = z.object({
  id: Id,
  name: z.string(),
  members: Count,
  joined: z.boolean().describe('The caller is a member'),
  last_seq: Count,
  unread: Count.describe('Messages that the caller may read and has not; 0 where not joined'),
});

export const RoomsAnswer = z
  .object({
    rooms: z.array(Room).describe('Ascending by id'),
    next_after: Id.nullable().describe('Cursor of the next page; null: this is the last'),
  })
  .describe('A page of rooms');

export const NewRoom = z.object({
  name: z.string().min(1).max(256).describe('Room name: 1 to 32 of a-z, 0-9, dot, dash and underscore'),
  history: z
    .enum(['all', 'since-joined'])
    .default('all')
    .describe('What those who join later see: all that was said, or what is said from then on'),
});

export const RoomParams = z.object({ id: Id.describe('Id of the room') });

export const MemberParams = z.object({
  id: Id.describe('Id of the room'),
  user: z.string().min(1).max(256).describe('Name of the member, or id in decimal'),
});

const Role = z.enum(['owner', 'moderator', 'member']);

export const RoleBody = z.object({ role: Role.describe('The role that the member is to have') });

export const LogoutBody = z
  .object({
    everywhere: z
      .boolean()
      .default(false)
      .describe('End all sessions of the user that began until now, not this one alone'),
  })
  .nullish();

export const Done = z.object({ status: z.literal('ok') }).describe('Done');

export const Conversation = z
  .object({
    id: Id,
    name: z.string(),
    last_seq: Count,
    unread: Count,
    role: Role.describe("The caller's; in a direct conversation both are members"),
  })
  .describe('The conversation, of which the caller is a member');

export const MessagesQuery = z.object({
  before: z.coerce
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('next_before of the page before; absent: the newest messages'),
  limit: Limit,
});

export const Message = z.object({
  seq: Count.describe('Contiguous from 1 in its conversation'),
  id: Id,
  sender: Id,
  from: z.string().describe('Name of the sender'),
  client_msg_id: z.string(),
  text: z.string(),
  at: z.iso.datetime(),
  at_ms: Count.describe('Unix time in ms'),
});

export const MessagesAnswer = z
  .object({
    messages: z.array(Message).describe('The newest ones before the cursor, ascending by seq'),
    next_before: Count.nullable().describe('Cursor of the next older page; null: there are none'),
  })
  .describe('A page of messages');

export const Health = z.object({ status: z.literal('ok') }).describe('The server is alive');

/** The one shape of every error. */
export const ApiError = z.object({
  code: z.string().describe('See docs/errors.md'),
  message: z.string().describe('Cause and remedy'),
  retry_after_ms: Count.optional().describe('Wait at least this long before trying again'),
});
