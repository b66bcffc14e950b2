/** Schemas that several routes share. The OpenAPI document is made from the schemas of this folder. */
import { z } from 'zod';

const MAX_ID = 2n ** 64n - 1n;
const DECIMAL_ID = /^[1-9][0-9]{0,19}$/;

/** A 64-bit id as a decimal string, because JSON numbers lose digits. */
export const Id = z
  .string()
  .regex(DECIMAL_ID, 'expected a decimal id')
  .refine((text) => !DECIMAL_ID.test(text) || BigInt(text) <= MAX_ID, 'expected a 64-bit id')
  .describe('64-bit id in decimal');

export const Count = z.int().min(0);
/** Place of an entry in its conversation. */
export const Seq = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
/** The same in an address. */
export const SeqText = z.coerce.number().pipe(Seq);

/** Cursor of a page; absent in a request: the first page; null in an answer: there is none. */
export const After = z
  .string()
  .min(1)
  .max(512)
  .optional()
  .describe('next of the page before; absent: the first page');
export const Next = z.string().nullable().describe('Cursor of the next page; null: this is the last');

/** Headers of every request that changes something. Loose: the other headers stay. */
export const ChangeHeaders = z.looseObject({
  'idempotency-key': z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe(
      'The caller may repeat the request with this key; another request with it is refused for a day',
    ),
});

export const NotModified = z.undefined().describe('The caller has it: If-None-Match names its ETag');

/** Most items of a page. */
export function limit(most: number, usual: number) {
  return z.coerce.number().int().min(1).max(most).default(usual).describe('Most entries in the page');
}

export const At = z.iso.datetime();
export const AtMs = Count.describe('Unix time in ms');

export const Role = z.enum(['owner', 'moderator', 'member']);

export const RoomParams = z.object({
  id: Id.describe('Id of the room, or of a direct conversation where it has the call'),
});

export const Done = z.object({ status: z.literal('ok') }).describe('Done');

export const Health = z.object({ status: z.literal('ok') }).describe('The server is alive');

/** The one shape of every error: problem details (RFC 9457). */
export const ApiError = z
  .object({
    type: z.literal('about:blank').describe('The code says what kind of error it is'),
    title: z.string().describe('The phrase of the status'),
    status: z.int(),
    code: z.string().describe('See docs/errors.md'),
    message: z.string().describe('Cause and remedy'),
    errors: z
      .array(z.object({ path: z.string(), code: z.string(), message: z.string() }))
      .optional()
      .describe('Each value of the request that is not valid'),
    request_id: z.string().optional().describe('X-Request-Id of the answer, which stands in the log too'),
    retry_after_ms: Count.optional().describe('Wait at least this long before trying again'),
  })
  .meta({ id: 'Problem' });
