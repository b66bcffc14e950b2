/** The world of the simulation: gateways as they are, whatever they report. */
import type { Random } from './random.ts';

/** Zones of the fleet; gateways are spread over them evenly. */
export const ZONES = ['a', 'b', 'c'] as const;

/** Sizes of gateways, as in a fleet that grew over the years: [relative size, share of the gateways]. */
const SIZES = [
  [1, 0.4],
  [2, 0.3],
  [4, 0.2],
  [8, 0.1],
] as const;

/** Average traffic of a connection, and network capacity of a gateway per connection. Bytes/s. */
export const BYTES_PER_CONNECTION = 40_000;
export const BYTES_PER_CAPACITY = 50_000;
/** CPU of a gateway that is full. Share. */
export const CPU_WHEN_FULL = 0.9;

/** One gateway. */
export interface SimGateway {
  readonly index: number;
  readonly zone: number;
  /** Most connections that it accepts. */
  readonly capacity: number;
  /** Share of its capacity that it can really carry; below 1 if it is slow. */
  speed: number;
  connections: number;
  accepted: number;
  isAlive: boolean;
  isDraining: boolean;
  /** Whether it always reports 0 connections and no arrivals. */
  lies: boolean;
  /** Counts restarts: a restarted gateway is another endpoint. */
  epoch: number;
}

/** A gateway's report. */
export interface SimReport {
  readonly index: number;
  readonly epoch: number;
  readonly zone: number;
  readonly capacity: number;
  readonly connections: number;
  readonly accepted: number;
  readonly bytesPerSecond: number;
  readonly cpu: number;
  readonly isAlive: boolean;
  readonly isDraining: boolean;
}

/** Makes a fleet that carries `clients` at the given utilisation. */
export function makeFleet(count: number, clients: number, utilisation: number, random: Random): SimGateway[] {
  const sizes: number[] = [];
  for (const [size, share] of SIZES) for (let i = Math.round(share * count); i > 0; i--) sizes.push(size);
  for (let i = sizes.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [sizes[i], sizes[j]] = [sizes[j] as number, sizes[i] as number];
  }
  const unit = clients / utilisation / sizes.reduce((sum, size) => sum + size, 0);
  return sizes.map((size, index) => ({
    index,
    zone: index % ZONES.length,
    capacity: Math.round(size * unit),
    speed: 1,
    connections: 0,
    accepted: 0,
    isAlive: true,
    isDraining: false,
    lies: false,
    epoch: 0,
  }));
}

export function reportOf(gateway: SimGateway): SimReport {
  const { index, epoch, zone, capacity, isAlive, isDraining, lies, speed } = gateway;
  const connections = lies ? 0 : gateway.connections;
  return {
    index,
    epoch,
    zone,
    capacity,
    connections,
    accepted: lies ? 0 : gateway.accepted,
    bytesPerSecond: connections * BYTES_PER_CONNECTION,
    cpu: lies ? 0 : Math.min(1, (CPU_WHEN_FULL * gateway.connections) / (capacity * speed)),
    isAlive,
    isDraining,
  };
}
