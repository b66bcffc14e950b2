/** The routes: from a request to an answer. */
import type { IncomingMessage } from 'node:http';
import { addressKey, GochatError } from '../common/mod.ts';
import { type Answer, answerOf, errorAnswer, okAnswer, PREFLIGHT } from './answer.ts';
import type { List } from './list.ts';
import { parseBatch, parseQuery } from './query.ts';
import type { RateLimit } from './rate-limit.ts';

/** Longest request target: no valid query is longer. Characters. */
export const MAX_TARGET_LENGTH = 2048;
/** Largest body: a full batch is smaller. Bytes. */
export const MAX_BODY_BYTES = 65_536;

const HEALTHY = okAnswer('{"code":"OK","message":"ok"}');

export interface RoutesOptions {
  readonly list: List;
  readonly limit: RateLimit;
  /** Believes X-Forwarded-For of a proxy in front. */
  readonly trustProxy: boolean;
}

/** Answers a request; rejects never. */
export function route(request: IncomingMessage, options: RoutesOptions): Answer | Promise<Answer> {
  const target = request.url ?? '/';
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const isHead = request.method === 'HEAD';
  const isRead = isHead || request.method === 'GET';
  // Not limited: a probe must not fail because others flood from its address, and a refusal would cost as much.
  if (path === '/healthz' && isRead) return HEALTHY;
  const address = addressOf(request, options.trustProxy);
  const refusal = refuseFlood(address, options.limit);
  if (refusal) return refusal;
  if (request.headers.host === undefined && request.httpVersion === '1.1')
    return errorAnswer({ code: 'ARGUMENT_INVALID', details: { what: 'A request without the header Host' } });
  if (target.length > MAX_TARGET_LENGTH)
    return errorAnswer({ code: 'REQUEST_TOO_LARGE', details: { max: MAX_TARGET_LENGTH } }, { status: 414 });
  if (path === '/healthz') return notAllowed(request, path, 'GET, HEAD');
  if (path !== '/ip/list') return errorAnswer({ code: 'ROUTE_NOT_FOUND', details: { name: path } });
  if (request.method === 'OPTIONS') return PREFLIGHT;
  if (!isRead && request.method !== 'POST') return notAllowed(request, path, 'GET, HEAD, POST, OPTIONS');
  try {
    if (isRead) return options.list.answer(parseQuery(at < 0 ? '' : target.slice(at + 1)), isHead);
  } catch (error) {
    return answerOf(error);
  }
  return readBody(request)
    .then((body) => {
      const requests = parseBatch(body);
      options.limit.charge(address, requests.length - 1);
      return options.list.answerBatch(requests);
    })
    .catch((error: NodeJS.ErrnoException) =>
      // Who hung up reads no answer; it is counted all the same.
      error.code === 'ECONNRESET' ? errorAnswer('CANCELLED') : answerOf(error),
    );
}

/** Counts a request; returns the answer when it is one too many of its address. */
export function refuseFlood(address: string, limit: RateLimit): Answer | undefined {
  const waitMs = limit.take(address, performance.now());
  return waitMs > 0 ? errorAnswer('RATE_LIMITED', { retryAfterMs: waitMs }) : undefined;
}

export function notAllowed(request: IncomingMessage, path: string, allow: string): Answer {
  const details = { method: request.method ?? '', name: path };
  return errorAnswer({ code: 'METHOD_NOT_ALLOWED', details }, { headers: ['allow', allow] });
}

/** @throws GochatError MEDIA_TYPE_UNSUPPORTED, REQUEST_TOO_LARGE */
async function readBody(request: IncomingMessage): Promise<string> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new GochatError('MEDIA_TYPE_UNSUPPORTED');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES)
      throw new GochatError('REQUEST_TOO_LARGE', { details: { max: MAX_BODY_BYTES } });
  }
  return Buffer.concat(chunks).toString();
}

/**
 * Returns what the request is counted under: a /64 of IPv6 is one subscriber. Of X-Forwarded-For the last entry counts,
 * which the proxy appended: it is the only one that the client did not write.
 */
export function addressOf(request: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? request.headers['x-forwarded-for'] : undefined;
  const last = (Array.isArray(forwarded) ? forwarded.at(-1) : forwarded)?.split(',').at(-1)?.trim();
  return addressKey(last || (request.socket.remoteAddress ?? ''));
}
