/** Cursors of pages: opaque to the caller, and good only for the list that they came from. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GochatError, pathOf } from '../common/mod.ts';

/** Bytes of a cursor that name its list. */
const LIST_BYTES = 6;

/** Returns the place that a request's cursor stands for; empty: the first page. @throws GochatError ARGUMENT_INVALID */
export function placeOf(request: FastifyRequest, cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const bytes = Buffer.from(cursor, 'base64url');
  const place = bytes.subarray(LIST_BYTES).toString();
  if (place === '' || !bytes.subarray(0, LIST_BYTES).equals(listOf(pathOf(request.raw))))
    throw new GochatError('ARGUMENT_INVALID', {
      details: { what: 'The cursor after, which is of another list,' },
    });
  return place;
}

/**
 * Returns the cursor of the page after this one, null if this is the last, and names that page in the header Link
 * (RFC 8288).
 *
 * @param place where the next page begins; empty: there is none
 */
export function nextPage(request: FastifyRequest, reply: FastifyReply, place: string): string | null {
  if (place === '') return null;
  const path = pathOf(request.raw);
  const cursor = Buffer.concat([listOf(path), Buffer.from(place)]).toString('base64url');
  const query = new URLSearchParams(request.raw.url?.slice(path.length));
  query.set('after', cursor);
  reply.header('link', `<${path}?${query.toString()}>; rel="next"`);
  return cursor;
}

function listOf(path: string): Buffer {
  return createHash('sha256').update(path).digest().subarray(0, LIST_BYTES);
}
