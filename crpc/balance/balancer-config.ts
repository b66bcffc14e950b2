/** Options of a balancer, from code or a gRPC service config. */
import { CrpcError } from '../errors.ts';
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
  /** Preferred zone, as long as enough of its endpoints work; empty: none. @default '' */
  readonly zone?: string;
  /**
   * Most endpoints that a channel connects to in its own zone, and as many in others. Not for rendezvous.
   *
   * @default 64
   */
  readonly maxEndpoints?: number;
  /** Slow start: time in which a new endpoint grows to its full share; 0: none. @default 10_000 ms */
  readonly slowStartMs?: number;
  /** Outlier detection; false: off. */
  readonly outlier?: Partial<OutlierOptions> | false;
}

/** A balancer's configuration with all defaults filled in. */
export interface BalancerConfig {
  readonly zone: string;
  readonly maxEndpoints: number;
  readonly slowStartMs: number;
  readonly outlier: OutlierOptions | false;
}

const DEFAULTS: BalancerConfig = {
  zone: '',
  maxEndpoints: 64,
  slowStartMs: 10_000,
  outlier: DEFAULT_OUTLIER,
};

type Check = (value: unknown) => boolean;
const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isPositive: Check = (value) => isNumber(value) && value > 0;
const isCount: Check = (value) => Number.isInteger(value) && isPositive(value);
const isShare: Check = (value) => isPositive(value) && (value as number) <= 1;

const CHECKS: Readonly<Record<keyof BalancerConfig, Check>> = {
  zone: (value) => typeof value === 'string',
  maxEndpoints: isCount,
  slowStartMs: (value) => isNumber(value) && value >= 0,
  outlier: (value) => value === false || isRecord(value),
};
const OUTLIER_CHECKS: Readonly<Record<keyof OutlierOptions, Check>> = {
  consecutiveFailures: isCount,
  failureRate: isShare,
  minCalls: isCount,
  slowFactor: (value) => isNumber(value) && value >= 1,
  slowMs: isPositive,
  windowMs: isPositive,
  ejectMs: isPositive,
  maxEjectMs: isPositive,
  maxEjectedShare: isShare,
};

/** Reads the value of a policy in a service config. @throws CrpcError CONFIG_INVALID */
export function parseBalancerConfig(value: unknown): BalancerConfig {
  const { outlier, ...rest } = fill(value, DEFAULTS, CHECKS);
  return { ...rest, outlier: outlier && fill(outlier, DEFAULT_OUTLIER, OUTLIER_CHECKS) };
}

/** Validates each value and fills in defaults. Every gateway worker loads this, so it does without zod. */
function fill<T extends object>(value: unknown, defaults: T, checks: Readonly<Record<keyof T, Check>>): T {
  if (!isRecord(value)) throw invalid(`${String(value)} is not an object`);
  const given = Object.entries(value).filter(([, one]) => one !== undefined);
  for (const [key, one] of given) {
    if (!Object.hasOwn(checks, key)) throw invalid(`there is no ${key}`);
    if (!checks[key as keyof T](one)) throw invalid(`${key} cannot be ${String(one)}`);
  }
  return { ...defaults, ...Object.fromEntries(given) };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): CrpcError {
  return new CrpcError('CONFIG_INVALID', {
    details: { what: `The balancer is not configured right: ${what}.` },
  });
}

/** Returns the service config of a balancer. @throws CrpcError CONFIG_INVALID */
export function serviceConfigOf(balancer: BalancerName | BalancerOptions): string {
  const { policy, ...options } = typeof balancer === 'string' ? { policy: balancer } : balancer;
  if (!Object.hasOwn(POLICIES, policy)) {
    const what = `${policy} is not a balancer; choose one of ${Object.keys(POLICIES).join(', ')}.`;
    throw new CrpcError('CONFIG_INVALID', { details: { what } });
  }
  // grpc-js silently falls back to another balancer if a config does not parse.
  parseBalancerConfig(options);
  return JSON.stringify({ loadBalancingConfig: [{ [POLICIES[policy].name]: options }] });
}
