/** Opens the hot state that a URL names. */
import type { RedisOptions } from 'ioredis';
import { GochatError, type Logger } from '../../common/mod.ts';
import { HotMemory } from './hot-memory.ts';
import { HotRedis } from './hot-redis.ts';
import type { HotState } from './hot-state.ts';

export interface HotStateOptions {
  readonly logger: Logger;
  /** How long a call to Redis may take before it is rejected, ms. @default 1000 ms */
  readonly timeoutMs?: number;
}

const DEFAULT_REDIS_PORT = 6379;

/**
 * Opens `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, the same with `rediss://` for TLS, or `memory://`.
 *
 * Rejects with HOT_UNREACHABLE when Redis does not take the connection, CONFIG_INVALID when the URL is wrong.
 */
export async function openHotState(url: string, options: HotStateOptions): Promise<HotState> {
  if (url === 'memory://') return new HotMemory();
  const connection = parseRedisUrl(url);
  try {
    return await HotRedis.connect(connection, options);
  } catch (error) {
    throw new GochatError('HOT_UNREACHABLE', {
      details: { url: redact(url), reason: error instanceof Error ? error.message : String(error) },
      cause: error,
    });
  }
}

function parseRedisUrl(text: string): RedisOptions {
  if (!/^rediss?:\/\//.test(text))
    throw invalid(text, 'it begins with none of redis://, rediss://, memory://');
  if (!URL.canParse(text)) throw invalid(text, 'it is not a URL');
  const url = new URL(text);
  if (url.hostname === '') throw invalid(text, 'it names no host');
  if (url.search !== '' || url.hash !== '') throw invalid(text, 'nothing may come after the database number');
  const database = url.pathname.replace(/^\//, '');
  if (!/^\d{0,5}$/.test(database)) throw invalid(text, 'its path is not the number of a database');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? DEFAULT_REDIS_PORT : Number(url.port),
    db: Number(database),
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' && { tls: {} }),
  };
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
