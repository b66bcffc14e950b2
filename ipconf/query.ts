/** What a request for placement may say, from a query string or from JSON. */
import { GochatError } from '../common/mod.ts';
import { ANY, MAX_GATEWAYS, type PlacementRequest } from './placement.ts';

/** Most requests in one batch: what a proxy gathers in some ms. */
export const MAX_BATCH = 100;

/** User id, as opaque text: it is hashed and signed, never looked up. */
const UID = /^[\w.:@-]{1,64}$/;
const ZONE = /^[\w.:-]{1,64}$/;
const SMALL_NUMBER = /^[0-9]{1,5}$/;

/** Protocol version of the client; every gateway of today speaks the same, so that it is checked and no more. */
const MAX_VERSION = 65_535;

/** Parses what stands behind the question mark. @throws GochatError ARGUMENT_INVALID */
export function parseQuery(query: string): PlacementRequest {
  if (query === '') return ANY;
  const values: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    if (name in values) throw invalid(`The query (${quote(name)} twice)`);
    values[name] = decode(at < 0 ? '' : pair.slice(at + 1));
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
    if (!isRecord(entry)) throw invalid(`requests.${index}`);
    const values: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [name, value] of Object.entries(entry)) {
      if (typeof value !== 'string' && typeof value !== 'number')
        throw invalid(`requests.${index}.${quote(name)}`);
      values[name] = String(value);
    }
    return toRequest(values);
  });
}

/** Names that are not known are passed over, so that a newer client can ask an older server. */
function toRequest(values: Readonly<Record<string, string>>): PlacementRequest {
  const { uid, zone, n, transport, v } = values;
  if (uid !== undefined && !UID.test(uid)) throw invalid('uid');
  if (zone !== undefined && zone !== '' && !ZONE.test(zone)) throw invalid('zone');
  if (transport !== undefined && transport !== 'tcp' && transport !== 'ws')
    throw invalid('transport (tcp or ws)');
  if (v !== undefined) readNumber('v', v, MAX_VERSION);
  return {
    n: n === undefined ? MAX_GATEWAYS : readNumber('n', n, MAX_GATEWAYS),
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

/** What a stranger wrote, short and harmless enough to be told back. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 32));
}

function invalid(what: string): GochatError {
  return new GochatError('ARGUMENT_INVALID', { details: { what } });
}
