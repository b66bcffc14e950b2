/** Error answers: turns any error into the one error shape, problem details (RFC 9457). */
import type { FastifyError, FastifyReply } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { type CodeWithDetails, GochatError, PROBLEM_TYPE, problemOf } from '../common/mod.ts';

/**
 * Largest request body, bytes. A text of the default limit fits whatever its characters (6 bytes each in JSON), one of the
 * largest limit that settings allow (65,536) unless more than half of it is control characters.
 */
export const BODY_LIMIT = 2 * 65_536 + 4096;

/** Retry hint if state gives none: about the time to find another state node. ms. */
const DEFAULT_RETRY_MS = 1_000;

/** Codes for fastify's own errors; others with a 4xx status are ARGUMENT_INVALID. */
const FASTIFY_CODES: Readonly<Record<string, CodeWithDetails>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'REQUEST_TOO_LARGE', details: { max: BODY_LIMIT } },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'MEDIA_TYPE_UNSUPPORTED' },
};

const ADDRESS_CODES = new Set(['FST_ERR_BAD_URL', 'FST_ERR_MAX_PARAM_LENGTH']);

/** One value of a request that is not valid. */
export interface Fault {
  /** Where it is: `body.name`, `querystring.limit`. */
  readonly path: string;
  /** What is wrong: the validator's name for it, such as `too_big` or `invalid_type`. */
  readonly code: string;
  readonly message: string;
}

export interface ErrorAnswer {
  readonly error: GochatError;
  readonly faults?: readonly Fault[];
}

/** Returns the error for the caller. */
export function answerOf(thrown: unknown): ErrorAnswer {
  const known = GochatError.known(thrown);
  if (known !== undefined) return { error: known };
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const part = thrown.validationContext ?? 'request';
    const faults = thrown.validation.map(({ instancePath, keyword, message = 'invalid' }) => ({
      path: [part, ...instancePath.split('/').filter((name) => name !== '')].join('.'),
      code: keyword,
      message,
    }));
    const [first = { path: part, message: 'invalid' }] = faults;
    return { error: invalid(`${first.path} (${first.message})`), faults };
  }
  const { code, statusCode } = thrown as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const refusal = FASTIFY_CODES[code ?? ''];
    if (refusal) return { error: GochatError.of(refusal, { cause: thrown }) };
    return { error: invalid(ADDRESS_CODES.has(code ?? '') ? 'The address' : 'The request body', thrown) };
  }
  return { error: GochatError.from(thrown) };
}

/** Writes an error. 401 gets WWW-Authenticate, retryable errors Retry-After. */
export function sendError(reply: FastifyReply, { error, faults }: ErrorAnswer): FastifyReply {
  const status = error.entry.http;
  const retryAfterMs = error.retryAfterMs ?? (status === 503 ? DEFAULT_RETRY_MS : undefined);
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(status)
    .type(PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send({
      ...problemOf(error, status),
      ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
      ...(faults && { errors: faults }),
      request_id: reply.request.id,
    });
}

function invalid(what: string, cause?: unknown): GochatError {
  return new GochatError('ARGUMENT_INVALID', { details: { what }, cause });
}
