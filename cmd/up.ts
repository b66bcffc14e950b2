/**
 * `gochat up`: all servers in one process, on embedded engines. The servers and the links between them are the same.
 */
import { randomBytes } from 'node:crypto';
import { isAbsolute, resolve } from 'node:path';
import { ApiServer } from '../api/mod.ts';
import { GochatError, json, type OperatorRoutes } from '../common/mod.ts';
import { openRegistry } from '../crpc/mod.ts';
import { GatewayServer } from '../gateway/mod.ts';
import { IpconfServer } from '../ipconf/mod.ts';
import { backupSqlite, openHotState, openStore, restoreSqlite, StateServer } from '../state/mod.ts';
import { load } from './config.ts';
import { takeDataFolder } from './data-folder.ts';
import {
  advertised,
  gatewayLimits,
  instanceName,
  isLoopback,
  prepare,
  runServers,
  openCertificate,
} from './run.ts';
import { VERSION } from './version.ts';

const DEMO_USERS = ['demo', 'test', 'admin'];
const DEMO_PASSWORD = '111111';

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
  // First of all, so that a second process on the folder is told so, and not about ports.
  const releaseFolder = takeDataFolder(dataDir);
  const tell = (step: string) => void process.stdout.write(`GoChat starts: ${step}…\n`);
  return runServers({ name: 'up', logger, config, tell }, async (startup) => {
    const registry = openRegistry('memory://', { logger });
    const hot = await openHotState('memory://', { logger });
    startup.step('opening the message store');
    const store = await openStore(`sqlite://${dataDir}/gochat.db`, { logger });
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
      limits: gatewayLimits(config),
    });
    const ipconf = new IpconfServer({
      ...common,
      certificate,
      name: 'ipconf',
      host: config.host,
      port: config.ipconfPort,
      portFlag: '--ipconf-port',
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
      trustProxy: config.trustProxy,
      corsOrigins: config.corsOrigins,
    });
    if (config.demo) {
      startup.step('making the demo accounts');
      await state.seedAccounts(DEMO_USERS.map((name) => ({ name, password: DEMO_PASSWORD })));
    }
    return {
      servers: [state, gateway, ipconf, api],
      adminRoutes: { '/ip/explain': ipconf.explain },
      operatorRoutes: { ...state.operatorRoutes, ...copyRoutes(`${dataDir}/gochat.db`) },
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
        await gateway.reconfigure(workers, gatewayLimits(again));
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
          `  gateway   ${ports.join('  ')}`,
          `  ipconf    http${secure}://${ipconf.address}/ip/list`,
          `  api       http${secure}://${api.address}  OpenAPI: http${secure}://${api.address}/docs`,
          `  admin     http://${admin}/metrics  /livez  /readyz`,
          `  data      ${dataDir}`,
          '',
          ...(config.demo
            ? [
                `Chat, in two more terminals (accounts ${DEMO_USERS.join(', ')}; password ${DEMO_PASSWORD}):`,
                `  ${client} --user demo --password ${DEMO_PASSWORD}`,
                `  ${client} --user test --password ${DEMO_PASSWORD}`,
                '  then type: /dm demo hello',
              ]
            : ['Make accounts with POST /auth/signup, then chat:', `  ${client} --user NAME`]),
          '',
          'Ctrl-C stops it; the data stays.',
        ];
        process.stdout.write(`${lines.join('\n')}\n`);
      },
    };
  });
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
