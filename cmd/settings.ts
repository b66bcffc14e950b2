/** Every setting of every mode: its type, default, unit and meaning; flags, environment and file keys follow from it. */
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
  text,
  url,
} from './configuration.ts';

const logLevel = z
  .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
  .default('info')
  .describe('least severe log line that is written; reloaded on HUP');
const host = text().default('127.0.0.1').describe('address to listen on');
const adminPort = (standard: number) =>
  port().default(standard).describe('port of /livez, /readyz and /metrics; 0 takes a free one');
const adminToken = text(256)
  .optional()
  .describe(
    'secret for the operator paths of the admin port from other machines; without it this machine alone',
  );
const drainMs = integer(0, 3_600_000).default(10_000).describe('longest time to drain after TERM, ms');

/** The files of TLS to an engine: ENGINE_ca, ENGINE_cert, ENGINE_key. */
function engineFiles<E extends string>(engine: E, name: string) {
  const file = (part: string, description: string) => [
    `${engine}${part}`,
    text().optional().describe(`PEM file of ${description}`),
  ];
  return Object.fromEntries([
    file('Ca', `the authority of ${name}'s certificates; default: those that Node.js knows`),
    file('Cert', `the certificate that is shown to ${name}, where it asks for one`),
    file('Key', 'its key'),
  ]) as { readonly [K in `${E}${'Ca' | 'Cert' | 'Key'}`]: z.ZodOptional<z.ZodString> };
}

/** What stands between clients and a server that speaks HTTP. */
const trustProxy = proxies()
  .default('')
  .describe(
    "HTTP proxies whose X-Forwarded-For tells the client's address: how many each request passes (1), or their addresses and networks, a list with commas; default: none",
  )
  .meta({ placeholder: 'count|networks' });
const corsOrigins = origins()
  .default('')
  .describe(
    'origins of web pages that may call, such as https://chat.example.org, a list with commas; * any; default: none',
  );

/** Spans of the calls between servers. */
const tracing = {
  otlpEndpoint: url('http', 'https')
    .optional()
    .describe(
      'collector that traces are sent to by OTLP, http://HOST:4318; default: $OTEL_EXPORTER_OTLP_ENDPOINT, else off',
    ),
  traceRatio: share().default(1).describe('share of new traces that are recorded, 0 to 1'),
} satisfies Settings;

/** What every server on its own needs. */
const server = {
  logLevel,
  host,
  advertiseHost: text().optional().describe('address that others reach this server at; default: host'),
  zone: z
    .string()
    .max(64)
    .regex(/^[^\p{Cc}]*$/u, 'expected text without control characters')
    .default('')
    .describe('failure domain of this server'),
  registry: url('etcd', 'etcds')
    .default('etcd://127.0.0.1:12379')
    .describe('registry, etcd://[USER:PASSWORD@]HOST:PORT[,…][/PREFIX]; etcds:// with TLS'),
  ...engineFiles('registry', 'etcd'),
  clusterToken: text(256)
    .optional()
    .describe('secret that GoChat servers show each other; needed when host is not loopback'),
  startTimeoutMs: integer(0, 600_000)
    .default(5000)
    .describe('how long to wait on start for engines that do not answer yet, ms'),
  adminToken,
  drainMs,
  ...tracing,
} satisfies Settings;

/** TLS between servers. */
export const crpcTlsSettings = {
  crpcTlsCert: text().optional().describe("PEM file of this server's certificate, shown to other servers"),
  crpcTlsKey: text().optional().describe('PEM file of its key'),
  crpcTlsCa: text()
    .optional()
    .describe('PEM file of the authority of all servers; whoever connects must have a certificate of it'),
  crpcTlsServerName: text()
    .optional()
    .describe("name in the other servers' certificates where it is not their address"),
  crpcTlsPeers: text(4096)
    .optional()
    .describe(
      'names of which a certificate that connects must bear one, with commas between them; default: any',
    ),
} satisfies Settings;

/** How clients reach a gateway where that is not as it listens: behind a port mapping, or TLS that ends in front. */
const advertised = {
  advertiseHost: text().optional().describe('host that clients are told; default: the one it listens on'),
  advertisePort: integer(1, 65_535)
    .optional()
    .describe('TCP port that clients are told; default: the one it listens on'),
  advertiseTls: flag()
    .optional()
    .describe('tell clients to use TLS on TCP, true or false; default: whether it has a certificate'),
  advertiseWsHost: text()
    .optional()
    .describe('host that clients are told for WebSocket; default: advertise_host'),
  advertiseWsPort: integer(1, 65_535)
    .optional()
    .describe('WebSocket port that clients are told; default: the one it listens on'),
  advertiseWsTls: flag()
    .optional()
    .describe('tell clients to use TLS on WebSocket, true or false; default: whether it has a certificate'),
} satisfies Settings;
const tcpPort = portOrOff().default(8900).describe('TCP port of clients; 0 takes a free one, off: no TCP');
const wsPort = portOrOff()
  .default(8901)
  .describe('WebSocket port of clients; 0 takes a free one, off: no WebSocket');

const limits = {
  workers: integer(0, 256).default(0).describe('worker threads; 0: one a core'),
  maxConnections: integer(1, 10_000_000).default(1_000_000).describe('most connections of the gateway'),
  heartbeatIntervalMs: integer(100, 600_000)
    .default(30_000)
    .describe('a client sends at least this often, ms; it is dropped after 2.5 times that'),
  helloTimeoutMs: integer(100, 60_000).default(5_000).describe('deadline of the first frame, ms'),
  frameTimeoutMs: integer(100, 60_000).default(10_000).describe('deadline of a frame that has begun, ms'),
  // Well below what a record of a batch stream may hold (8 MiB): each frame travels in one.
  maxFrameBytes: integer(4096, 4_194_304).default(262_144).describe('largest frame of a client, bytes'),
  maxOutboundBytes: integer(65_536, 1_073_741_824)
    .default(262_144)
    .describe('bytes that may wait for one client; beyond them it misses pushes and resynchronises'),
  slowTimeoutMs: integer(100, 600_000)
    .default(10_000)
    .describe('how long a client may stay that far behind before it is dropped, ms'),
  maxConnectionsPerAddress: integer(1, 10_000_000)
    .default(1000)
    .describe('most connections of one address (IPv6: of one /64)'),
  connectsPerSecond: integer(1, 1_000_000)
    .default(100)
    .describe('connections a second of one address; ten times that at once'),
  loginFailuresPerMinute: integer(1, 1_000_000)
    .default(60)
    .describe('logins of one address that may fail a minute'),
  framesPerSecond: integer(1, 10_000_000)
    .default(1000)
    .describe(
      'frames a second of one account at one worker, a quarter of them at once; beyond them it is not read',
    ),
  bytesPerSecond: integer(1024, 1_073_741_824)
    .default(1_048_576)
    .describe(
      'bytes a second of one account at one worker, a quarter of them at once; beyond them it is not read',
    ),
  tlsTimeoutMs: integer(100, 60_000).default(5_000).describe('deadline of a TLS handshake, ms'),
  tlsCert: text()
    .optional()
    .describe('certificate of both ports, a PEM file; clients then connect with TLS. Read again on HUP'),
  tlsKey: text().optional().describe('its key, a PEM file'),
  proxyProtocol: addresses()
    .default('')
    .describe(
      'addresses and networks of balancers that send a PROXY protocol header, version 1 or 2; a list with commas',
    ),
  backlog: integer(1, 65_535)
    .default(4096)
    .describe('sockets that may wait to be accepted; net.core.somaxconn bounds it too'),
  trustProxy,
  exemptAddresses: addresses()
    .default('127.0.0.0/8,::1')
    .describe('addresses and networks without limits per address, such as a proxy; a list with commas'),
} satisfies Settings;

const tokenTtlMs = integer(1000, 2_592_000_000)
  .default(3_600_000)
  .describe('lifetime of an access token, ms');

const sessionGraceMs = integer(0, 3_600_000)
  .default(30_000)
  .describe('how long a device whose connection broke can resume its session and counts as online, ms');

// As long as a page of the log, and a frame of the default size in JSON, hold in any case (textBytesIn).
const maxTextBytes = integer(1, 65_536)
  .default(16_384)
  .describe('longest text of a message, bytes of UTF-8; gateways learn it from state');

export const gatewaySettings = {
  ...server,
  ...crpcTlsSettings,
  weight: integer(1, 1000)
    .default(1)
    .describe(
      'how many clients it is to hold for each one of a gateway with the same limits and weight 1, while there is room',
    ),
  maxBytesOutPerS: integer(1, 1_000_000_000_000)
    .optional()
    .describe(
      'what the network of its machine carries, bytes/s; ipconf then counts what the gateway sends. Default: not known',
    ),
  requireTicket: flag()
    .default(false)
    .describe('let in only clients that ipconf (with --tickets) has sent here'),
  port: tcpPort,
  wsPort,
  ...advertised,
  adminPort: adminPort(9101),
  ...limits,
} satisfies Settings;

export const stateSettings = {
  ...server,
  ...crpcTlsSettings,
  port: port().default(8910).describe('crpc port; 0 takes a free one'),
  crpcReflection: flag()
    .default(false)
    .describe('describe the crpc services to tools such as grpcurl; only on a loopback host'),
  adminPort: adminPort(9102),
  store: url('postgres', 'postgresql')
    .default('postgres://gochat@127.0.0.1:15432/gochat')
    .describe(
      'message store, postgres://USER:PASSWORD@HOST[:PORT][,…]/DATABASE; of several hosts the first that is no standby',
    ),
  ...engineFiles('store', 'PostgreSQL'),
  storePool: integer(1, 1000)
    .default(8)
    .describe('most connections to PostgreSQL, beside two for the messages that are sent'),
  hot: url('redis', 'rediss', 'redis+sentinel', 'rediss+sentinel')
    .default('redis://127.0.0.1:16379')
    .describe(
      'hot state, redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], also HOST,…?cluster=true; redis+sentinel://HOST[:PORT],…/NAME[/DATABASE]; rediss… with TLS',
    ),
  ...engineFiles('hot', 'Redis'),
  tokenTtlMs,
  sessionGraceMs,
  maxTextBytes,
} satisfies Settings;

export const ipconfSettings = {
  ...server,
  port: port().default(6789).describe('HTTP port; 0 takes a free one'),
  adminPort: adminPort(9103),
  tickets: flag().default(false).describe('sign tickets, for gateways that run with --require-ticket'),
  ratePerSecond: integer(0, 1_000_000)
    .default(1000)
    .describe('requests a second of one address (IPv6: of one /64); 0: no limit'),
  rateBurst: integer(1, 10_000_000).default(3000).describe('requests of one address at once'),
  maxConnections: integer(1, 1_000_000).default(10_000).describe('most HTTP connections'),
  maxConnectionsPerAddress: integer(0, 1_000_000)
    .default(3000)
    .describe(
      'most HTTP connections of one address (IPv6: of one /64); 0: no limit. Trusted proxies have none',
    ),
  trustProxy,
  corsOrigins,
} satisfies Settings;

export const apiSettings = {
  ...server,
  ...crpcTlsSettings,
  port: port().default(8080).describe('HTTP port; 0 takes a free one'),
  adminPort: adminPort(9104),
  trustProxy,
  corsOrigins,
} satisfies Settings;

export const upSettings = {
  ...tracing,
  logLevel: logLevel.removeDefault().default('warn').describe('least severe log line that is written'),
  host,
  gatewayPort: tcpPort,
  wsPort,
  ...advertised,
  ipconfPort: port().default(6789).describe('port of ipconf; 0 takes a free one'),
  apiPort: port().default(8080).describe('port of api; 0 takes a free one'),
  adminPort: adminPort(9101),
  adminToken,
  dataDir: text().default('./data').describe('folder of the message store'),
  demo: flag()
    .default(true)
    .describe('make the accounts demo, test and admin with password 111111; only on a loopback host'),
  drainMs: drainMs.removeDefault().default(3000).describe('longest time to drain after TERM, ms'),
  tokenTtlMs,
  sessionGraceMs,
  maxTextBytes,
  corsOrigins,
  ...limits,
} satisfies Settings;

export const clientSettings = {
  user: text(64).optional().describe('user name; asked for on a terminal'),
  password: text(256).optional().describe('password; asked for on a terminal. Better: GOCHAT_PASSWORD'),
  api: url('http', 'https').default('http://127.0.0.1:8080').describe('URL of api'),
  ipconf: url('http', 'https').default('http://127.0.0.1:6789').describe('URL of ipconf'),
  transport: z
    .enum(['tcp', 'ws'])
    .default('tcp')
    .describe('how to reach the gateway; ws passes where only the web does'),
  tlsCa: text()
    .optional()
    .describe('authority to trust besides those of Node.js, a PEM file; for gateway, api and ipconf'),
  device: text(64).optional().describe('name of this device; it then has cursors of its own'),
  plain: flag().default(false).describe('read lines, print lines'),
  json: flag().default(false).describe('print one JSON object a line; implies --plain'),
  timeoutMs: integer(100, 3_600_000)
    .default(30_000)
    .describe('give up on unsettled sends after this long without progress, ms'),
} satisfies Settings;

export const ctlSettings = {
  admin: url('http', 'https')
    .default('http://127.0.0.1:9101')
    .describe('URL of the admin port of the server'),
  adminToken: text(256).optional().describe('admin token of the server; needed from another machine'),
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

/** Settings whose values are never shown. */
export const SECRETS: ReadonlySet<string> = new Set([
  'password',
  'clusterToken',
  'adminToken',
  'registry',
  'store',
  'hot',
]);
