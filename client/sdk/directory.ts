/** The client's HTTP calls: login at the API server and the list of gateways from ipconf. */
import { PROTOCOL_VERSION } from '../../proto/client.ts';
import { ClientError } from './errors.ts';
import type { BackoffOptions } from './backoff.ts';
import type { FetchLike, GochatClientOptions, ResolvedOptions, Token } from './options.ts';
import { type Gateway, offers } from './transport.ts';

/** A token this close to its expiry is replaced before use. */
const EXPIRY_MARGIN_MS = 30_000;
const MAX_GATEWAYS = 16;
/** Longest retry hint that is believed. */
const MAX_WAIT_MS = 600_000;

type Json = Readonly<Record<string, unknown>>;

/** Keeps the access token and gets a new one when needed. */
export class Credentials {
  readonly #get: (signal: AbortSignal) => Promise<Token>;
  #token: Token | undefined;

  constructor(options: GochatClientOptions, resolved: ResolvedOptions) {
    const { api, user, password, getToken } = options;
    if (getToken !== undefined) {
      this.#get = getToken;
    } else if (api !== undefined && user !== undefined && password !== undefined) {
      this.#get = (signal) => logIn(resolved, api, user, password, signal);
    } else {
      throw ClientError.local('ARGUMENT_INVALID', {
        details: { what: 'A client without getToken, or api, user and password,' },
      });
    }
  }

  /** Returns the current token or a new one. */
  async token(signal: AbortSignal): Promise<string> {
    const held = this.#token;
    if (held !== undefined && (held.expiresAtMs ?? Infinity) - Date.now() > EXPIRY_MARGIN_MS)
      return held.token;
    return this.renew(signal);
  }

  /** Returns a new token, though the held one may be valid still. */
  async renew(signal: AbortSignal): Promise<string> {
    this.#token = await this.#get(signal);
    return this.#token.token;
  }

  /** User id of the token; '' if unknown. */
  get user(): string {
    return this.#token?.user ?? '';
  }

  /** The current token. */
  get held(): string | undefined {
    return this.#token?.token;
  }

  /** Drops the token because the gateway refused it. */
  invalidate(): void {
    this.#token = undefined;
  }
}

async function logIn(
  options: ResolvedOptions,
  api: string,
  name: string,
  password: string,
  signal: AbortSignal,
): Promise<Token> {
  const server = apiServer(options, api);
  const body = await request(options, server, '/auth/login', signal, { name, password });
  if (typeof body['token'] !== 'string') throw unreachable(server, 'it is not GoChat');
  const expires = body['expires_at_ms'];
  const expiresAtMs = typeof expires === 'string' ? Date.parse(expires) : Number(expires ?? Number.NaN);
  const user = isObject(body['user']) ? body['user']['id'] : undefined;
  return {
    token: body['token'],
    expiresAtMs: Number.isFinite(expiresAtMs) ? expiresAtMs : undefined,
    user: typeof user === 'string' ? user : undefined,
  };
}

/** Ends the session of a token, or all sessions of its user. */
export async function logOut(
  options: ResolvedOptions,
  base: string,
  token: string,
  everywhere: boolean,
): Promise<void> {
  const server = { ...apiServer(options, base), token };
  await request(options, server, '/auth/logout', new AbortController().signal, { everywhere });
}

/** The answer of ipconf. */
export interface Listing {
  /** Best first. */
  readonly gateways: readonly Gateway[];
  /** Ticket for these gateways, valid for a minute; '' if ipconf signs none. */
  readonly ticket: string;
  readonly backoff: BackoffOptions;
}

/** Fetches the list of gateways. @param uid id of the user; '' if unknown */
export async function listGateways(
  options: ResolvedOptions,
  uid: string,
  signal: AbortSignal,
): Promise<Listing> {
  const server = {
    what: 'ipconf',
    flag: '--ipconf',
    base: options.ipconf,
    timeoutMs: options.connectTimeoutMs,
  };
  const query = new URLSearchParams({ transport: options.transport.kind, v: String(PROTOCOL_VERSION) });
  if (uid !== '') query.set('uid', uid);
  if (options.zone !== '') query.set('zone', options.zone);
  const body = await request(options, server, `/ip/list?${query.toString()}`, signal);
  if (!Array.isArray(body['data'])) throw unreachable(server, 'it is not GoChat');
  const gateways: Gateway[] = [];
  for (const item of (body['data'] as Json[]).slice(0, MAX_GATEWAYS)) {
    const port = Number(item['port'] ?? 0);
    const wsPort = Number(item['ws_port'] ?? 0);
    if (typeof item['ip'] !== 'string') continue;
    const gateway = { host: item['ip'], port, wsPort, tls: item['tls'] === true };
    if (offers(gateway, options.transport.kind)) gateways.push(gateway);
  }
  if (gateways.length === 0) throw ClientError.local('NO_GATEWAY');
  const ticket = typeof body['ticket'] === 'string' ? body['ticket'] : '';
  return { gateways, ticket, backoff: readBackoff(body['backoff']) };
}

function readBackoff(hint: unknown): BackoffOptions {
  if (!isObject(hint)) return {};
  const { base_ms: baseMs, max_ms: maxMs } = hint;
  return isWait(baseMs) && isWait(maxMs) ? { baseMs, maxMs } : {};
}

function isWait(ms: unknown): ms is number {
  return typeof ms === 'number' && ms > 0 && ms <= MAX_WAIT_MS;
}

interface HttpServer {
  readonly what: string;
  readonly flag: string;
  readonly base: string;
  /** Timeout, ms. */
  readonly timeoutMs: number;
  /** Access token that the call carries. */
  readonly token?: string;
}

/** The API server. Password checks are slow on purpose, so the timeout is that of any call. */
function apiServer({ callTimeoutMs }: ResolvedOptions, base: string): HttpServer {
  return { what: 'the API server', flag: '--api', base, timeoutMs: callTimeoutMs };
}

function unreachable(server: HttpServer, why: string, cause?: unknown): ClientError {
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

async function request(
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

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

function retryAfterMs(body: Json, response: Response): number {
  const ms = Number(body['retry_after_ms'] ?? Number.NaN);
  if (Number.isFinite(ms)) return Math.max(0, ms);
  const seconds = Number(body['retry_after'] ?? response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : 0;
}
