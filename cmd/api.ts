/** `gochat api`: HTTP API over state. */
import { ApiServer } from '../api/mod.ts';
import { openRegistry } from '../crpc/mod.ts';
import { load } from './config.ts';
import { openIdOptions } from './open-id.ts';
import { builtPage } from './page.ts';
import { crpcTls } from './crpc-security.ts';
import { engineTls } from './engine-tls.ts';
import { instanceName, openCertificate, prepare, reach, runServers } from './run.ts';

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('api', flags, file);
  const tls = crpcTls(config);
  const registryTls = engineTls('registry', config, ['etcds']);
  const name = config.name ?? instanceName('api');
  const logger = await prepare('api', config, name);
  const certificate = openCertificate(config, logger);
  return runServers({ name: 'api', logger, config }, async (startup) => {
    const registry = openRegistry(config.registry, { logger, tls: registryTls });
    startup.step('reaching etcd');
    await reach(logger, config.startTimeoutMs, () => registry.list('state'));
    const api = new ApiServer({
      name,
      host: config.host,
      port: config.port,
      certificate,
      registry,
      logger,
      clusterToken: config.clusterToken,
      tls,
      ratePerSecond: config.ratePerSecond,
      rateBurst: config.rateBurst,
      openId: openIdOptions(config),
      page: builtPage(config.pageGateways),
      trustProxy: config.trustProxy,
      corsOrigins: config.corsOrigins,
    });
    return {
      servers: [api],
      closers: [() => registry.close(), async () => certificate?.[Symbol.dispose]()],
      reload: () => {
        certificate?.reload();
        return load('api', flags, file).logLevel;
      },
      ready: (admin) => logger.info({ http: api.address, admin, instance: name }, 'api is up'),
    };
  });
}
