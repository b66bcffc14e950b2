/** Zone preference: how much of the traffic stays in a channel's own zone. */

/**
 * With this much more capacity than needed, a zone that has lost some still takes everything. Envoy's
 * overprovisioning factor: down to 71 % of the zone's weight nothing spills over, below that in proportion.
 */
const OVERPROVISIONING = 1.4;

/**
 * Returns the share of calls, 0 to 1, for the own zone.
 *
 * @param working Weight of the own zone's endpoints that can take calls.
 * @param all Weight of all endpoints of the own zone that the channel wants.
 * @param elsewhere Whether another zone can take calls.
 */
export function ownShare(working: number, all: number, elsewhere: boolean): number {
  if (working <= 0) return elsewhere ? 0 : 1;
  if (!elsewhere) return 1;
  return Math.min(1, (working / all) * OVERPROVISIONING);
}
