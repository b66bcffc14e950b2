/** Options of a client. */
import type { BackoffOptions } from './backoff.ts';
import { randomPrefix } from './convert.ts';
import type { Storage } from './storage.ts';
import type { Gateway, TransportFactory } from './transport.ts';

/** An access token with its expiry. */
export interface Token {
  readonly token: string;
  /** Unix time, ms; undefined if unknown: the gateway refuses an expired token. */
  readonly expiresAtMs?: number | undefined;
  /** User id, decimal: lets ipconf choose the user's home gateway and sign tickets. */
  readonly user?: string | undefined;
}

export type FetchLike = (url: string, init: RequestInit) => Promise<Response>;

export interface GochatClientOptions {
  /** Base URL of the API server, for login with user and password. */
  readonly api?: string;
  /** Base URL of ipconf. Either this or `gateways`. */
  readonly ipconf?: string;
  /** The only gateways there are, best first, instead of those that ipconf lists; such as a load balancer, or api's `/ws`. */
  readonly gateways?: readonly Gateway[];
  readonly user?: string;
  readonly password?: string;
  /** Refresh token of a session or of a bot; instead of user and password, or beside them for when the session has ended. */
  readonly refreshToken?: string;
  /** Called with each new refresh token, to be kept where others cannot read it, and with undefined when it is void. */
  readonly onRefreshToken?: (token: string | undefined) => void;
  /** Whether the refresh token is a cookie of this web page, from a login before. @default false */
  readonly cookie?: boolean;
  /** Returns a fresh access token; instead of all of these. */
  readonly getToken?: (signal: AbortSignal) => Promise<Token>;
  /** Keeps unanswered sends, so that the next client of the same user sends them. Only one client may use it at a time.
   * @default none */
  readonly storage?: Storage;
  /** Stable name of this device, 1 to 64 of A-Z a-z 0-9 . _ -; the newest connection of a named device ends the
   * older one. @default '' an unnamed device */
  readonly device?: string;
  readonly transport: TransportFactory;
  /** Failure domain of the client; ipconf prefers gateways there. @default '' unknown */
  readonly zone?: string;
  /** Name and version of the software, for the server's log. @default 'gochat-sdk' */
  readonly client?: string;
  /** @default the global fetch */
  readonly fetch?: FetchLike;
  /** Wait between attempts to connect, and before a refused frame is sent again.
   * @default what ipconf suggests; until it has, 200 ms doubling to 10 s */
  readonly backoff?: BackoffOptions;
  /** @default Math.random */
  readonly random?: () => number;
  /** Begins every client_msg_id of this client, and of no other one: by it the client knows its own messages.
   * @default random */
  readonly idPrefix?: string;
  /** Most unanswered sends; further ones fail with OUTBOX_FULL. @default 1024 */
  readonly outboxLimit?: number;
  /** Most unanswered sends on the wire; the others wait in the outbox. @default 256 */
  readonly window?: number;
  /** Unanswered sends are sent again after this long, ms; the second time the connection is given up.
   * @default 10_000 */
  readonly sentTimeoutMs?: number;
  /** A call (history, join …) that has no answer by then fails with DEADLINE_EXCEEDED, a log-in with SERVER_UNREACHABLE, ms.
   * @default 15_000 */
  readonly callTimeoutMs?: number;
  /** Timeout of connecting to one gateway up to WELCOME, and of ipconf, ms. @default 5_000 */
  readonly connectTimeoutMs?: number;
  /** Longest time that the first connect() retries while listed gateways refuse, ms; Infinity: also while no server can be
   * reached, with `disconnected` events as later on. @default 10_000 */
  readonly firstConnectMs?: number;
  /** Interval of reports of delivered cursors, ms. @default 200 */
  readonly receiptDelayMs?: number;
  /** Wait before the client fetches a gap from the log, as late pushes may close it, ms. @default 50 */
  readonly gapDelayMs?: number;
  /** Largest frame accepted from the server. @default 4 MiB */
  readonly maxFrameBytes?: number;
  /** Number of earlier entries delivered after a join. @default 100 */
  readonly joinBacklog?: number;
  /** After an absence, so many of the newest entries of a conversation come as events, at least 1, or all; of what was jumped
   * over, `skipped` tells. @default 1000 */
  readonly catchUp?: number | 'all';
  /** The same where no entry was ever delivered to the device. 0: nothing from before the first connection comes as an
   * event; `listed` brings the conversations. @default 0 */
  readonly newDevice?: number | 'all';
  /** Heartbeat interval to ask for, ms: longer spares a battery, shorter finds a dead connection sooner; 0: the
   * gateway's. @default 0 */
  readonly heartbeatIntervalMs?: number;
  /** Aborting it closes the client. */
  readonly signal?: AbortSignal;
}

export type ResolvedOptions = Readonly<
  { storage: Storage | undefined } & Required<
    Omit<
      GochatClientOptions,
      | 'api'
      | 'user'
      | 'password'
      | 'refreshToken'
      | 'onRefreshToken'
      | 'cookie'
      | 'getToken'
      | 'storage'
      | 'signal'
    >
  >
>;

/** Fills in the defaults. */
export function resolveOptions(options: GochatClientOptions): ResolvedOptions {
  return Object.freeze({
    ipconf: options.ipconf ?? '',
    gateways: options.gateways ?? [],
    storage: options.storage,
    device: options.device ?? '',
    transport: options.transport,
    zone: options.zone ?? '',
    client: options.client ?? 'gochat-sdk',
    fetch: options.fetch ?? ((url: string, init: RequestInit) => globalThis.fetch(url, init)),
    backoff: options.backoff ?? {},
    random: options.random ?? Math.random,
    idPrefix: options.idPrefix ?? randomPrefix(),
    outboxLimit: options.outboxLimit ?? 1024,
    window: options.window ?? 256,
    sentTimeoutMs: options.sentTimeoutMs ?? 10_000,
    callTimeoutMs: options.callTimeoutMs ?? 15_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    firstConnectMs: options.firstConnectMs ?? 10_000,
    receiptDelayMs: options.receiptDelayMs ?? 200,
    gapDelayMs: options.gapDelayMs ?? 50,
    maxFrameBytes: options.maxFrameBytes ?? 4 * 1024 * 1024,
    heartbeatIntervalMs: options.heartbeatIntervalMs ?? 0,
    joinBacklog: options.joinBacklog ?? 100,
    catchUp: options.catchUp ?? 1000,
    newDevice: options.newDevice ?? 0,
  });
}
