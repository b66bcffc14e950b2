/** The error responses of routes, for the OpenAPI document. */
import { ApiError } from '../schemas.ts';

const KINDS = {
  bad: [400, 'The request is malformed or a value is not valid'],
  unauthenticated: [401, 'The access token or the password is missing, wrong or expired'],
  forbidden: [
    403,
    'The caller or the user named is not a member of the conversation, or the role of the caller is too low',
  ],
  missing: [404, 'There is no such room or user'],
  conflict: [409, 'The name is taken, or the room would be without an owner'],
  limited: [429, 'Too many requests'],
} as const;

/** Errors of every call to state. */
const ALWAYS = [
  [500, 'Something went wrong inside the server'],
  [503, 'State, its store or its hot state cannot be reached, or is overloaded'],
  [504, 'State did not answer in time'],
] as const;

/** Returns the response schemas of these errors and of those of every call to state. */
export function errors(...kinds: readonly (keyof typeof KINDS)[]): Record<number, typeof ApiError> {
  const all = [...kinds.map((kind) => KINDS[kind]), ...ALWAYS];
  return Object.fromEntries(all.map(([status, description]) => [status, ApiError.describe(description)]));
}
