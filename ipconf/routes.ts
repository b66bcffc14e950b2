/** The routes of ipconf: from a request to an answer. */
import type { IncomingMessage } from 'node:http';
import {
  addressKey,
  type Cors,
  GochatError,
  methodNotAllowed,
  pathOf,
  refuseMissingHost,
  type RateLimit,
  type TrustedProxies,
} from '../common/mod.ts';
import { type Answer, answerOf, errorAnswer, okAnswer, optionsAnswer, refusalAnswer } from './answer.ts';
import type { List } from './list.ts';
import { parseBatch, parseQuery } from './query.ts';

/** Longest request target; valid queries are shorter. Characters. */
export const MAX_TARGET_LENGTH = 2048;
/** Largest body; a full batch is smaller. Bytes. */
export const MAX_BODY_BYTES = 65_536;

/** The methods of each path. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ['/healthz', 'GET, HEAD, OPTIONS'],
  ['/ip/list', 'GET, HEAD, OPTIONS, POST'],
]);

const HEALTHY = okAnswer('{"code":"OK","message":"ok"}');

export interface RoutesOptions {
  readonly list: List;
  readonly limit: RateLimit;
  readonly proxies: TrustedProxies;
  readonly cors: Cors;
}

/** Answers a request. Never rejects. */
export function route(request: IncomingMessage, options: RoutesOptions): Answer | Promise<Answer> {
  const target = request.url ?? '/';
  const path = pathOf(request);
  const isHead = request.method === 'HEAD';
  const isRead = isHead || request.method === 'GET';
  // Not rate-limited: a probe must not fail because others flood from its address, and a refusal would cost as much.
  if (path === '/healthz' && isRead) return HEALTHY;
  const address = addressKey(options.proxies.clientOf(request));
  const refusal = refuseFlood(address, options.limit);
  if (refusal) return refusal;
  const refused = refuseMissingHost(request);
  if (refused) return refusalAnswer(refused);
  if (target.length > MAX_TARGET_LENGTH)
    return errorAnswer({ code: 'REQUEST_TOO_LARGE', details: { max: MAX_TARGET_LENGTH } }, { status: 414 });
  const allow = METHODS.get(path);
  if (allow === undefined)
    return errorAnswer({ code: 'ROUTE_NOT_FOUND', details: { name: `${request.method} ${path}` } });
  if (request.method === 'OPTIONS')
    return optionsAnswer(allow, options.cors.headers(request.headers.origin, allow));
  if (path === '/healthz' || (!isRead && request.method !== 'POST'))
    return refusalAnswer(methodNotAllowed(request, path, allow));
  try {
    if (isRead) return options.list.answer(parseQuery(target.slice(path.length + 1)), isHead);
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
      // The client has hung up; the request is counted all the same.
      error.code === 'ECONNRESET' ? errorAnswer('CANCELLED') : answerOf(error),
    );
}

/** Counts a request. Returns the answer if its address is over the limit. */
export function refuseFlood(address: string, limit: RateLimit): Answer | undefined {
  const waitMs = limit.take(address, performance.now());
  return waitMs > 0 ? errorAnswer('RATE_LIMITED', { retryAfterMs: waitMs }) : undefined;
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
