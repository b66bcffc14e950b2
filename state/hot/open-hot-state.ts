/** Opens the hot state that a URL names. */
import { GochatError, type Logger } from '../../common/mod.ts';
import { HotMemory } from './hot-memory.ts';
import { HotRedis } from './hot-redis.ts';
import type { RedisAddress } from './hot-redis-client.ts';
import type { HotState } from './hot-state.ts';

export interface HotStateOptions {
  readonly logger: Logger;
  /** How long a call to Redis may take before it is rejected, ms. @default 1000 ms */
  readonly timeoutMs?: number;
}

const DEFAULT_REDIS_PORT = 6379;

/**
 * Opens `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, the same with `rediss://` for TLS, or `memory://`.
 * With `?cluster=true` the address is that of any node of a Redis Cluster.
 *
 * Rejects with HOT_UNREACHABLE when Redis does not take the connection, CONFIG_INVALID when the URL is wrong.
 */
export async function openHotState(url: string, options: HotStateOptions): Promise<HotState> {
  if (url === 'memory://') return new HotMemory();
  const address = parseRedisUrl(url);
  try {
    return await HotRedis.connect(address, options);
  } catch (error) {
    throw new GochatError('HOT_UNREACHABLE', {
      details: { url: redact(url), reason: reasonOf(error) },
      cause: error,
    });
  }
}

function parseRedisUrl(text: string): RedisAddress {
  if (!/^rediss?:\/\//.test(text))
    throw invalid(text, 'it begins with none of redis://, rediss://, memory://');
  if (!URL.canParse(text)) throw invalid(text, 'it is not a URL');
  const url = new URL(text);
  if (url.hostname === '') throw invalid(text, 'it names no host');
  if (!['', '?cluster=true', '?cluster=false'].includes(url.search) || url.hash !== '')
    throw invalid(text, 'only ?cluster=true may come after the database number');
  const cluster = url.search === '?cluster=true';
  const database = url.pathname.replace(/^\//, '');
  if (!/^\d{0,5}$/.test(database)) throw invalid(text, 'its path is not the number of a database');
  if (cluster && Number(database) !== 0) throw invalid(text, 'a Redis Cluster has only database 0');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? DEFAULT_REDIS_PORT : Number(url.port),
    db: Number(database),
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
    tls: url.protocol === 'rediss:',
    cluster,
  };
}

/** A Cluster's error says only that every node failed; why is on the last node's. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const last = 'lastNodeError' in error ? error.lastNodeError : undefined;
  return last instanceof Error ? last.message : error.message;
}

function invalid(url: string, reason: string): GochatError {
  return new GochatError('CONFIG_INVALID', {
    details: { what: `Hot-state URL ${redact(url)}: ${reason}.` },
  });
}

/** Returns the URL without its password. */
function redact(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@]*@/, '$1:***@');
}
