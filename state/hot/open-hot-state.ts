/** Opens the hot state that a URL names. */
import { GochatError, type Logger } from '../../common/mod.ts';
import { HotMemory } from './hot-memory.ts';
import type { RedisTls } from './hot-redis-client.ts';
import type { HotState } from './hot-state.ts';
import { parseRedisUrl, redactRedisUrl } from './redis-url.ts';

export interface HotStateOptions {
  readonly logger: Logger;
  /** Timeout of a call to Redis. @default 1000 ms */
  readonly timeoutMs?: number;
  /** TLS of rediss://. @default the authorities of Node.js, no client certificate */
  readonly tls?: RedisTls | undefined;
}

/**
 * Opens `memory://`, or a Redis by the URLs that parseRedisUrl() reads: one server, a Redis Cluster, or one behind
 * Sentinels.
 *
 * Rejects with HOT_UNREACHABLE when Redis does not take the connection, CONFIG_INVALID when the URL is wrong.
 */
export async function openHotState(url: string, options: HotStateOptions): Promise<HotState> {
  if (url === 'memory://') return new HotMemory();
  const address = parseRedisUrl(url);
  // Loaded on demand: gochat up does not need Redis.
  const { HotRedis } = await import('./hot-redis.ts');
  try {
    return await HotRedis.connect(address, options);
  } catch (error) {
    throw new GochatError('HOT_UNREACHABLE', {
      details: { url: redactRedisUrl(url), reason: reasonOf(error) },
      cause: error,
    });
  }
}

/** Validates a URL without connecting. @throws GochatError CONFIG_INVALID */
export function checkHotStateUrl(url: string): void {
  if (url !== 'memory://') parseRedisUrl(url);
}

/** Returns the cause of an error; a Cluster's says only that every node failed, and the last node's has the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const last = 'lastNodeError' in error ? error.lastNodeError : undefined;
  return (last instanceof Error ? last : error).message.replace(/\.$/, '');
}
