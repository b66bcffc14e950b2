/**
 * All settings of all modes: type, default, unit and description. Flags, environment variables and file keys follow
 * from them.
 */
import { z } from 'zod';
import {
  addresses,
  flag,
  integer,
  origins,
  port,
  portOrOff,
  proxies,
  type Settings,
  share,
  socketOrigins,
  text,
  url,
} from './configuration.ts';

const logLevel = z
  .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
  .default('info')
  .describe('lowest severity that is logged: trace, debug, info, warn, error or silent; reloaded on HUP');
const host = text().default('127.0.0.1').describe('address to listen on');
const adminPort = (standard: number) =>
  port().default(standard).describe('port of /livez, /readyz and /metrics; 0 takes a free one');
const adminToken = text(256)
  .optional()
  .describe(
    'secret for operators who use the admin port from other machines; without it only this machine can',
  );
const drainMs = integer(0, 3_600_000).default(10_000).describe('longest drain after TERM, ms');

/** The TLS files of an engine: ENGINE_ca, ENGINE_cert, ENGINE_key. */
function engineFiles<E extends string>(engine: E, name: string) {
  const file = (part: string, description: string) => [
    `${engine}${part}`,
    text().optional().describe(`PEM file of ${description}`),
  ];
  return Object.fromEntries([
    file('Ca', `the CA of ${name}'s certificate; default: the CAs that Node.js trusts`),
    file('Cert', `the client certificate for ${name}, if it requires one`),
    file('Key', 'its key'),
  ]) as { readonly [K in `${E}${'Ca' | 'Cert' | 'Key'}`]: z.ZodOptional<z.ZodString> };
}

/** Trusted proxies of an HTTP server. */
const trustProxy = proxies()
  .default('')
  .describe(
    'trusted HTTP proxies, whose X-Forwarded-For names the client: the number of proxies that each request passes, or their addresses and networks, comma-separated; default: none',
  )
  .meta({ placeholder: 'count|networks' });
const corsOrigins = origins()
  .default('')
  .describe(
    'origins of web pages that may call this server (CORS), such as https://chat.example.org, comma-separated; *: any; default: none',
  );

const pageGateways = socketOrigins()
  .default('')
  .describe(
    'origins of the gateways that the page connects to, such as wss://gateway-1.example.org:8901, comma-separated; default: none, the page connects to /ws of this server',
  );

/** Tracing of calls between servers, for modes that make or serve such calls. */
const tracing = {
  otlpEndpoint: url('http', 'https')
    .optional()
    .describe('OTLP collector for traces, http://HOST:4318; default: $OTEL_EXPORTER_OTLP_ENDPOINT, else off'),
  traceRatio: share().default(1).describe('share of new traces that are recorded, 0 to 1'),
} satisfies Settings;

/** Settings of every server that runs by itself. */
const server = {
  name: text(64)
    .optional()
    .describe(
      'name of this server in logs, traces and the registry, unique among those of its mode; SERVER_ID names it too; default: MODE-HOST-PID',
    ),
  logLevel,
  host,
  registry: url('etcd', 'etcds')
    .default('etcd://127.0.0.1:12379')
    .describe('registry, etcd://[USER:PASSWORD@]HOST:PORT[,…][/PREFIX]; etcds:// with TLS'),
  ...engineFiles('registry', 'etcd'),
  startTimeoutMs: integer(0, 600_000)
    .default(5000)
    .describe('how long to wait at start for engines that do not answer yet, ms'),
  adminToken,
  drainMs,
} satisfies Settings;

/** The certificate of the ports for clients. */
const certificateFiles = {
  tlsCert: text()
    .optional()
    .describe(
      "PEM file of this server's certificate for clients, then the intermediate ones; clients must then use TLS. Reloaded on HUP",
    ),
  tlsKey: text().optional().describe('PEM file of its key; reloaded on HUP'),
} satisfies Settings;

/** TLS between servers, on either side. */
const crpcTlsFiles = {
  crpcTlsCert: text().optional().describe("PEM file of this server's certificate for other servers"),
  crpcTlsKey: text().optional().describe('PEM file of its key'),
};

/** Settings of servers that call state. */
const stateClient = {
  clusterToken: text(256).optional().describe('secret that state nodes ask for: their cluster_token'),
  ...crpcTlsFiles,
  crpcTlsCa: text()
    .optional()
    .describe("PEM file of the CA of state nodes' certificates; turns on TLS to them"),
  crpcTlsServerName: text()
    .optional()
    .describe("name in the state nodes' certificates if it is not their address"),
  ...tracing,
} satisfies Settings;

/** Advertised addresses of a gateway behind a port mapping or a TLS terminator. */
const advertised = {
  advertiseHost: text().optional().describe('host advertised to clients; default: the one it listens on'),
  advertisePort: integer(1, 65_535)
    .optional()
    .describe('TCP port advertised to clients; default: the one it listens on'),
  advertiseTls: flag()
    .optional()
    .describe('whether clients must use TLS on TCP, true or false; default: whether it has a certificate'),
  advertiseWsHost: text()
    .optional()
    .describe('host advertised to WebSocket clients; default: advertise_host'),
  advertiseWsPort: integer(1, 65_535)
    .optional()
    .describe('WebSocket port advertised to clients; default: the one it listens on'),
  advertiseWsTls: flag()
    .optional()
    .describe(
      'whether clients must use TLS on WebSocket, true or false; default: whether it has a certificate',
    ),
} satisfies Settings;
const tcpPort = portOrOff().default(8900).describe('TCP port of clients; 0 takes a free one, off: no TCP');
const wsPort = portOrOff()
  .default(8901)
  .describe('WebSocket port of clients; 0 takes a free one, off: no WebSocket');

const limits = {
  workers: integer(0, 256).default(0).describe('worker threads; 0: one per core'),
  maxConnections: integer(1, 10_000_000).default(1_000_000).describe('most connections of the gateway'),
  heartbeatIntervalMs: integer(100, 600_000)
    .default(30_000)
    .describe('heartbeat interval of clients, ms; a client silent for 2.5 times that is disconnected'),
  helloTimeoutMs: integer(100, 60_000).default(5_000).describe('deadline of the first frame (HELLO), ms'),
  frameTimeoutMs: integer(100, 60_000).default(10_000).describe('deadline of an unfinished frame, ms'),
  // Well below the largest record of a batch stream (8 MiB), in which each frame travels.
  maxFrameBytes: integer(4096, 4_194_304).default(262_144).describe('largest frame from a client, bytes'),
  maxOutboundBytes: integer(65_536, 1_073_741_824)
    .default(262_144)
    .describe('bytes that may be queued for one client; beyond them it misses pushes and resynchronises'),
  slowTimeoutMs: integer(100, 600_000)
    .default(10_000)
    .describe('how long a client may stay over max_outbound_bytes before it is disconnected, ms'),
  maxConnectionsPerAddress: integer(1, 10_000_000)
    .default(1000)
    .describe('most connections of one address (IPv6: of one /64)'),
  connectsPerSecond: integer(1, 1_000_000)
    .default(100)
    .describe('new connections per second of one address; burst: ten times that'),
  loginFailuresPerMinute: integer(1, 1_000_000)
    .default(60)
    .describe(
      'failed logins per minute of one address; beyond them its tokens are verified after those of others',
    ),
  framesPerSecond: integer(1, 10_000_000)
    .default(1000)
    .describe(
      'frames per second of one account at one worker, burst: a quarter of that; above it, reading from the account pauses',
    ),
  bytesPerSecond: integer(1024, 1_073_741_824)
    .default(1_048_576)
    .describe(
      'bytes per second of one account at one worker, burst: a quarter of that; above it, reading from the account pauses',
    ),
  tlsTimeoutMs: integer(100, 60_000).default(5_000).describe('deadline of a TLS handshake, ms'),
  ...certificateFiles,
  proxyProtocol: addresses()
    .default('')
    .describe(
      'addresses and networks of load balancers that send a PROXY header, version 1 or 2; comma-separated',
    ),
  backlog: integer(1, 65_535)
    .default(4096)
    .describe("length of the kernel's accept queue; net.core.somaxconn bounds it too"),
  trustProxy,
  exemptAddresses: addresses()
    .default('127.0.0.0/8,::1')
    .describe('addresses and networks without limits per address, such as a proxy; comma-separated'),
} satisfies Settings;

const tokenTtlMs = integer(1000, 2_592_000_000).default(900_000).describe('lifetime of an access token, ms');

const jwtSecret = text(4096)
  .refine((secret) => Buffer.byteLength(secret) >= 32, { error: 'expected at least 32 bytes' })
  .optional()
  .describe(
    'secret that encrypts the signing keys of access tokens in the store, at least 32 bytes; JWT_SECRET names it too; without it they are not encrypted',
  );

const sessionGraceMs = integer(0, 3_600_000)
  .default(30_000)
  .describe('time in which a device whose connection broke can resume its session and counts as online, ms');

// The longest text that always fits a page of the log and a frame of the default size in JSON (textBytesIn).
const maxTextBytes = integer(1, 65_536)
  .default(16_384)
  .describe('longest text of a message, bytes of UTF-8; gateways get it from state');

/** What users may do with entries; rooms have no settings of their own. */
const entryRules = {
  editWindowMs: integer(0, 3_153_600_000_000)
    .default(86_400_000)
    .describe('time after its commit in which the author of a message can edit it, ms'),
  pinRole: z
    .enum(['member', 'moderator', 'owner'])
    .default('moderator')
    .describe('lowest role that pins messages in rooms: member, moderator or owner'),
  evidenceRetentionMs: integer(0, 3_153_600_000_000)
    .default(2_592_000_000)
    .describe('time for which the texts that moderators retract are kept for operators, ms'),
} satisfies Settings;

export const gatewaySettings = {
  ...server,
  ...stateClient,
  zone: z
    .string()
    .max(64)
    .regex(/^[^\p{Cc}]*$/u, 'expected text without control characters')
    .default('')
    .describe('failure domain of this gateway; clients that name a zone prefer gateways in it'),
  weight: integer(1, 1000)
    .default(1)
    .describe(
      'relative weight: 2 gets twice as many clients as a gateway of weight 1 with the same limits, while there is room',
    ),
  maxBytesOutPerS: integer(1, 1_000_000_000_000)
    .optional()
    .describe(
      'network capacity of its machine, bytes/s; ipconf then counts what the gateway sends; default: unknown',
    ),
  requireTicket: flag()
    .default(false)
    .describe('accept only clients with a ticket, which ipconf signs with --tickets'),
  port: tcpPort,
  wsPort,
  ...advertised,
  adminPort: adminPort(9101),
  ...limits,
} satisfies Settings;

export const stateSettings = {
  ...server,
  ...tracing,
  advertiseHost: text()
    .optional()
    .describe(
      'address at which gateways and api servers reach this node; default: host, or the first address of this machine if it listens on all',
    ),
  clusterToken: text(256)
    .optional()
    .describe(
      'secret that gateways and api servers must present; on a host other than loopback needed unless crpc_tls_ca is set',
    ),
  ...crpcTlsFiles,
  crpcTlsCa: text()
    .optional()
    .describe('PEM file of the CA of gateways and api servers, which must then have a certificate from it'),
  crpcTlsPeers: text(4096)
    .optional()
    .describe('names in certificates of servers that may connect, comma-separated; default: any'),
  port: port().default(8910).describe('crpc port; 0 takes a free one'),
  demo: flag()
    .default(false)
    .describe('create the accounts demo, test and admin with password 111111; for development only'),
  crpcReflection: flag()
    .default(false)
    .describe('describe the crpc services to tools such as grpcurl; only on a loopback host'),
  adminPort: adminPort(9102),
  store: url('postgres', 'postgresql')
    .default('postgres://gochat@127.0.0.1:15432/gochat')
    .describe(
      'message store, postgres://USER:PASSWORD@HOST[:PORT][,…]/DATABASE; of several hosts, the first that is not a standby',
    ),
  ...engineFiles('store', 'PostgreSQL'),
  storePool: integer(1, 1000)
    .default(8)
    .describe('most connections to PostgreSQL, besides two for sending messages'),
  hot: url('redis', 'rediss', 'redis+sentinel', 'rediss+sentinel')
    .default('redis://127.0.0.1:16379')
    .describe(
      'hot state, redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], also HOST,…?cluster=true; redis+sentinel://HOST[:PORT],…/NAME[/DATABASE]; rediss… with TLS',
    ),
  ...engineFiles('hot', 'Redis'),
  jwtSecret,
  tokenTtlMs,
  sessionGraceMs,
  maxTextBytes,
  ...entryRules,
} satisfies Settings;

/** An OpenID Connect provider by which users may log in. */
const openId = {
  openidIssuer: url('https', 'http')
    .optional()
    .describe('OpenID Connect provider by which users may log in, https://…; http:// only on loopback'),
  openidClientId: text().optional().describe('id of this client at the provider'),
  openidClientSecret: text().optional().describe('secret of this client at the provider, if it has one'),
  openidRedirectUrl: url('https', 'http')
    .optional()
    .describe('URL of /auth/openid/callback of api, as browsers reach it and the provider knows it'),
} satisfies Settings;

/** Limit of requests by address. */
const requestRate = {
  ratePerSecond: integer(0, 1_000_000)
    .default(1000)
    .describe('requests per second of one address (IPv6: of one /64); 0: no limit'),
  rateBurst: integer(1, 10_000_000).default(3000).describe('burst of one address, requests'),
} satisfies Settings;

export const ipconfSettings = {
  ...server,
  port: port().default(6789).describe('HTTP port; 0 takes a free one'),
  adminPort: adminPort(9103),
  tickets: flag().default(false).describe('sign tickets for gateways with --require-ticket'),
  ...requestRate,
  maxConnections: integer(1, 1_000_000).default(10_000).describe('most HTTP connections'),
  maxConnectionsPerAddress: integer(0, 1_000_000)
    .default(3000)
    .describe(
      'most HTTP connections of one address (IPv6: of one /64); 0: no limit. Trusted proxies have no limit',
    ),
  ...certificateFiles,
  trustProxy,
  corsOrigins,
} satisfies Settings;

export const apiSettings = {
  ...server,
  ...stateClient,
  port: port().default(8080).describe('HTTP port; 0 takes a free one'),
  adminPort: adminPort(9104),
  ...requestRate,
  ...certificateFiles,
  trustProxy,
  corsOrigins,
  pageGateways,
  ...openId,
} satisfies Settings;

export const upSettings = {
  ...tracing,
  logLevel: logLevel
    .removeDefault()
    .default('warn')
    .describe('lowest severity that is logged: trace, debug, info, warn, error or silent; reloaded on HUP'),
  host,
  gatewayPort: tcpPort,
  wsPort,
  ...advertised,
  ipconfPort: port().default(6789).describe('port of ipconf; 0 takes a free one'),
  ...requestRate,
  apiPort: port()
    .default(8080)
    .describe('port of api, which serves the WebSocket at /ws too; 0 takes a free one; PORT names it too'),
  adminPort: adminPort(9101),
  adminToken,
  dataDir: text().default('./data').describe('folder of the embedded store'),
  store: url('postgres', 'postgresql')
    .optional()
    .describe(
      'PostgreSQL instead of the embedded store, as for state; DATABASE_URL names it too. One process of this mode a database',
    ),
  ...engineFiles('store', 'PostgreSQL'),
  hot: url('redis', 'rediss', 'redis+sentinel', 'rediss+sentinel')
    .optional()
    .describe('Redis instead of memory, as for state; REDIS_URL names it too'),
  ...engineFiles('hot', 'Redis'),
  startTimeoutMs: server.startTimeoutMs,
  demo: flag()
    .default(true)
    .describe('create the accounts demo, test and admin with password 111111; only on a loopback host'),
  drainMs: drainMs.removeDefault().default(3000).describe('longest time to drain after TERM, ms'),
  jwtSecret,
  tokenTtlMs,
  sessionGraceMs,
  maxTextBytes,
  ...entryRules,
  corsOrigins,
  pageGateways,
  ...limits,
  ...openId,
} satisfies Settings;

export const clientSettings = {
  user: text(64).optional().describe('user name; on a terminal the client asks for it'),
  password: text(256)
    .optional()
    .describe('password; on a terminal the client asks for it; in scripts prefer GOCHAT_PASSWORD'),
  api: url('http', 'https').default('http://127.0.0.1:8080').describe('URL of api'),
  ipconf: url('http', 'https').default('http://127.0.0.1:6789').describe('URL of ipconf'),
  transport: z
    .enum(['tcp', 'ws'])
    .default('tcp')
    .describe('transport to the gateway, tcp or ws; ws passes networks that allow only web traffic'),
  tlsCa: text()
    .optional()
    .describe('PEM file of a CA to trust besides those of Node.js; for gateway, api and ipconf'),
  device: text(64).optional().describe('name of this device, which then has its own cursors'),
  plain: flag().default(false).describe('line-based input and output, without an interactive screen'),
  json: flag().default(false).describe('print one JSON object per line; implies --plain'),
  timeoutMs: integer(100, 3_600_000)
    .default(30_000)
    .describe('give up on unacknowledged messages after this long without progress, ms'),
} satisfies Settings;

export const ctlSettings = {
  admin: url('http', 'https')
    .default('http://127.0.0.1:9101')
    .describe('URL of the admin port of the server'),
  adminToken: text(256).optional().describe('admin token of the server; required from another machine'),
} satisfies Settings;

/** Settings by mode: the names of the commands and of the sections in the configuration file. */
export const MODES = {
  gateway: gatewaySettings,
  state: stateSettings,
  ipconf: ipconfSettings,
  api: apiSettings,
  up: upSettings,
  client: clientSettings,
  ctl: ctlSettings,
} as const;
export type Mode = keyof typeof MODES;

/** Settings whose values are masked. */
export const SECRETS: ReadonlySet<string> = new Set([
  'password',
  'clusterToken',
  'adminToken',
  'jwtSecret',
  'openidClientSecret',
  'registry',
  'store',
  'hot',
]);
