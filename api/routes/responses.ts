/** The error responses of routes, for the OpenAPI document. */
import { PROBLEM_TYPE } from '../../common/mod.ts';
import { ApiError } from '../schemas/basic.ts';

const MISSING = 'There is no such room, user or message that the caller may know of';

const KINDS = {
  unauthenticated: { 401: 'The access token or the password is missing, wrong or expired' },
  forbidden: {
    403: 'The caller is not a member of the conversation, is not the author of the message, or has too low a role',
    404: MISSING,
  },
  suspended: { 403: 'The account is suspended, or a web page of another origin asks' },
  admin: { 403: 'The caller is not an admin of the server' },
  account: { 403: 'The password is wrong, or the caller is a bot' },
  missing: { 404: MISSING },
  conflict: {
    409: 'The name is taken, the room would be without an owner, the message is too old to be edited, or there are too many pins',
  },
  changed: { 412: 'What is there has changed since it was read' },
  gone: { 410: 'The message was retracted or is no longer kept' },
  /** Of every method but GET: a body is read also where none is needed. */
  body: {
    413: 'The body or its text is too long',
    415: 'The body is not JSON',
    422: 'The Idempotency-Key belongs to another request, or there is no such entry yet',
  },
} as const;

/** Errors of every call to state. */
const ALWAYS = {
  400: 'The request is malformed or a value is not valid',
  429: 'Too many requests',
  431: 'Address and headers are too long',
  500: 'Something went wrong inside the server',
  503: 'State, its store or its hot state cannot be reached, or is overloaded',
  504: 'State did not answer in time',
} as const;

/** The documented response of an error. */
interface ErrorResponse {
  readonly description: string;
  readonly content: { readonly [PROBLEM_TYPE]: { readonly schema: typeof ApiError } };
}

/** Returns the response schemas of these errors and of those of every call to state. */
export function errors(...kinds: readonly (keyof typeof KINDS)[]): Record<number, ErrorResponse> {
  const all = Object.entries(Object.assign({}, ALWAYS, ...kinds.map((kind) => KINDS[kind])) as object);
  const content = { [PROBLEM_TYPE]: { schema: ApiError } };
  return Object.fromEntries(all.map(([status, description]) => [status, { description, content }]));
}
