/** The connection of HotRedis: to one Redis, or to a Redis Cluster. */
import { Cluster, Redis } from 'ioredis';
import { Backoff } from '../../common/mod.ts';
import { type HotRedisScripts, scriptsOn } from './hot-redis-scripts.ts';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls: boolean;
  /** Number of the database; a Cluster has only 0. */
  readonly db: number;
  /** The address is that of any node of a Redis Cluster. */
  readonly cluster: boolean;
}

/** What HotRedis uses of a client. */
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
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

export const CONNECT_TIMEOUT_MS = 5000;
const RECONNECT = { baseMs: 50, maxMs: 2000 };
/** A connection on which calls wait and nothing comes for this many timeouts is dead. */
const DEAD_AFTER_TIMEOUTS = 3;
const MAX_CLUSTER_REDIRECTIONS = 5;

/** Makes a client that is not connected yet, and then connects again by itself whenever it loses the connection. */
export function createRedisClient(address: RedisAddress, timeoutMs: number): HotRedisClient {
  const backoff = new Backoff(RECONNECT);
  const { host, port, db, tls, cluster, ...login } = address;
  // A caller is told at once and decides itself: nothing waits here for Redis to come back.
  const atOnce = { enableOfflineQueue: false, lazyConnect: true };
  const retryStrategy = () => backoff.next();
  const node = {
    ...login,
    ...(tls && { tls: {} }),
    connectionName: 'gochat',
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: timeoutMs,
    socketTimeout: timeoutMs * DEAD_AFTER_TIMEOUTS,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
  const client = cluster
    ? new Cluster([{ host, port }], {
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
        host,
        port,
        db,
        retryStrategy,
        // A fail-over may leave us with what is now a replica.
        reconnectOnError: (error) => error.message.startsWith('READONLY'),
      });
  client.on('ready', () => backoff.reset());
  return Object.assign(client, scriptsOn(client));
}
