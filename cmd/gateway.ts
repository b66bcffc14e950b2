/** `gochat gateway`: holds client connections. */
import { openRegistry } from '../crpc/mod.ts';
import { GatewayServer } from '../gateway/mod.ts';
import { load } from './config.ts';
import { crpcTls } from './crpc-security.ts';
import { engineTls } from './engine-tls.ts';
import { VERSION } from './version.ts';
import {
  advertised,
  gatewayLimits,
  instanceName,
  prepare,
  reach,
  runServers,
  openCertificate,
} from './run.ts';

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('gateway', flags, file);
  const tls = crpcTls(config);
  const registryTls = engineTls('registry', config, ['etcds']);
  const name = config.name ?? instanceName('gateway');
  const logger = await prepare('gateway', config, name);
  const certificate = openCertificate(config, logger);
  return runServers({ name: 'gateway', logger, config }, async (startup) => {
    const registry = openRegistry(config.registry, { logger, tls: registryTls });
    startup.step('reaching etcd');
    await reach(logger, config.startTimeoutMs, () => registry.list('state'));
    const gateway = new GatewayServer({
      name,
      host: config.host,
      port: config.port,
      wsPort: config.wsPort,
      workers: config.workers,
      advertise: advertised(config),
      zone: config.zone,
      version: VERSION,
      weight: config.weight,
      maxBytesOutPerS: config.maxBytesOutPerS,
      requireTicket: config.requireTicket,
      registry,
      logger,
      clusterToken: config.clusterToken,
      tls,
      certificate,
      limits: gatewayLimits(config),
    });
    return {
      servers: [gateway],
      closers: [() => registry.close(), async () => certificate?.[Symbol.dispose]()],
      reload: async () => {
        certificate?.reload();
        const { workers, logLevel, ...again } = load('gateway', flags, file);
        await gateway.reconfigure(workers, gatewayLimits(again));
        return logLevel;
      },
      ready: (admin) =>
        logger.info({ tcp: gateway.address, ws: gateway.wsAddress, admin, instance: name }, 'gateway is up'),
    };
  });
}
