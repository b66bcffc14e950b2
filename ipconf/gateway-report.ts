/** A gateway's registry entry: its addresses, its capacity and its load. */
import type { Endpoint } from '../crpc/mod.ts';
import { type ClientAddresses, readClientAddresses } from '../proto/mod.ts';

/** The identity and addresses of a gateway, fixed for the life of its process. */
export interface GatewayAddress extends ClientAddresses {
  /** Unique for each run of the process. */
  readonly id: string;
  /** Name for people; the id if the gateway has none. */
  readonly name: string;
  /** Registered address, host:port; no two live gateways share one. */
  readonly address: string;
  readonly zone: string;
  readonly version: string;
  /** Start of the process, Unix ms; of two at one address the older is dead. 0: unknown. */
  readonly epoch: number;
}

export type Used = Readonly<Partial<Record<RateDimension, number>>>;
export type RateDimension = 'bytes' | 'frames' | 'memory' | 'cpu' | 'loop_delay';

/** One load report. Dimensions that were not reported are undefined and do not count. */
export interface GatewayLoad {
  readonly connections: number;
  readonly maxConnections: number;
  /** Connections accepted since the start; it separates arrivals from departures. */
  readonly accepted: number | undefined;
  /** Growing number of the report; the same number means the same report. */
  readonly tick: number | undefined;
  /** Used shares of the other dimensions, 0 (idle) to 1 (full). */
  readonly used: Used;
  readonly draining: boolean;
  /** Whether it accepts clients; false while it cannot reach state. */
  readonly ready: boolean;
  /** Operator's weight: clients to hold for each client of a gateway of weight 1, relative to capacity. */
  readonly weight: number;
}

/** Capacity of a gateway that does not report one: a comfortable load for 2 cores. Connections. */
export const DEFAULT_MAX_CONNECTIONS = 50_000;
/** Event-loop delay at which a gateway counts as full: people notice longer ones. ms. */
export const MAX_LOOP_DELAY_MS = 100;

/** Load figures besides `connections`: [dimension, used, capacity]. A dimension without capacity does not count. */
const RATE_DIMENSIONS = [
  ['bytes', 'bytes_out_per_s', 'max_bytes_out_per_s'],
  ['frames', 'frames_per_s', 'max_frames_per_s'],
  ['memory', 'memory_bytes', 'max_memory_bytes'],
] as const;

/** Returns the gateway's address; undefined if clients cannot use the registered one. */
export function readAddress(endpoint: Endpoint): GatewayAddress | undefined {
  const addresses = readClientAddresses(endpoint);
  if (addresses.tcp === undefined && addresses.ws === undefined) return undefined;
  return {
    ...addresses,
    id: endpoint.id,
    name: endpoint.metadata['name'] ?? endpoint.id,
    address: endpoint.address,
    zone: endpoint.zone,
    version: endpoint.version,
    epoch: readEpoch(endpoint.metadata['epoch'] ?? ''),
  };
}

/** Returns the reported load; figures that are not finite and non-negative count as not reported. */
export function readLoad(endpoint: Endpoint): GatewayLoad {
  const figure = (name: string): number | undefined => {
    const value = endpoint.load[name];
    return value !== undefined && Number.isFinite(value) && value >= 0 ? value : undefined;
  };
  const used: { -readonly [dimension in keyof Used]: number } = {};
  for (const [dimension, name, capacity] of RATE_DIMENSIONS) {
    const most = figure(capacity) ?? 0;
    if (most > 0) used[dimension] = (figure(name) ?? 0) / most;
  }
  const cpu = figure('cpu');
  if (cpu !== undefined) used.cpu = cpu;
  const loopDelay = figure('loop_delay_ms');
  if (loopDelay !== undefined) used.loop_delay = loopDelay / MAX_LOOP_DELAY_MS;
  return {
    connections: figure('connections') ?? 0,
    maxConnections: figure('max_connections') || DEFAULT_MAX_CONNECTIONS,
    accepted: figure('accepted'),
    tick: figure('tick'),
    used,
    draining: (figure('draining') ?? 0) > 0,
    ready: figure('ready') !== 0,
    weight: Number.isFinite(endpoint.weight) && endpoint.weight > 0 ? endpoint.weight : 1,
  };
}

function readEpoch(text: string): number {
  const epoch = Number(text);
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
}
