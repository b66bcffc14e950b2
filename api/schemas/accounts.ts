/** Schemas of accounts, tokens and users. */
import { z } from 'zod';
import { At, AtMs, Id } from './basic.ts';

const MAX_USERS = 200;

// Wide bounds: state checks the rules and names the one that is broken (NAME_INVALID, PASSWORD_WEAK).
export const Credentials = z.object({
  name: z.string().min(1).max(256).describe('User name: 1 to 32 of a-z, 0-9, dot, dash and underscore'),
  password: z.string().min(1).max(1024).describe('6 to 128 characters'),
});

const Account = z.object({ id: Id, name: z.string() });

export const SignupAnswer = z.object({ user: Account }).describe('The account was made');

export const LoginAnswer = z
  .object({
    token: z.string().describe('Access token: Authorization: Bearer TOKEN, and HELLO at the gateway'),
    expires_at: At,
    expires_at_ms: AtMs,
    user: Account,
  })
  .describe('Logged in');

export const LogoutBody = z
  .object({
    everywhere: z
      .boolean()
      .default(false)
      .describe('End all sessions of the user that began until now, not this one alone'),
  })
  .nullish();

export const User = z
  .object({
    id: Id,
    name: z.string().describe('The handle: unique, does not change'),
    display_name: z.string().describe('What people see; the handle if the user has set none'),
  })
  .describe('The user');

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
