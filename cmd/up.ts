/**
 * `gochat up`: all servers in one process, on embedded engines. The servers and the links between them are the same.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { ApiServer, type OwnGateway } from '../api/mod.ts';
import { GochatError, json, type OperatorRoutes, type ServerCertificate } from '../common/mod.ts';
import { openRegistry } from '../crpc/mod.ts';
import { GatewayServer } from '../gateway/mod.ts';
import { IpconfServer } from '../ipconf/mod.ts';
import {
  backupSqlite,
  checkHotStateUrl,
  checkStoreUrl,
  openHotState,
  openStore,
  restoreSqlite,
  StateServer,
} from '../state/mod.ts';
import { load, mask } from './config.ts';
import { openIdOptions } from './open-id.ts';
import { builtPage } from './page.ts';
import { takeDataFolder } from './data-folder.ts';
import { DEMO_ACCOUNTS, DEMO_PASSWORD, DEMO_USERS } from './demo-accounts.ts';
import { engineTls } from './engine-tls.ts';
import {
  advertised,
  gatewayLimits,
  instanceName,
  isLoopback,
  prepare,
  reach,
  runServers,
  openCertificate,
} from './run.ts';
import { VERSION } from './version.ts';

/** From where api reaches the gateway. */
const OWN_ADDRESSES = ['127.0.0.1', '::1'];

export async function run(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): Promise<number> {
  const config = load('up', flags, file);
  if (config.demo && !isLoopback(config.host)) {
    throw new GochatError('USAGE', {
      details: {
        what: `Demo accounts are for this machine alone: with --host ${config.host} give --no-demo.`,
      },
    });
  }
  const dataDir = resolve(config.dataDir);
  const logger = await prepare('up', config);
  const certificate = openCertificate(config, logger);
  const hotTls = engineTls('hot', config, ['rediss', 'rediss+sentinel']);
  const storeTls = engineTls('store', config, ['postgres', 'postgresql']);
  const database = config.store;
  if (database !== undefined) checkStoreUrl(database, storeTls);
  if (config.hot !== undefined) checkHotStateUrl(config.hot);
  // First of all, so that a second process on the folder is told so, and not about ports.
  const releaseFolder = database === undefined ? takeDataFolder(dataDir) : () => undefined;
  const tell = (step: string) => void process.stdout.write(`GoChat starts: ${step}…\n`);
  return runServers({ name: 'up', logger, config, tell }, async (startup) => {
    const registry = openRegistry('memory://', { logger });
    startup.step('opening the hot state');
    const hot = await reach(logger, config.startTimeoutMs, () =>
      openHotState(config.hot ?? 'memory://', { logger, tls: hotTls }),
    );
    startup.step('opening the message store');
    const store = await reach(logger, config.startTimeoutMs, () =>
      openStore(database ?? `sqlite://${dataDir}/gochat.db`, { logger, tls: storeTls }),
    );
    // The links between the servers are sockets on loopback; other local processes must not use them.
    const clusterToken = randomBytes(32).toString('base64url');
    const common = { registry, logger, clusterToken };
    const state = new StateServer({
      ...common,
      name: instanceName('state'),
      host: '127.0.0.1',
      port: 0,
      advertiseHost: '127.0.0.1',
      store,
      hot,
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
    const gateway = new GatewayServer({
      ...common,
      name: instanceName('gateway'),
      host: config.host,
      port: config.gatewayPort,
      portFlag: '--gateway-port',
      wsPort: config.wsPort,
      advertise: advertised(config),
      workers: config.workers,
      zone: '',
      version: VERSION,
      certificate,
      limits: limitsOf(config),
    });
    const ipconf = new IpconfServer({
      ...common,
      certificate,
      name: 'ipconf',
      host: config.host,
      port: config.ipconfPort,
      portFlag: '--ipconf-port',
      ratePerSecond: config.ratePerSecond,
      rateBurst: config.rateBurst,
      trustProxy: config.trustProxy,
      corsOrigins: config.corsOrigins,
    });
    const api = new ApiServer({
      ...common,
      certificate,
      name: 'api',
      host: config.host,
      port: config.apiPort,
      portFlag: '--api-port',
      gateway: config.wsPort === 'off' ? undefined : () => ownGateway(gateway.wsAddress, certificate),
      ratePerSecond: config.ratePerSecond,
      rateBurst: config.rateBurst,
      openId: openIdOptions(config),
      page: builtPage(
        config.pageGateways,
        config.demo ? { users: DEMO_USERS, password: DEMO_PASSWORD } : undefined,
      ),
      trustProxy: config.trustProxy,
      corsOrigins: config.corsOrigins,
    });
    if (config.demo) {
      startup.step('making the demo accounts');
      await state.seedAccounts(DEMO_ACCOUNTS);
    }
    return {
      servers: [state, gateway, ipconf, api],
      adminRoutes: { '/ip/explain': ipconf.explain },
      operatorRoutes: {
        ...state.operatorRoutes,
        ...(database === undefined && copyRoutes(`${dataDir}/gochat.db`)),
      },
      closers: [
        () => hot.close(),
        () => store.close(),
        () => registry.close(),
        async () => certificate?.[Symbol.dispose](),
        async () => releaseFolder(),
      ],
      reload: async () => {
        certificate?.reload();
        const { workers, logLevel, ...again } = load('up', flags, file);
        await gateway.reconfigure(workers, limitsOf(again));
        return logLevel;
      },
      ready: (admin) => {
        const secure = config.tlsCert === undefined ? '' : 's';
        const ports = [
          ...(config.gatewayPort === 'off' ? [] : [`tcp${secure}://${gateway.address}`]),
          ...(config.wsPort === 'off' ? [] : [`ws${secure}://${gateway.wsAddress}`]),
        ];
        const client = clientCommand(`http${secure}://${ipconf.address}`, `http${secure}://${api.address}`);
        const lines = [
          'GoChat is up.',
          `  page      http${secure}://${api.address}/`,
          `  gateway   ${ports.join('  ')}`,
          `  ipconf    http${secure}://${ipconf.address}/ip/list`,
          `  api       http${secure}://${api.address}  OpenAPI: /docs`,
          `  admin     http://${admin}/metrics  /livez  /readyz`,
          `  data      ${database === undefined ? dataDir : String(mask(database))}`,
          '',
          ...(config.demo
            ? [
                `Open the page, or chat in two more terminals (accounts ${DEMO_USERS.join(', ')}; password ${DEMO_PASSWORD}):`,
                `  ${client} --user demo --password ${DEMO_PASSWORD}`,
                `  ${client} --user test --password ${DEMO_PASSWORD}`,
                '  then type: /dm demo hello',
              ]
            : [
                'Make an account on the page, or with POST /auth/signup, then chat:',
                `  ${client} --user NAME`,
              ]),
          '',
          'Ctrl-C stops it; the data stays.',
        ];
        process.stdout.write(`${lines.join('\n')}\n`);
      },
    };
  });
}

/** The gateway trusts this process's api to name the clients whose WebSockets it pipes. */
function limitsOf(config: Parameters<typeof gatewayLimits>[0] & { readonly host: string }) {
  const limits = gatewayLimits(config);
  const { trustProxy } = limits;
  // A number counts proxies, and api is one.
  if (/^\d+$/.test(trustProxy)) return limits;
  const own = isIP(config.host) === 0 ? OWN_ADDRESSES : [...OWN_ADDRESSES, config.host];
  return { ...limits, trustProxy: [...own, trustProxy].filter((text) => text !== '').join(',') };
}

/** Returns where api finds the gateway of this process. @param listens its host:port */
function ownGateway(listens: string, certificate: ServerCertificate | undefined): OwnGateway {
  const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(listens) ?? [];
  const isWildcard = host === '0.0.0.0' || host === '::';
  return { host: isWildcard ? '127.0.0.1' : host, port: Number(port), cert: certificate?.current.cert };
}

/** Routes of `gochat ctl backup` and `restore`, whose files are on this machine. */
function copyRoutes(database: string): OperatorRoutes {
  const fileOf = (url: URL): string => {
    const file = url.searchParams.get('file') ?? '';
    if (!isAbsolute(file)) throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The file' } });
    return file;
  };
  return {
    'POST /backup': async (_request, response, url) => {
      await backupSqlite(database, fileOf(url));
      json(response, 200, { status: 'ok' });
    },
    'POST /restore': async (_request, response, url) => {
      await restoreSqlite(database, fileOf(url));
      json(response, 200, { status: 'ok' });
      // The servers' caches of the store are invalid: restart.
      process.kill(process.pid, 'SIGTERM');
    },
  };
}

/** Returns the command that starts a client, with addresses only if they are not the defaults. */
function clientCommand(ipconf: string, api: string): string {
  const parts = ['./bin/gochat client'];
  if (ipconf !== 'http://127.0.0.1:6789') parts.push(`--ipconf ${ipconf}`);
  if (api !== 'http://127.0.0.1:8080') parts.push(`--api ${api}`);
  return parts.join(' ');
}
