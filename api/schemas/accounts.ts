/** Schemas of accounts, tokens and users. */
import { z } from 'zod';
import { At, AtMs, Id } from './basic.ts';

const MAX_USERS = 200;

// Wide bounds: state checks the rules and names the one that is broken (NAME_INVALID, PASSWORD_WEAK).
export const Credentials = z.object({
  name: z.string().min(1).max(256).describe('User name: 1 to 32 of a-z, 0-9, dot, dash and underscore'),
  password: z.string().min(1).max(1024).describe('6 to 128 characters'),
});

export const LoginBody = Credentials.extend({
  client: z
    .string()
    .max(1024)
    .optional()
    .describe('Name of the software, for the list of sessions; absent: the User-Agent header'),
});
const Account = z.object({ id: Id, name: z.string() });

export const SignupAnswer = z.object({ user: Account }).describe('The account was made');

export const LoginAnswer = z
  .object({
    token: z.string().describe('Access token: Authorization: Bearer TOKEN, and HELLO at the gateway'),
    expires_at: At,
    expires_at_ms: AtMs,
    refresh_token: z
      .string()
      .optional()
      .describe(
        'For POST /auth/refresh; it is good once. Absent: a web page has it as a cookie, and that of a bot stays the same',
      ),
    refresh_expires_at: At.describe('The session ends then unless it is refreshed before'),
    refresh_expires_at_ms: AtMs,
    session: Id.describe('The session, see GET /api/v1/sessions'),
    user: Account,
  })
  .describe('Logged in');
const RefreshToken = z.string().max(1024).optional();
export const RefreshBody = z
  .object({ refresh_token: RefreshToken.describe('Absent: the cookie of the web page has it') })
  .nullish();
export const LogoutBody = z
  .object({
    everywhere: z
      .boolean()
      .default(false)
      .describe('End all sessions of the user that began until now, not this one alone'),
    refresh_token: RefreshToken.describe(
      'Of the session to end, where there is no access token; absent: the cookie of the web page has it',
    ),
  })
  .nullish();
export const KeySet = z
  .object({
    keys: z.array(
      z.object({
        kty: z.literal('OKP'),
        crv: z.literal('Ed25519'),
        x: z.string(),
        kid: z.string(),
        alg: z.literal('EdDSA'),
        use: z.literal('sig'),
      }),
    ),
  })
  .describe('The key set');

export const User = z
  .object({
    id: Id,
    name: z.string().describe('The handle: unique, does not change'),
    display_name: z.string().describe('What people see; the handle if the user has set none'),
  })
  .meta({ id: 'User', description: 'The user' });

export const UsersQuery = z.object({
  ids: z
    .string()
    .max(MAX_USERS * 21)
    .transform((text) => text.split(','))
    .pipe(z.array(Id).max(MAX_USERS))
    .describe(`Ids with commas between them, at most ${MAX_USERS}`),
});

export const UsersAnswer = z.object({ users: z.array(User) }).describe('Those of the users who exist');

export const Profile = z.object({
  display_name: z
    .string()
    .max(1024)
    .nullable()
    .describe('1 to 64 characters; null or empty: the handle is shown'),
});

export const PresenceAnswer = z
  .object({
    users: z.array(
      z.object({
        id: Id,
        status: z
          .enum(['online', 'idle', 'offline'])
          .describe("idle: online, with nobody at any of the user's devices"),
        last_seen: At.optional().describe('Offline; absent: unknown, or hidden from the caller'),
        last_seen_ms: AtMs.optional(),
      }),
    ),
  })
  .describe('How the users are');
