/** `gochat ipconf`: tells each client which gateway to use. */
import { openRegistry } from '../crpc/mod.ts';
import { IpconfServer } from '../ipconf/mod.ts';
import { load } from './config.ts';
import { engineTls } from './engine-tls.ts';
import { instanceName, openCertificate, prepare, reach, runServers } from './run.ts';

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('ipconf', flags, file);
  const registryTls = engineTls('registry', config, ['etcds']);
  const name = config.name ?? instanceName('ipconf');
  const logger = await prepare('ipconf', config, name);
  const certificate = openCertificate(config, logger);
  return runServers({ name: 'ipconf', logger, config }, async (startup) => {
    const registry = openRegistry(config.registry, { logger, tls: registryTls });
    startup.step('reaching etcd');
    await reach(logger, config.startTimeoutMs, () => registry.list('state'));
    const ipconf = new IpconfServer({
      name,
      host: config.host,
      port: config.port,
      maxConnections: config.maxConnections,
      maxConnectionsPerAddress: config.maxConnectionsPerAddress,
      ratePerSecond: config.ratePerSecond,
      rateBurst: config.rateBurst,
      trustProxy: config.trustProxy,
      corsOrigins: config.corsOrigins,
      tickets: config.tickets,
      certificate,
      registry,
      logger,
    });
    return {
      servers: [ipconf],
      adminRoutes: { '/ip/explain': ipconf.explain },
      closers: [() => registry.close(), async () => certificate?.[Symbol.dispose]()],
      reload: () => {
        certificate?.reload();
        return load('ipconf', flags, file).logLevel;
      },
      ready: (admin) => logger.info({ http: ipconf.address, admin, instance: name }, 'ipconf is up'),
    };
  });
}
