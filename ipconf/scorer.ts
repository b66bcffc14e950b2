/** The scorer: how much room a gateway has and how far that is believed. Pure functions; each constant says why. */
import type { GatewayLoad } from './gateway-report.ts';
import type { Outcome } from './credit.ts';

/**
 * Used share of a rate (bytes, frames, CPU, memory, delay) up to which it does not count: below half load no queue
 * builds up (in M/M/1 the delay doubles there), so differences are noise and connections decide. Share.
 */
export const COMFORT = 0.5;

/** Age up to which a report counts fully: a gateway reports every second, and 5 s of delay are ordinary. ms. */
export const STALE_AFTER_MS = 7_000;
/** Half-life of the belief in a report that is older: when it is left out, 4 % remain, so that nothing jumps. ms. */
export const STALE_HALF_LIFE_MS = 5_000;
/** Age at which a gateway that used to report is left out: its lease alone proves little. ms. */
export const EJECT_AFTER_MS = 30_000;

/** How long a new gateway needs to be warm (JIT, caches, pools) and to prove that clients arrive. ms. */
export const SLOW_START_MS = 30_000;

/** Half-life of the differences between gateways while the registry is lost: about a tenth of a session. ms. */
export const SUSPICION_HALF_LIFE_MS = 60_000;

/** Fewest placements from which a gateway's losses say something: below, one lost client would be a verdict. */
export const TRUST_MIN_CLIENTS = 20;
/** What is left of a gateway that nobody reaches: enough placements to notice its recovery. Share. */
export const TRUST_FLOOR = 0.02;

/**
 * Returns a gateway's headroom, 0 full to 1 empty: what is left of the dimension that is scarcest there. Clients on
 * their way count like those that are there up to half of what is free; beyond it ever less (to 1/4x at x times what is
 * free, which goes on smoothly): questions that no connection follows can make a gateway look busy, but never full.
 *
 * @param connections that it holds
 * @param credit clients on their way
 * @param capacity connections that it may hold
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
 * Returns headroom as it looks beside gateways of the lowest weight. While there is room, one of twice the weight looks
 * as used as they do when it holds twice as many clients; all of them are full only when they really are.
 *
 * @param weight as a multiple of the lowest
 */
export function prefer(headroom: number, weight: number): number {
  // With one weight for all, which is the rule, this costs nothing.
  return weight === 1 ? headroom : headroom ** (1 / weight);
}

/** Returns the used share of the scarcest rate of a report. */
export function scarcestRate(load: GatewayLoad): number {
  let most = 0;
  for (const share of Object.values(load.used)) if (share > most) most = share;
  return most;
}

/** Returns how far a report is believed, 1 to 0, by its age. */
export function freshness(ageMs: number): number {
  if (ageMs <= STALE_AFTER_MS) return 1;
  return ageMs >= EJECT_AFTER_MS ? 0 : 0.5 ** ((ageMs - STALE_AFTER_MS) / STALE_HALF_LIFE_MS);
}

/** Returns how far a gateway's lead over the others counts while it is new, 0 to 1. */
export function ramp(ageMs: number): number {
  return ageMs >= SLOW_START_MS ? 1 : Math.max(0, ageMs) / SLOW_START_MS;
}

/** Returns how old the whole picture feels, 0 fresh to 1, by the time since the registry was lost. */
export function suspicion(staleForMs: number): number {
  return staleForMs <= 0 ? 0 : 1 - 0.5 ** (staleForMs / SUSPICION_HALF_LIFE_MS);
}

/**
 * Returns how far a gateway is believed that loses more of its clients than the fleet does: it cannot be reached, or
 * what it reports is not so. A loss that all share (probes, clients that give up) is held against none.
 */
export function trust(own: Outcome, fleet: Outcome): number {
  const all = own.arrived + own.lost;
  if (all < TRUST_MIN_CLIENTS || own.lost === 0) return 1;
  const fleetAll = fleet.arrived + fleet.lost;
  const usual = fleetAll === 0 ? 1 : fleet.arrived / fleetAll;
  if (usual === 0) return 1;
  return Math.min(1, Math.max(TRUST_FLOOR, own.arrived / all / usual));
}
