/** The gateway's limits: an operator's settings and the constants that go with them. */

/** Limits of a gateway. Each has an error code for the client that exceeds it. */
export interface GatewayLimits {
  /** Default heartbeat interval of clients, ms; silence of HEARTBEAT_GRACE times that ends a connection. @default 30_000 */
  readonly heartbeatIntervalMs: number;
  /** Deadline of HELLO after connecting, ms. @default 5_000 */
  readonly helloTimeoutMs: number;
  /** Deadline of an unfinished frame, ms. @default 10_000 */
  readonly frameTimeoutMs: number;
  /** Most connections of the gateway; each worker holds its share. @default 1_000_000 */
  readonly maxConnections: number;
  /**
   * Bytes that may be queued for one client. Beyond them messages are dropped, and it resynchronises once it has read;
   * beyond EPHEMERAL_QUEUE_SHARE of them typing notices are dropped. @default 256 KiB
   */
  readonly maxOutboundBytes: number;
  /** How long a client may stay over that bound before it is closed with SLOW_CONSUMER, ms. @default 10_000 */
  readonly slowTimeoutMs: number;
  /** Largest accepted value of a frame's length field, bytes. @default 262_144 */
  readonly maxFrameBytes: number;
  /** Most connections of one address (of one /64 of IPv6); each worker allows its share. @default 1_000 */
  readonly maxConnectionsPerAddress: number;
  /** Connects per second of one address, burst CONNECT_BURST_SECONDS; each worker allows its share. @default 100 */
  readonly connectsPerSecond: number;
  /** Failed logins per minute of one address, beyond which its tokens are checked last; each worker allows its share. @default 60 */
  readonly loginFailuresPerMinute: number;
  /** Frames per second of one account at one worker, burst SEND_BURST_SHARE of it; over it, it is not read. @default 1_000 */
  readonly framesPerSecond: number;
  /** Bytes per second of one account at one worker, burst SEND_BURST_SHARE of it. @default 1 MiB */
  readonly bytesPerSecond: number;
  /** Deadline of a TLS handshake, ms. @default 5_000 */
  readonly tlsTimeoutMs: number;
  /** Length of the kernel's accept queue per listener, bounded by net.core.somaxconn. @default 4096 */
  readonly backlog: number;
  /** Addresses and networks of load balancers whose connections begin with a PROXY header. @default '' none */
  readonly proxyProtocol: string;
  /** HTTP proxies whose X-Forwarded-For is believed on WebSocket; see TrustedProxies. @default '' none */
  readonly trustProxy: string;
  /** Addresses and networks without limits per address. @default '127.0.0.0/8,::1' */
  readonly exemptAddresses: string;
}

export const DEFAULT_LIMITS: GatewayLimits = Object.freeze({
  heartbeatIntervalMs: 30_000,
  helloTimeoutMs: 5_000,
  frameTimeoutMs: 10_000,
  maxConnections: 1_000_000,
  maxOutboundBytes: 256 * 1024,
  slowTimeoutMs: 10_000,
  maxFrameBytes: 262_144,
  maxConnectionsPerAddress: 1_000,
  connectsPerSecond: 100,
  loginFailuresPerMinute: 60,
  framesPerSecond: 1_000,
  bytesPerSecond: 1024 * 1024,
  tlsTimeoutMs: 5_000,
  backlog: 4096,
  proxyProtocol: '',
  trustProxy: '',
  exemptAddresses: '127.0.0.0/8,::1',
});

/** Limits that a running gateway can change. The others are set once per client or listener. */
const RELOADABLE = [
  'heartbeatIntervalMs',
  'frameTimeoutMs',
  'maxConnections',
  'maxOutboundBytes',
  'slowTimeoutMs',
  'maxConnectionsPerAddress',
  'connectsPerSecond',
  'loginFailuresPerMinute',
  'framesPerSecond',
  'bytesPerSecond',
  'exemptAddresses',
] as const satisfies readonly (keyof GatewayLimits)[];

/** Returns the limits of a running gateway with the reloadable ones replaced. */
export function reloadedLimits(running: GatewayLimits, wanted: GatewayLimits): GatewayLimits {
  return { ...running, ...Object.fromEntries(RELOADABLE.map((key) => [key, wanted[key]])) };
}

/** Returns the limits of one of several workers: an even share of the gateway's, rounded up. */
export function shareOf(limits: GatewayLimits, workers: number): GatewayLimits {
  const share = (whole: number) => Math.ceil(whole / workers);
  return {
    ...limits,
    maxConnections: share(limits.maxConnections),
    maxConnectionsPerAddress: share(limits.maxConnectionsPerAddress),
    connectsPerSecond: share(limits.connectsPerSecond),
    loginFailuresPerMinute: share(limits.loginFailuresPerMinute),
  };
}

/** Bytes that may be queued for all slow readers of a worker: a thousand of them at the default bound. */
export const MAX_SLOW_CONSUMER_BYTES = 256 * 1024 * 1024;
/** Share of the outbound bound above which ephemeral frames are dropped and below which a slow reader has caught up. */
export const EPHEMERAL_QUEUE_SHARE = 0.25;
/** Burst of an account as a share of its rate per second: what a client has in flight, and no more. */
export const SEND_BURST_SHARE = 1 / 4;
/** Logins per second that use up an account's send budget: a login loop has to wait. */
export const LOGINS_PER_SECOND = 50;
/** The same for TYPING, which goes to all members of a conversation. A client sends it every 3 s. */
export const TYPING_PER_SECOND = 20;
/** Burst of an address's connects, in seconds of its rate: many clients reconnect together. */
export const CONNECT_BURST_SECONDS = 10;
/** Burst of an address's failed logins, in minutes of its rate. */
export const LOGIN_BURST_MINUTES = 1;
/** Most addresses without a connection whose rates are kept; about 300 bytes each. */
export const MAX_IDLE_ORIGINS = 16_384;
/** Refused sockets per second that are told why; the others are reset. */
export const REFUSALS_EXPLAINED_PER_SECOND = 100;

/** Memory for the unfinished frames of all connections of a worker: eight times the largest frame, bytes. */
export const MAX_PARTIAL_BYTES = 32 * 1024 * 1024;

/** Largest frame length before WELCOME: a HELLO is small, so an unauthenticated client cannot make us buffer much. */
export const MAX_HELLO_BYTES = 4096;
/** A client may ask for a heartbeat interval between 1 / this and this times the gateway's. */
export const HEARTBEAT_STRETCH = 4;
/** Intervals are shortened by up to this share at random, so that clients that connect together do not ping together. */
export const HEARTBEAT_JITTER = 0.1;
/** Heartbeat intervals of silence after which the peer counts as gone. */
export const HEARTBEAT_GRACE = 2.5;
/** Largest difference between the clocks of servers: a token lives this much longer than it says. */
export const CLOCK_SKEW_MS = 5_000;
/** Deadline of the token check and the session claim together, and of joining the room. */
export const LOGIN_TIMEOUT_MS = 10_000;
/** How long WELCOME waits for a state node that does not answer ATTACH. */
export const ATTACH_TIMEOUT_MS = 200;
/**
 * How long a state node that was asked for a session may send nothing at all before its users go to another one. Longer
 * than the stall for which a state node ends its streams: else it would grant the session late and end a newer one.
 */
export const SILENCE_MS = 2_500;
/** How long a connection may take to end after CLOSE before it is reset. */
export const CLOSE_LINGER_MS = 2_000;
/**
 * Longest wait of a starting worker for keys and a state node. After it the worker accepts clients and refuses them
 * with the cause.
 */
export const SETTLE_MS = 2_000;
/** Time for the clients of a surplus worker to move to the others. */
export const RESIZE_DRAIN_MS = 10_000;
/** Time for clients to read CLOSE when the gateway stops at once. */
export const STOP_GRACE_MS = 500;
/** Connections over the limit that may linger at once to be told why; beyond it they are cut without a CLOSE. */
export const MAX_REFUSED = 1024;
/** RESYNC to all connections is spread over this time, so that their syncs do not come at once. */
export const RESYNC_SPREAD_MS = 1_000;
/** Delay of RESYNC after state could not take a message. */
export const RESYNC_HOLD_MS = 250;
/** Resolution of the deadlines. */
export const WHEEL_TICK_MS = 100;
export const WHEEL_SLOTS = 1024;
/** Most worker threads: 8 bits of the connection id. */
export const MAX_WORKERS = 256;
/** Most gateway numbers: 10 bits of the connection id. */
export const MAX_GATEWAY = 1023;

/** WATCHes of a connection per second, and in a burst; beyond: RATE_LIMITED. */
export const WATCHES_PER_SECOND = 5;
export const WATCH_BURST = 20;
