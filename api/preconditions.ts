/** ETag, If-Match and If-None-Match (RFC 9110, section 13): what a caller has read, and whether it still holds. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GochatError } from '../common/mod.ts';

/** Names a representation in the header ETag; returns whether the caller has it already (304). */
export function tag(request: FastifyRequest, reply: FastifyReply, body: unknown): boolean {
  const etag = etagOf(body);
  reply.header('etag', etag);
  return matches(request.headers['if-none-match'], etag, true);
}

/** Returns whether a request is conditional on what is there. */
export function isConditional({ headers }: FastifyRequest): boolean {
  return headers['if-match'] !== undefined;
}

/** Checks If-Match against what is there. @throws GochatError PRECONDITION_FAILED */
export function checkMatch({ headers }: FastifyRequest, body: unknown): void {
  if (!matches(headers['if-match'], etagOf(body), false)) throw new GochatError('PRECONDITION_FAILED');
}

function etagOf(body: unknown): string {
  return `"${createHash('sha256').update(JSON.stringify(body)).digest('base64url').slice(0, 22)}"`;
}

/** @param weakly whether a weak tag is as good: for reading, not for changing */
function matches(header: string | undefined, etag: string, weakly: boolean): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((each) => {
    const given = each.trim();
    return given === etag || (weakly && given === `W/${etag}`);
  });
}
