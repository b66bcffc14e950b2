/** Codec of endpoints in etcd: JSON, validated on reading because others may write there. */
import type { Endpoint } from '../registry/registry.ts';

export interface DecodedEndpoint {
  readonly endpoint: Endpoint;
  /** Set just before the key is deleted on purpose. */
  readonly leaving: boolean;
}

export function encodeEndpoint(endpoint: Endpoint, leaving = false): string {
  const { lease: _, ...record } = endpoint;
  return JSON.stringify(leaving ? { ...record, leaving } : record);
}

/**
 * Returns undefined if the text is not an endpoint. Validated by hand: each of a thousand gateways reports every
 * second, and a schema library took most of a report's time.
 *
 * @param lease lease of the key; 0: none
 */
export function decodeEndpoint(text: string, lease: bigint): DecodedEndpoint | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not a valid endpoint; the caller logs it.
    return undefined;
  }
  if (!isRecord(parsed)) return undefined;
  const {
    id,
    address,
    weight = 1,
    zone = '',
    version = '',
    metadata = {},
    load = {},
    leaving = false,
  } = parsed;
  if (typeof id !== 'string' || id === '' || typeof address !== 'string' || address === '') return undefined;
  if (!isFinite(weight) || weight <= 0 || typeof leaving !== 'boolean') return undefined;
  if (typeof zone !== 'string' || typeof version !== 'string') return undefined;
  if (!isRecordOf(metadata, isString) || !isRecordOf(load, isFinite)) return undefined;
  const endpoint: Endpoint = { id, address, weight, zone, version, metadata, load };
  return { endpoint: lease === 0n ? endpoint : { ...endpoint, lease: lease.toString(16) }, leaving };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRecordOf<T>(value: unknown, is: (each: unknown) => each is T): value is Record<string, T> {
  if (!isRecord(value)) return false;
  for (const name in value) if (!is(value[name])) return false;
  return true;
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isFinite(value: unknown): value is number {
  return Number.isFinite(value);
}
