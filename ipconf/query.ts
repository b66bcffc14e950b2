/** The parameters of placement requests, from a query string or JSON. */
import { GochatError } from '../common/mod.ts';
import { ANY, MAX_GATEWAYS, type PlacementRequest } from './placement.ts';

/** Most requests in a batch: what a proxy gathers within some ms. */
export const MAX_BATCH = 100;

/** User id, opaque: it is hashed and signed, never looked up. */
const UID = /^[\w.:@-]{1,64}$/;
/** Zone: any text without control characters, as for gateways. */
const ZONE = /^[^\p{Cc}]{1,64}$/u;
const SMALL_NUMBER = /^[0-9]{1,5}$/;

/** Greatest protocol version. The version is only validated: all gateways speak the same. */
const MAX_VERSION = 65_535;

/** The values of one request, as text. */
interface Values {
  uid?: string;
  zone?: string;
  n?: string;
  transport?: string;
  v?: string;
}

/** Parses a query string. @throws GochatError ARGUMENT_INVALID */
export function parseQuery(query: string): PlacementRequest {
  if (query === '') return ANY;
  const values: Values = {};
  const isPlain = !/[%+]/.test(query);
  for (let from = 0; from < query.length; ) {
    const ampersand = query.indexOf('&', from);
    const to = ampersand < 0 ? query.length : ampersand;
    const equals = query.indexOf('=', from);
    const at = equals < 0 || equals > to ? to : equals;
    const name = query.slice(from, at);
    const value = query.slice(at + 1, to);
    if (isPlain) set(values, name, value);
    else set(values, decode(name), decode(value));
    from = to + 1;
  }
  return toRequest(values);
}

/** Parses the body of a batch: {"requests": [{uid, zone, n, transport, v}, …]}. @throws GochatError ARGUMENT_INVALID */
export function parseBatch(body: string): readonly PlacementRequest[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The body (not JSON)' }, cause });
  }
  const requests = isRecord(parsed) ? parsed['requests'] : undefined;
  if (!Array.isArray(requests) || requests.length === 0 || requests.length > MAX_BATCH)
    throw invalid(`requests (expected 1 to ${MAX_BATCH})`);
  return requests.map((entry: unknown, index) => {
    const where = `requests.${index}`;
    if (!isRecord(entry)) throw invalid(where);
    const values: Values = {};
    for (const [name, value] of Object.entries(entry)) set(values, name, value, `${where}.`);
    return toRequest(values, `${where}.`);
  });
}

/**
 * Unknown names are ignored, so that a newer client can ask an older server. Each name has its own branch:
 * `values[name]` with a freshly cut string is an uncached property look-up, which costs more than the rest.
 */
function set(values: Values, name: string, value: unknown, where = ''): void {
  switch (name) {
    case 'uid':
      values.uid = once(name, values.uid, value, where);
      break;
    case 'zone':
      values.zone = once(name, values.zone, value, where);
      break;
    case 'n':
      values.n = once(name, values.n, value, where);
      break;
    case 'transport':
      values.transport = once(name, values.transport, value, where);
      break;
    case 'v':
      values.v = once(name, values.v, value, where);
  }
}

/** Returns the text of a value that was not given before. */
function once(name: string, before: string | undefined, value: unknown, where: string): string {
  if (before !== undefined) throw invalid(`${where}${name} (twice)`);
  if (typeof value === 'string') return value;
  // A larger number has lost digits in JSON.parse and would be another user.
  if (!Number.isSafeInteger(value)) throw invalid(`${where}${name}`);
  return String(value);
}

function toRequest({ uid, zone, n, transport, v }: Values, where = ''): PlacementRequest {
  if (uid !== undefined && !UID.test(uid)) throw invalid(`${where}uid`);
  if (zone !== undefined && zone !== '' && !ZONE.test(zone)) throw invalid(`${where}zone`);
  if (transport !== undefined && transport !== 'tcp' && transport !== 'ws')
    throw invalid(`${where}transport (tcp or ws)`);
  if (v !== undefined) readNumber(`${where}v`, v, MAX_VERSION);
  return {
    n: n === undefined ? MAX_GATEWAYS : readNumber(`${where}n`, n, MAX_GATEWAYS),
    zone: zone ?? '',
    transport: transport ?? 'tcp',
    uid: uid ?? '',
  };
}

function readNumber(name: string, text: string, max: number): number {
  const value = SMALL_NUMBER.test(text) ? Number(text) : 0;
  if (value < 1 || value > max) throw invalid(`${name} (1 to ${max})`);
  return value;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new GochatError('ARGUMENT_INVALID', {
      details: { what: 'The query (bad percent encoding)' },
      cause,
    });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): GochatError {
  return new GochatError('ARGUMENT_INVALID', { details: { what } });
}
