/** The scorer: how much room a gateway has, as a share of its own capacity. Pure functions. */
import type { GatewayLoad } from './gateway-sample.ts';

/**
 * Returns a gateway's headroom, 0 full to 1 empty: what is left of the dimension that is scarcest there.
 *
 * @param load the newest report
 * @param usedRate used share of the scarcest rate, averaged
 * @param credit clients sent there that no report shows yet
 */
export function headroom(load: GatewayLoad, usedRate: number, credit = 0): number {
  const used = Math.max((load.connections + credit) / load.maxConnections, usedRate);
  return used >= 1 ? 0 : 1 - used;
}
