/** Ends a process whose servers stay broken, so that its supervisor starts it anew. */
import { LIVENESS_S, type Server, startWatchdog } from '../common/mod.ts';

const TICK_MS = 1000;

/**
 * Watches the event loop (see startWatchdog) and the servers' own liveness.
 *
 * @param onFail called once, with the reason, when a server has not been alive for 30 s
 * @returns a function that ends the watch
 */
export function watchLiveness(
  name: string,
  servers: readonly Pick<Server, 'liveness'>[],
  onFail: (reason: string) => void,
): () => Promise<void> {
  const endWatchdog = startWatchdog(name);
  let failing = 0;
  const timer = setInterval(() => {
    const reason = servers.map((server) => server.liveness?.()).find((one) => one !== undefined);
    failing = reason === undefined ? 0 : failing + 1;
    if (reason !== undefined && failing === LIVENESS_S) onFail(reason);
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    return endWatchdog();
  };
}
