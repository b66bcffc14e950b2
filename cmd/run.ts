/** The lifecycle of a server process: start, signals, drain, stop. */
import { hostname } from 'node:os';
import { setImmediate as tick, setTimeout } from 'node:timers/promises';
import {
  type AdminHandler,
  answerPingsOfClosingSessions,
  Backoff,
  closeTracing,
  createLogger,
  enableMetrics,
  enableTracing,
  ExitCode,
  GochatError,
  json,
  type Logger,
  type LogLevel,
  openMemory,
  otlpUrl,
  type OperatorRoutes,
  type Server,
  ServerCertificate,
  startAdmin,
  startHeapTrim,
} from '../common/mod.ts';

import type { GatewayLimits, GatewayOptions } from '../gateway/mod.ts';
import { watchLiveness } from './liveness.ts';
import { Startup } from './startup.ts';

/** Settings of a gateway that `gatewayLimits` takes over. */
export const GATEWAY_LIMITS = [
  'maxConnections',
  'heartbeatIntervalMs',
  'helloTimeoutMs',
  'frameTimeoutMs',
  'maxFrameBytes',
  'maxOutboundBytes',
  'slowTimeoutMs',
  'maxConnectionsPerAddress',
  'connectsPerSecond',
  'loginFailuresPerMinute',
  'framesPerSecond',
  'bytesPerSecond',
  'tlsTimeoutMs',
  'backlog',
  'proxyProtocol',
  'trustProxy',
  'exemptAddresses',
] as const satisfies readonly (keyof GatewayLimits)[];

/** Options that are known before anything is opened. */
export interface ProcessOptions {
  readonly name: string;
  readonly logger: Logger;
  readonly config: {
    readonly host: string;
    readonly adminPort: number;
    readonly adminToken?: string | undefined;
    readonly drainMs: number;
  };
  /** Reports a slow step of the start. @default a log line */
  readonly tell?: (step: string) => void;
}

export interface Process {
  /** Servers in start order; they drain and stop in the reverse order. */
  readonly servers: readonly Server[];
  /** Closers of what the servers share: registry, store, hot state. */
  readonly closers: readonly (() => Promise<void>)[];
  readonly adminRoutes?: Readonly<Record<string, AdminHandler>>;
  /** Further routes of `gochat ctl` besides `POST /drain`. */
  readonly operatorRoutes?: OperatorRoutes;
  /** Reloads the configuration on HUP, applies what can change while running, and resolves with the log level. */
  readonly reload: () => LogLevel | Promise<LogLevel>;
  /** Called once everything runs. */
  readonly ready: (adminAddress: string) => void;
}

/** Makes the logger of a process, turns on metrics and, if the mode has them and they are configured, traces, and patches HTTP/2. */
export async function prepare(
  name: string,
  config: { logLevel: LogLevel; otlpEndpoint?: string | undefined; traceRatio?: number },
  instance = instanceName(name),
): Promise<Logger> {
  const service = `gochat-${name}`;
  await enableMetrics(service);
  const logger = createLogger({ name, level: config.logLevel });
  answerPingsOfClosingSessions(logger);
  const { otlpEndpoint, traceRatio: ratio } = config;
  const url = ratio === undefined ? undefined : otlpUrl(otlpEndpoint, process.env);
  if (ratio !== undefined && url !== undefined)
    await enableTracing({ service, instance, url, ratio, logger });
  return logger;
}

/**
 * Runs the servers until INT or TERM, then drains and stops them. A second signal stops at once; so does one that comes
 * before the servers exist. The admin port answers from the beginning. Resolves with the exit code.
 */
export async function runServers(
  { name, logger, config, tell }: ProcessOptions,
  build: (startup: Startup) => Promise<Process>,
): Promise<number> {
  const stopping = Promise.withResolvers<'drain' | 'now'>();
  const hurry = Promise.withResolvers<void>();
  let signals = 0;
  const onStop = () => {
    signals++;
    if (signals === 1) stopping.resolve('drain');
    else hurry.resolve();
  };
  process.on('SIGINT', onStop).on('SIGTERM', onStop);

  const startup = new Startup(name, tell ?? ((step) => logger.info({ step }, 'still starting')));
  const watched: Pick<Server, 'name' | 'readiness' | 'liveness'>[] = [startup];
  const admin = await startAdmin({
    host: config.host,
    port: config.adminPort,
    servers: watched,
    logger,
    adminToken: config.adminToken,
    operatorRoutes: {
      'POST /drain': (_request, response) => {
        stopping.resolve('drain');
        json(response, 202, { status: 'draining', deadline_ms: config.drainMs });
      },
    },
  });
  const proc = await Promise.race([build(startup), stopping.promise]);
  if (typeof proc === 'string') {
    await admin.close();
    return ExitCode.OK;
  }
  watched.push(...proc.servers);
  admin.add(proc.adminRoutes ?? {}, proc.operatorRoutes ?? {});
  startHeapTrim(openMemory(logger));
  const started: Server[] = [];
  let exitCode: number = ExitCode.OK;
  const fail = (error: unknown) => {
    logger.fatal({ err: error }, 'unexpected error');
    exitCode = ExitCode.RUNTIME;
    stopping.resolve('now');
  };
  process.on('uncaughtException', fail).on('unhandledRejection', fail);
  const endWatch = watchLiveness(name, proc.servers, (reason) =>
    fail(new Error(`the server does not live: ${reason}`)),
  );
  const onReload = async () => {
    try {
      logger.level = await proc.reload();
      logger.info(
        { level: logger.level },
        'configuration reloaded; settings that cannot change while running need a restart',
      );
    } catch (error) {
      logger.error({ err: error }, 'configuration not reloaded');
    }
  };
  process.on('SIGHUP', () => void onReload());

  try {
    for (const server of proc.servers) {
      if (signals > 0) break;
      started.push(server);
      startup.step(`starting ${server.name}`);
      await server.start();
    }
    startup.done();
    if (signals === 0) proc.ready(admin.address);
    const how = await stopping.promise;
    if (how === 'drain') {
      logger.info({ deadline_ms: config.drainMs }, 'draining');
      const drained = (async () => {
        for (const server of started.toReversed()) await server.drain(config.drainMs);
      })();
      await Promise.race([drained, hurry.promise]);
    }
  } finally {
    startup.done();
    for (const server of started.toReversed()) await settle(logger, server.name, () => server.stop());
    for (const close of proc.closers) await settle(logger, name, close);
    await settle(logger, name, closeTracing);
    await endWatch();
    await admin.close();
    await tick();
  }
  logger.info('stopped');
  return exitCode;
}

/**
 * Opens an engine that may still be starting, with retries and jitter until `timeoutMs`, and reports the wait.
 *
 * @throws GochatError the last error of `open`
 */
export async function reach<T>(logger: Logger, timeoutMs: number, open: () => Promise<T>): Promise<T> {
  const backoff = new Backoff({ baseMs: 200, maxMs: 2000 });
  const end = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      const waitMs = backoff.next();
      const known = GochatError.known(error);
      if (known?.retryable !== true || performance.now() + waitMs > end) throw error;
      logger.warn({ code: known.code, retry_in_ms: waitMs }, known.message);
      await setTimeout(waitMs);
    }
  }
}

/**
 * Checks that a host other than loopback has a cluster token or mTLS: otherwise anyone who reaches it could speak as a
 * server.
 */
export function checkExposure(config: {
  host: string;
  clusterToken?: string | undefined;
  crpcTlsCa?: string | undefined;
}): void {
  const { host } = config;
  if (isLoopback(host) || config.clusterToken !== undefined || config.crpcTlsCa !== undefined) return;
  throw new GochatError('CONFIG_INVALID', {
    details: {
      what: `Listening on ${host} needs a cluster token (cluster_token or GOCHAT_CLUSTER_TOKEN) or mTLS (--crpc-tls-ca).`,
    },
  });
}

/** Returns whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

async function settle(logger: Logger, name: string, close: () => Promise<void>): Promise<void> {
  try {
    await close();
  } catch (error) {
    logger.error({ err: error, server: name }, 'did not stop cleanly');
  }
}

/** Returns the id of this run of the process, unique within its mode. */
export function instanceName(mode: string): string {
  return `${mode}-${hostname()}-${process.pid}`;
}

/** Returns the gateway's limits of a configuration. */
export function gatewayLimits(config: Pick<GatewayLimits, (typeof GATEWAY_LIMITS)[number]>) {
  return Object.fromEntries(GATEWAY_LIMITS.map((key) => [key, config[key]])) as typeof config;
}

/** Returns the advertised addresses of a configuration. */
export function advertised(config: {
  readonly advertiseHost?: string | undefined;
  readonly advertisePort?: number | undefined;
  readonly advertiseTls?: boolean | undefined;
  readonly advertiseWsHost?: string | undefined;
  readonly advertiseWsPort?: number | undefined;
  readonly advertiseWsTls?: boolean | undefined;
}): NonNullable<GatewayOptions['advertise']> {
  const { advertiseHost: host, advertiseWsHost: wsHost = host } = config;
  return {
    tcp: { host, port: config.advertisePort, tls: config.advertiseTls },
    ws: { host: wsHost, port: config.advertiseWsPort, tls: config.advertiseWsTls },
  };
}

/** Reads the certificate of the ports for clients; undefined if none is set. @throws GochatError CONFIG_INVALID */
export function openCertificate(
  config: { readonly tlsCert: string | undefined; readonly tlsKey: string | undefined },
  logger: Logger,
): ServerCertificate | undefined {
  const { tlsCert: cert, tlsKey: key } = config;
  if (cert !== undefined && key !== undefined) return new ServerCertificate({ cert, key }, logger);
  if (cert === undefined && key === undefined) return undefined;
  throw new GochatError('CONFIG_INVALID', { details: { what: 'tls_cert and tls_key go together.' } });
}
