/** Schemas of accounts, tokens and users. */
import { z } from 'zod';
import { After, At, AtMs, Id, limit, Next } from './basic.ts';

const MAX_USERS = 200;

// Wide bounds: state checks the rules and names the one that is broken (NAME_INVALID, PASSWORD_WEAK).
export const Credentials = z.object({
  name: z.string().min(1).max(256).describe('User name: 1 to 32 of a-z, 0-9, dot, dash and underscore'),
  password: z.string().min(1).max(1024).describe('8 to 128 characters, none that is guessed first'),
});

export const LoginBody = Credentials.extend({
  client: z
    .string()
    .max(1024)
    .optional()
    .describe('Name of the software, for the list of sessions; absent: the User-Agent header'),
});
const Named = z.object({ id: Id, name: z.string() });

export const SignupAnswer = z.object({ user: Named }).describe('The account was made');

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
    user: Named,
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
const Password = z.string().max(1024);
export const PasswordBody = z.object({
  password: Password.describe('The current one'),
  new_password: Password.min(1).describe('8 to 128 characters, none that is guessed first'),
});
export const CloseBody = z
  .object({
    password: Password.default('').describe('Absent: the account has none'),
    retract: z.boolean().default(false).describe('Retract all messages of the user'),
  })
  .nullish();

const Session = z.object({
  id: Id,
  client: z.string().describe('Name of the software, as it said'),
  address: z.string().describe('Network address of the log-in'),
  created_at: At,
  used_at: At.describe('Time of the last refresh, else of the log-in'),
  expires_at: At,
  current: z.boolean().describe("It is that of the request's access token"),
});
export const SessionsAnswer = z
  .object({ sessions: z.array(Session).describe('The last used first') })
  .describe('The sessions of the caller');
export const SessionParams = z.object({ id: Id.describe('Id of the session') });

const bot = {
  id: Id,
  name: z.string(),
  display_name: z.string().describe('The name if the bot has none'),
};
export const BotsAnswer = z.object({ bots: z.array(z.object(bot)) }).describe('The bots of the caller');
export const NewBot = z.object({
  name: z.string().min(1).max(256).describe('1 to 32 of a-z, 0-9, dot, dash and underscore'),
  display_name: z.string().max(1024).optional().describe('1 to 64 characters'),
});
export const BotWithToken = z
  .object({
    ...bot,
    token: z.string().describe('For POST /auth/refresh, as often as wanted; it is shown once'),
  })
  .describe('The bot with its token');
const UserName = z
  .string()
  .min(1)
  .max(256)
  .refine((text) => !/^[0-9]/.test(text) || Id.safeParse(text).success, 'expected a name or a decimal id');
export const BotParams = z.object({ bot: UserName.describe('Name of the bot, or id in decimal') });

export const Account = z
  .object({
    id: Id,
    name: z.string(),
    display_name: z.string().describe('The name if the user has none'),
    state: z.enum(['active', 'suspended', 'closed']),
    admin: z.boolean().describe('The user is an admin of the server'),
    owner: Id.optional().describe('Of a bot: the user whom it belongs to'),
  })
  .describe('The account');
export const AccountsQuery = z.object({ after: After, limit: limit(500, 100) });
export const AccountsAnswer = z
  .object({ accounts: z.array(Account).describe('Ascending by id'), next: Next })
  .describe('A page of accounts');
export const AccountParams = z.object({ user: UserName.describe('Name of the user, or id in decimal') });
// Strict, so that what is misspelled is not dropped in silence.
export const AccountChanges = z
  .strictObject({
    state: z.enum(['active', 'suspended']).describe('suspended: the sessions end, those of bots too'),
    admin: z.boolean(),
  })
  .partial();
export const NewPassword = z.object({ password: z.string() }).describe('The new password');

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
