/**
 * The refresh token of web pages: a cookie that scripts cannot read. A request with an Origin header comes from a page; all
 * others get the token in the body.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Cors, GochatError } from '../common/mod.ts';

const NAME = 'gochat-refresh';
/** Refresh and log-out are below it. */
const PATH = '/auth';
/** Most characters of an origin that an error shows. */
const MAX_SHOWN = 100;
const VALUE = new RegExp(`(?:^|;\\s*)${NAME}=([\\w-]+)(?:;|$)`);

/** Returns the token in the cookie of a page that may use it. @throws GochatError ORIGIN_FORBIDDEN */
export function cookieOf(request: FastifyRequest, cors: Cors): string | undefined {
  const value = VALUE.exec(request.headers.cookie ?? '')?.[1];
  if (value !== undefined && !isOwnPage(request, cors)) {
    const origin = (request.headers.origin ?? 'an unknown origin').slice(0, MAX_SHOWN);
    throw new GochatError('ORIGIN_FORBIDDEN', { details: { origin } });
  }
  return value;
}

/** Whether the request comes from a page, which must not see a refresh token. */
export function isPage(request: FastifyRequest): boolean {
  return request.headers.origin !== undefined;
}

/** Gives the page the token; a page of an origin that is not listed in cors_origins gets none. */
export function setCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  cors: Cors,
  { token, expiresAtMs }: { readonly token: string; readonly expiresAtMs: number },
): void {
  if (isOwnPage(request, cors))
    reply.header('set-cookie', refreshCookie(token, expiresAtMs, isSecure(request)));
}

/** Returns the cookie of a refresh token. */
export function refreshCookie(token: string, expiresAtMs: number, secure: boolean): string {
  return cookie(token, Math.max(0, Math.floor((expiresAtMs - Date.now()) / 1000)), secure);
}

/** Makes the browser forget the token. */
export function clearCookie(request: FastifyRequest, reply: FastifyReply): void {
  if (VALUE.test(request.headers.cookie ?? '')) reply.header('set-cookie', cookie('', 0, isSecure(request)));
}

function cookie(value: string, maxAgeS: number, secure: boolean): string {
  const parts = [`${NAME}=${value}`, `Path=${PATH}`, `Max-Age=${maxAgeS}`, 'HttpOnly', 'SameSite=Strict'];
  return [...parts, ...(secure ? ['Secure'] : [])].join('; ');
}

function isSecure({ headers }: FastifyRequest): boolean {
  return headers.origin?.startsWith('https:') === true;
}

/** Whether the page is of this server, or of an origin that is listed by name. */
function isOwnPage(request: FastifyRequest, cors: Cors): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined || !URL.canParse(origin)) return false;
  return new URL(origin).host === host || cors.lists(origin);
}
