/** The Redis client of HotRedis: one Redis, the master named by Sentinels, or a Redis Cluster. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { Backoff } from '../../common/mod.ts';
import { type HotRedisScripts, scriptsOn } from './hot-redis-scripts.ts';

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  /** The server, any nodes of a Cluster, or Sentinels. */
  readonly hosts: readonly RedisHost[];
  readonly username?: string;
  readonly password?: string;
  readonly isTls: boolean;
  /** Number of the database; a Cluster has only 0. */
  readonly db: number;
  readonly isCluster: boolean;
  /** For Sentinels: the name of the master, and their own login. */
  readonly sentinel?: {
    readonly name: string;
    readonly username: string | null;
    readonly password: string | null;
  };
}

/** PEM texts. */
export interface RedisTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** The part of a client that HotRedis uses. */
export interface HotRedisClient extends HotRedisScripts {
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
  zrangebyscore(
    key: string,
    min: number,
    max: '+inf',
    limit: 'LIMIT',
    offset: number,
    count: number,
  ): Promise<string[]>;
  ping(): Promise<string>;
  connect(): Promise<void>;
  quit(): Promise<string>;
  disconnect(): void;
  on(event: 'ready' | 'close', listener: () => void): unknown;
  on(event: 'error' | 'sentinelError', listener: (error: Error) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

export const CONNECT_TIMEOUT_MS = 5000;
const RECONNECT = { baseMs: 50, maxMs: 2000 };
/** Timeouts without any answer after which a connection counts as dead. */
const DEAD_AFTER_TIMEOUTS = 3;
const MAX_CLUSTER_REDIRECTIONS = 5;

/** Makes a client that is not connected yet, and that reconnects by itself later. */
export function createRedisClient(
  address: RedisAddress,
  timeoutMs: number,
  tls: RedisTls = {},
): HotRedisClient {
  const backoff = new Backoff(RECONNECT);
  const { hosts, db, isTls, isCluster, sentinel, username, password } = address;
  // Calls fail at once without a connection; nothing is queued until Redis is back.
  const atOnce = { enableOfflineQueue: false, lazyConnect: true };
  const retryStrategy = () => backoff.next();
  const node = {
    username,
    password,
    ...(isTls && { tls: { ...tls } }),
    connectionName: 'gochat',
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: timeoutMs,
    socketTimeout: timeoutMs * DEAD_AFTER_TIMEOUTS,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
  const client = isCluster
    ? new Cluster([...hosts], {
        ...atOnce,
        redisOptions: node,
        slotsRefreshTimeout: timeoutMs,
        maxRedirections: MAX_CLUSTER_REDIRECTIONS,
        clusterRetryStrategy: retryStrategy,
        clusterNodeRetryStrategy: retryStrategy,
      })
    : new Redis({
        ...atOnce,
        ...node,
        ...(sentinel === undefined ? hosts[0] : sentinelOptions(sentinel, address, tls, retryStrategy)),
        db,
        retryStrategy,
        // Calls of one turn of the event loop are one write.
        enableAutoPipelining: true,
        // After a failover we may be connected to what is now a replica.
        reconnectOnError: (error) => error.message.startsWith('READONLY'),
      });
  client.on('ready', () => backoff.reset());
  return Object.assign(client, scriptsOn(client));
}

function sentinelOptions(
  { name, username, password }: NonNullable<RedisAddress['sentinel']>,
  { hosts, isTls }: RedisAddress,
  tls: RedisTls,
  retryStrategy: () => number,
): RedisOptions {
  return {
    name,
    sentinels: hosts.map((host) => ({ ...host })),
    ...(username !== null && { sentinelUsername: username }),
    ...(password !== null && { sentinelPassword: password }),
    ...(isTls && { sentinelTLS: { ...tls }, enableTLSForSentinelMode: true }),
    // Without it the client would give up for good if it finds no Sentinel.
    sentinelRetryStrategy: retryStrategy,
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
  };
}
