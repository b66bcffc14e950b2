/** Error answers: turns any error into the one error shape, {code, message, retry_after_ms?}. */
import type { FastifyError, FastifyReply } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { type CodeWithDetails, GochatError } from '../common/mod.ts';

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

/** Returns the error for the caller. */
export function toGochatError(error: unknown): GochatError {
  const known = GochatError.known(error);
  if (known !== undefined) return known;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [first] = error.validation;
    const path = (first?.instancePath ?? '').split('/').filter((part) => part !== '');
    const where = [error.validationContext ?? 'request', ...path].join('.');
    return invalid(`${where} (${first?.message ?? 'invalid'})`);
  }
  const { code, statusCode } = error as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const refusal = FASTIFY_CODES[code ?? ''];
    if (refusal) return GochatError.of(refusal, { cause: error });
    return invalid(ADDRESS_CODES.has(code ?? '') ? 'The address' : 'The request body', error);
  }
  return GochatError.from(error);
}

/** Writes an error. 401 gets WWW-Authenticate, retryable errors Retry-After. */
export function sendError(reply: FastifyReply, error: GochatError): FastifyReply {
  const retryAfterMs = error.retryAfterMs ?? (error.entry.http === 503 ? DEFAULT_RETRY_MS : undefined);
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
  if (error.entry.http === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(error.entry.http)
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send({
      code: error.code,
      message: error.message,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    });
}

function invalid(what: string, cause?: unknown): GochatError {
  return new GochatError('ARGUMENT_INVALID', { details: { what }, cause });
}
