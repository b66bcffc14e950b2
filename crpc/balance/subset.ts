/** Which of many endpoints a channel connects to. */
import { mix, hashId } from './rendezvous.ts';

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
