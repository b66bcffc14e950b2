/** How an endpoint stands in etcd: JSON, checked on the way in because others may write there. */
import { z } from 'zod';
import type { Endpoint } from './registry.ts';

const schema = z.object({
  id: z.string().min(1),
  address: z.string().min(1),
  weight: z.number().positive().default(1),
  zone: z.string().default(''),
  version: z.string().default(''),
  metadata: z.record(z.string(), z.string()).default({}),
  load: z.record(z.string(), z.number()).default({}),
  /** Written just before the key is deleted: it goes on purpose. */
  leaving: z.boolean().default(false),
});

export interface DecodedEndpoint {
  readonly endpoint: Endpoint;
  readonly leaving: boolean;
}

export function encodeEndpoint(endpoint: Endpoint, leaving = false): string {
  const { lease: _, ...record } = endpoint;
  return JSON.stringify(leaving ? { ...record, leaving } : record);
}

/** Returns undefined for what is not an endpoint. @param lease What the key hangs on; 0: nothing. */
export function decodeEndpoint(text: string, lease: bigint): DecodedEndpoint | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not ours; the caller logs it.
    return undefined;
  }
  const result = schema.safeParse(parsed);
  if (!result.success) return undefined;
  const { leaving, ...endpoint } = result.data;
  return { endpoint: lease === 0n ? endpoint : { ...endpoint, lease: lease.toString(16) }, leaving };
}
