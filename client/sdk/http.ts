/** JSON over HTTP, to the API server and ipconf. */
import { ClientError } from './errors.ts';
import type { FetchLike, ResolvedOptions } from './options.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface HttpServer {
  readonly what: string;
  readonly flag: string;
  readonly base: string;
  /** Timeout, ms. */
  readonly timeoutMs: number;
  /** Access token that the call carries. */
  readonly token?: string;
}

/** The API server. Password checks are slow on purpose, so the timeout is that of any call. */
export function apiServer(
  { callTimeoutMs }: Pick<ResolvedOptions, 'callTimeoutMs'>,
  base: string,
): HttpServer {
  return { what: 'the API server', flag: '--api', base, timeoutMs: callTimeoutMs };
}

export function unreachable(server: HttpServer, why: string, cause?: unknown): ClientError {
  return ClientError.local('SERVER_UNREACHABLE', {
    details: { what: `${server.what}${tlsReason(server, cause)}`, url: server.base, flag: server.flag },
    cause: cause ?? new Error(why),
  });
}

/** Says why a fetch over TLS failed, such as a certificate that is not trusted. */
function tlsReason({ base }: HttpServer, error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return base.startsWith('https:') && cause instanceof Error ? ` (${cause.message})` : '';
}

export async function request(
  options: { readonly fetch: FetchLike },
  server: HttpServer,
  path: string,
  signal: AbortSignal,
  post?: Json,
): Promise<Json> {
  const url = `${server.base.replace(/\/+$/, '')}${path}`;
  if (!URL.canParse(url)) {
    throw ClientError.local('ARGUMENT_INVALID', {
      details: { what: `The address ${server.base} (${server.flag})` },
    });
  }
  let response: Response;
  let text: string;
  try {
    response = await options.fetch(url, {
      method: post === undefined ? 'GET' : 'POST',
      ...(post !== undefined && {
        headers: {
          'content-type': 'application/json',
          ...(server.token !== undefined && { authorization: `Bearer ${server.token}` }),
        },
        body: JSON.stringify(post),
      }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(server.timeoutMs)]),
    });
    text = await response.text();
  } catch (error) {
    if (signal.aborted) throw ClientError.local('CLIENT_CLOSED', { cause: error });
    throw unreachable(server, 'no answer', error);
  }
  const body = parseObject(text);
  if (response.ok && body !== undefined) return body;
  if (typeof body?.['code'] !== 'string') throw unreachable(server, `HTTP ${response.status} without a code`);
  throw new ClientError(
    body['code'],
    typeof body['message'] === 'string'
      ? body['message']
      : `${server.what} answered HTTP ${response.status}.`,
    response.status >= 500 || response.status === 429,
    retryAfterMs(body, response),
  );
}

function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    // An answer that is not JSON is not from GoChat; the caller reports the address.
    return undefined;
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

function retryAfterMs(body: Json, response: Response): number {
  const ms = Number(body['retry_after_ms'] ?? Number.NaN);
  if (Number.isFinite(ms)) return Math.max(0, ms);
  const seconds = Number(body['retry_after'] ?? response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : 0;
}
