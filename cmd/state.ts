/** `gochat state`: owns sessions, delivery and the log. */
import { openRegistry } from '../crpc/mod.ts';
import { openHotState, openStore, StateServer } from '../state/mod.ts';
import { load } from './config.ts';
import { checkExposure, instanceName, prepare, reach, runServers } from './run.ts';

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('state', flags, file);
  checkExposure(config.host, config.clusterToken);
  const name = instanceName('state');
  const logger = prepare('state', config.logLevel);
  return runServers(async () => {
    const registry = openRegistry(config.registry, { logger });
    await reach(logger, config.startTimeoutMs, () => registry.list('state'));
    const store = await reach(logger, config.startTimeoutMs, () => openStore(config.store, { logger }));
    const hot = await reach(logger, config.startTimeoutMs, () => openHotState(config.hot, { logger }));
    const state = new StateServer({
      name,
      host: config.host,
      port: config.port,
      advertiseHost: config.advertiseHost ?? config.host,
      zone: config.zone,
      registry,
      store,
      hot,
      logger,
      clusterToken: config.clusterToken,
      tokenTtlMs: config.tokenTtlMs,
      maxTextBytes: config.maxTextBytes,
    });
    return {
      name: 'state',
      logger,
      host: config.host,
      adminPort: config.adminPort,
      adminToken: config.adminToken,
      drainMs: config.drainMs,
      servers: [state],
      closers: [() => hot.close(), () => store.close(), () => registry.close()],
      reload: () => load('state', flags, file).logLevel,
      ready: (admin) => logger.info({ crpc: state.address, admin, instance: name }, 'state is up'),
    };
  });
}
