/** What a balancer can be told, in code or in a gRPC service config. */
import { z } from 'zod';
import { GochatError } from '../common/mod.ts';
import { leastLoaded } from './balancer-least-loaded.ts';
import { rendezvous } from './balancer-rendezvous.ts';
import { roundRobin } from './balancer-round-robin.ts';
import { DEFAULT_OUTLIER } from './outlier.ts';
import type { OutlierOptions } from './outlier.ts';
import type { PolicyKind } from './policy.ts';

/**
 * - `round-robin`: each in turn, by weight;
 * - `least-loaded`: the better of two at random, by running calls and latency;
 * - `rendezvous`: calls of one key to one endpoint.
 */
export const POLICIES = {
  'round-robin': roundRobin,
  'least-loaded': leastLoaded,
  rendezvous,
} as const satisfies Record<string, PolicyKind>;
export type BalancerName = keyof typeof POLICIES;

export interface BalancerOptions {
  readonly policy: BalancerName;
  /** Endpoints of this zone are preferred as long as enough of them work; empty: no preference. @default '' */
  readonly zone?: string;
  /** Endpoints that a channel connects to, in its own zone and again elsewhere. Not for rendezvous. @default 64 */
  readonly maxEndpoints?: number;
  /** Time in which an endpoint that joins a channel at work grows to its full share; 0: none. @default 10_000 ms */
  readonly slowStartMs?: number;
  /** Leaves endpoints that fail alone for a while; false: never. */
  readonly outlier?: Partial<OutlierOptions> | false;
}

const positive = z.number().positive();
const share = z.number().gt(0).max(1);
const schema = z.strictObject({
  zone: z.string().default(''),
  maxEndpoints: z.int().positive().default(64),
  slowStartMs: z.number().nonnegative().default(10_000),
  outlier: z
    .union([
      z.literal(false),
      z.strictObject({
        consecutiveFailures: z.int().positive().default(DEFAULT_OUTLIER.consecutiveFailures),
        failureRate: share.default(DEFAULT_OUTLIER.failureRate),
        minCalls: z.int().positive().default(DEFAULT_OUTLIER.minCalls),
        slowFactor: z.number().min(1).default(DEFAULT_OUTLIER.slowFactor),
        slowMs: positive.default(DEFAULT_OUTLIER.slowMs),
        windowMs: positive.default(DEFAULT_OUTLIER.windowMs),
        ejectMs: positive.default(DEFAULT_OUTLIER.ejectMs),
        maxEjectMs: positive.default(DEFAULT_OUTLIER.maxEjectMs),
        maxEjectedShare: share.default(DEFAULT_OUTLIER.maxEjectedShare),
      }),
    ])
    .default(DEFAULT_OUTLIER),
});

/** A balancer's configuration with every value filled in. */
export type BalancerConfig = z.infer<typeof schema>;

/** Reads the value of a policy in a service config. @throws GochatError CONFIG_INVALID */
export function parseBalancerConfig(value: unknown): BalancerConfig {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const what = `The balancer is not configured right: ${z.prettifyError(result.error)}.`;
  throw new GochatError('CONFIG_INVALID', { cause: result.error, details: { what } });
}

/** Returns the service config that chooses a balancer. @throws GochatError CONFIG_INVALID */
export function serviceConfigOf(balancer: BalancerName | BalancerOptions): string {
  const { policy, ...options } = typeof balancer === 'string' ? { policy: balancer } : balancer;
  if (!Object.hasOwn(POLICIES, policy)) {
    const what = `${policy} is not a balancer; choose one of ${Object.keys(POLICIES).join(', ')}.`;
    throw new GochatError('CONFIG_INVALID', { details: { what } });
  }
  // grpc-js falls back to another balancer without a word where a config does not parse.
  parseBalancerConfig(options);
  return JSON.stringify({ loadBalancingConfig: [{ [POLICIES[policy].name]: options }] });
}
