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
  if (target.length > MAX_TARGET_LENGTH)
    return errorAnswer('REQUEST_TOO_LARGE', { status: 414, details: { max: MAX_TARGET_LENGTH } });
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (path === '/healthz') return isRead ? HEALTHY : notAllowed(request, path, 'GET, HEAD');
  if (path !== '/ip/list') return errorAnswer('ROUTE_NOT_FOUND', { details: { name: path } });
  if (request.method === 'OPTIONS') return PREFLIGHT;
  if (!isRead && request.method !== 'POST') return notAllowed(request, path, 'GET, HEAD, POST, OPTIONS');
  const address = addressOf(request, options.trustProxy);
  const waitMs = options.limit.take(address, performance.now());
  if (waitMs > 0) return errorAnswer('RATE_LIMITED', { retryAfterMs: waitMs });
  try {
    if (isRead) return options.list.answer(parseQuery(at < 0 ? '' : target.slice(at + 1)));
  } catch (error) {
    return answerOf(error);
  }
  return readBody(request)
    .then((body) => {
      const requests = parseBatch(body);
      options.limit.charge(address, requests.length - 1);
      return options.list.answerBatch(requests);
    })
    .catch(answerOf);
}

function notAllowed(request: IncomingMessage, path: string, allow: string): Answer {
  const details = { method: request.method ?? '', name: path };
  return errorAnswer('METHOD_NOT_ALLOWED', { details, headers: ['allow', allow] });
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
function addressOf(request: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? request.headers['x-forwarded-for'] : undefined;
  const last = (Array.isArray(forwarded) ? forwarded.at(-1) : forwarded)?.split(',').at(-1)?.trim();
  return addressKey(last || (request.socket.remoteAddress ?? ''));
}
