/** Subsetting: the endpoints that a channel connects to, and the share of calls that stays in its own zone. */
import { mix, hashId } from './rendezvous.ts';

/**
 * Overprovisioning factor, as in Envoy: a zone takes all calls down to 71 % of its weight; below that they spill over
 * in proportion.
 */
const OVERPROVISIONING = 1.4;

/**
 * Returns the endpoints in a channel's order of preference.
 *
 * The order comes from a hash of the channel's seed and each id. Channels with different seeds prefer different
 * endpoints, so together they cover all evenly. An endpoint that comes or goes moves one connection of each channel
 * that chose it, and no other.
 */
export function rank<T>(items: readonly T[], idOf: (item: T) => string, seed: number): T[] {
  const scored = items.map((item) => ({ item, score: mix(seed ^ hashId(idOf(item))) }));
  return scored.sort((a, b) => a.score - b.score).map(({ item }) => item);
}

/**
 * Returns the first `size` working endpoints, and up to `size` failing ones among them, which are retried meanwhile.
 */
export function subset<T>(ranked: readonly T[], size: number, isFailing: (item: T) => boolean): T[] {
  const chosen: T[] = [];
  let working = 0;
  for (const item of ranked) {
    if (working >= size || chosen.length >= 2 * size) break;
    chosen.push(item);
    if (!isFailing(item)) working++;
  }
  return chosen;
}

/**
 * Returns the share of calls, 0 to 1, for the own zone.
 *
 * @param working Weight of the own zone's endpoints that can take calls.
 * @param all Weight of all endpoints of the own zone that the channel wants.
 * @param canSpill Whether another zone can take calls.
 */
export function ownShare(working: number, all: number, canSpill: boolean): number {
  if (working <= 0) return canSpill ? 0 : 1;
  if (!canSpill) return 1;
  return Math.min(1, (working / all) * OVERPROVISIONING);
}
