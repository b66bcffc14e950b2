/** The list of gateways from ipconf. */
import { PROTOCOL_VERSION } from '../../proto/client.ts';
import type { BackoffOptions } from './backoff.ts';
import { ClientError } from './errors.ts';
import { isObject, type Json, request, unreachable } from './http.ts';
import type { ResolvedOptions } from './options.ts';
import { type Gateway, offers } from './transport.ts';

const MAX_GATEWAYS = 16;
/** Longest retry hint that is believed. */
const MAX_WAIT_MS = 600_000;

/** The answer of ipconf. */
export interface Listing {
  /** Best first. */
  readonly gateways: readonly Gateway[];
  /** Ticket for these gateways, valid for a minute; '' if ipconf signs none. */
  readonly ticket: string;
  readonly backoff: BackoffOptions;
}

/** Returns the gateways of the options, else fetches the list. @param uid id of the user; '' if unknown */
export async function listGateways(
  options: ResolvedOptions,
  uid: string,
  signal: AbortSignal,
): Promise<Listing> {
  if (options.gateways.length > 0) return { gateways: options.gateways, ticket: '', backoff: {} };
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
