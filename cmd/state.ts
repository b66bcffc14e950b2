/** `gochat state`: owns sessions, delivery and the log. */
import { advertisedHost, GochatError } from '../common/mod.ts';
import { openRegistry } from '../crpc/mod.ts';
import { checkHotStateUrl, checkStoreUrl, openHotState, openStore, StateServer } from '../state/mod.ts';
import { load } from './config.ts';
import { crpcTls } from './crpc-security.ts';
import { DEMO_ACCOUNTS } from './demo-accounts.ts';
import { engineTls } from './engine-tls.ts';
import { checkExposure, instanceName, isLoopback, prepare, reach, runServers } from './run.ts';

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('state', flags, file);
  checkExposure(config);
  checkHotStateUrl(config.hot);
  if (config.crpcReflection && !isLoopback(config.host)) {
    throw new GochatError('USAGE', {
      details: { what: `--crpc-reflection tells everyone what there is: not with --host ${config.host}.` },
    });
  }
  const tls = crpcTls(config);
  const registryTls = engineTls('registry', config, ['etcds']);
  const hotTls = engineTls('hot', config, ['rediss', 'rediss+sentinel']);
  const storeTls = engineTls('store', config, ['postgres', 'postgresql']);
  checkStoreUrl(config.store, storeTls);
  const name = config.name ?? instanceName('state');
  const logger = await prepare('state', config, name);
  return runServers({ name: 'state', logger, config }, async (startup) => {
    const registry = openRegistry(config.registry, { logger, tls: registryTls });
    startup.step('reaching etcd');
    await reach(logger, config.startTimeoutMs, () => registry.list('state'));
    startup.step('opening the message store');
    const store = await reach(logger, config.startTimeoutMs, () =>
      openStore(config.store, { logger, tls: storeTls, connections: config.storePool }),
    );
    startup.step('reaching Redis');
    const hot = await reach(logger, config.startTimeoutMs, () =>
      openHotState(config.hot, { logger, tls: hotTls }),
    );
    const state = new StateServer({
      name,
      host: config.host,
      port: config.port,
      advertiseHost: config.advertiseHost ?? advertisedHost(config.host),
      registry,
      store,
      hot,
      logger,
      clusterToken: config.clusterToken,
      tls,
      reflection: config.crpcReflection,
      jwtSecret: config.jwtSecret,
      tokenTtlMs: config.tokenTtlMs,
      sessionGraceMs: config.sessionGraceMs,
      maxTextBytes: config.maxTextBytes,
      rules: {
        editWindowMs: config.editWindowMs,
        pin: config.pinRole,
        evidenceMs: config.evidenceRetentionMs,
      },
    });
    if (config.demo) {
      logger.warn('demo accounts with a known password are created: for development only');
      await state.seedAccounts(DEMO_ACCOUNTS);
    }
    return {
      servers: [state],
      operatorRoutes: state.operatorRoutes,
      closers: [() => hot.close(), () => store.close(), () => registry.close()],
      reload: () => load('state', flags, file).logLevel,
      ready: (admin) => logger.info({ crpc: state.address, admin, instance: name }, 'state is up'),
    };
  });
}
