/** The scorer: a gateway's headroom, freshness and trust. Pure functions; each constant has its reason. */
import type { GatewayLoad } from './gateway-report.ts';
import type { Outcome } from './credit.ts';

/**
 * Used share of a rate (bytes, frames, CPU, memory, delay) up to which it is ignored. Below half load no queue builds
 * up (in M/M/1 the delay doubles there), so differences are noise and connections decide. Share.
 */
export const COMFORT = 0.5;

/** Age up to which a report counts fully: gateways report every second, and 5 s of delay are ordinary. ms. */
export const STALE_AFTER_MS = 7_000;
/** Half-life of the weight of an older report: 4 % remain when the gateway is ejected, so that nothing jumps. ms. */
export const STALE_HALF_LIFE_MS = 5_000;
/** Age at which a periodically reporting gateway is ejected: its lease alone proves little. ms. */
export const EJECT_AFTER_MS = 30_000;

/** Slow start of a new gateway: it warms up (JIT, caches, pools) and shows that clients arrive. ms. */
export const SLOW_START_MS = 30_000;

/** Half-life of the differences between gateways while the registry is lost: about a tenth of a session. ms. */
export const SUSPICION_HALF_LIFE_MS = 60_000;

/** Fewest placements that a gateway's losses are judged by: with fewer a single lost client would decide. */
export const TRUST_MIN_CLIENTS = 20;
/** Least trust in a gateway: enough placements to notice its recovery. Share. */
export const TRUST_FLOOR = 0.02;

/**
 * Returns a gateway's headroom, 0 (full) to 1 (empty): what is left of its scarcest dimension. Clients on their way
 * count like connections up to half of what is free. Beyond that each counts less (1/4x remains at x times what is
 * free), smoothly: queries without connections can make a gateway look busy, but never full.
 *
 * @param connections connections that it holds
 * @param credit clients on their way
 * @param capacity most connections
 * @param usedRate used share of the scarcest rate, averaged
 */
export function headroom(connections: number, credit: number, capacity: number, usedRate: number): number {
  const free = capacity - connections;
  if (free <= 0) return 0;
  const left = 2 * credit <= free ? free - credit : (free * free) / (4 * credit);
  const rate = (usedRate - COMFORT) / (1 - COMFORT);
  return Math.max(0, Math.min(left / capacity, 1 - rate));
}

/**
 * Returns headroom adjusted for weight. While there is room, a gateway of twice the weight counts as equally used with
 * twice as many clients; any gateway counts as full only when it is.
 *
 * @param weight multiple of the lowest weight
 */
export function adjustForWeight(headroom: number, weight: number): number {
  // In the usual case of equal weights this costs nothing.
  return weight === 1 ? headroom : headroom ** (1 / weight);
}

/** Returns the used share of the scarcest rate of a report. */
export function scarcestRate(load: GatewayLoad): number {
  let most = 0;
  for (const share of Object.values(load.used)) if (share > most) most = share;
  return most;
}

/** Returns the weight of a report by its age, 1 to 0. */
export function freshness(ageMs: number): number {
  if (ageMs <= STALE_AFTER_MS) return 1;
  return ageMs >= EJECT_AFTER_MS ? 0 : 0.5 ** ((ageMs - STALE_AFTER_MS) / STALE_HALF_LIFE_MS);
}

/** Returns how far a new gateway's lead over the others counts, 0 to 1. */
export function slowStartShare(ageMs: number): number {
  return ageMs >= SLOW_START_MS ? 1 : Math.max(0, ageMs) / SLOW_START_MS;
}

/** Returns the suspicion of the snapshot, 0 (fresh) to 1, by the time since the registry was lost. */
export function suspicion(staleForMs: number): number {
  return staleForMs <= 0 ? 0 : 1 - 0.5 ** (staleForMs / SUSPICION_HALF_LIFE_MS);
}

/**
 * Returns the trust in a gateway, lower if it loses more of its clients than the fleet: it cannot be reached, or its
 * reports are wrong. Losses that all gateways share (probes, clients that give up) do not count.
 */
export function trust(own: Outcome, fleet: Outcome): number {
  const all = own.arrived + own.lost;
  if (all < TRUST_MIN_CLIENTS || own.lost === 0) return 1;
  const fleetAll = fleet.arrived + fleet.lost;
  const usual = fleetAll === 0 ? 1 : fleet.arrived / fleetAll;
  if (usual === 0) return 1;
  return Math.min(1, Math.max(TRUST_FLOOR, own.arrived / all / usual));
}
