/** Subsetting: the endpoints that a channel connects to, and the share of calls that stays in its own zone. */
import { mix, hashId } from './rendezvous.ts';

/**
 * With this much more capacity than needed, a zone that has lost some still takes everything. Envoy's
 * overprovisioning factor: down to 71 % of the zone's weight nothing spills over, below that in proportion.
 */
const OVERPROVISIONING = 1.4;

/**
 * Returns the endpoints in the order in which a channel prefers them.
 *
 * The order comes from a hash of the channel's seed and each id: channels with other seeds choose others, so all of
 * them together cover the endpoints evenly, and an endpoint that comes or goes moves one connection of those that
 * chose it and no other.
 */
export function rank<T>(items: readonly T[], idOf: (item: T) => string, seed: number): T[] {
  const scored = items.map((item) => ({ item, score: mix(seed ^ hashId(idOf(item))) }));
  return scored.sort((a, b) => a.score - b.score).map(({ item }) => item);
}

/**
 * Takes the first `size` that are not failing, and the failing ones among them, at most `size` more: the failing ones
 * are tried again while others do their work.
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
