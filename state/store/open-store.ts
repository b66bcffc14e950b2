/** Opens the store that a URL names: prepares its schema, then hands it out. */
import { GochatError, type Logger } from '../../common/mod.ts';
import { CheckedStore } from './checked-store.ts';
import { migratePostgres } from './migrate-postgres.ts';
import { reasonOf } from './postgres-errors.ts';
import { PostgresPool } from './postgres-pool.ts';
import { sql } from './postgres-sql.ts';
import type { DurableStore } from './store.ts';
import { PostgresStore } from './store-postgres.ts';
import { SqliteStore } from './store-sqlite.ts';

export interface StoreOptions {
  readonly logger: Logger;
  /** How long one call may take before it is rejected, ms. @default 10_000 ms */
  readonly timeoutMs?: number;
}

/**
 * Opens `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, `sqlite:///ABSOLUTE/PATH` or `sqlite://./RELATIVE/PATH`.
 *
 * Applies missing migrations first; any number of nodes may open one database at once. Rejects with STORE_UNREACHABLE
 * when the database cannot be used, STORE_SCHEMA when another release made it, CONFIG_INVALID when the URL is wrong.
 */
export async function openStore(url: string, options: StoreOptions): Promise<DurableStore> {
  const settings = { logger: options.logger, timeoutMs: options.timeoutMs ?? 10_000 };
  if (/^postgres(ql)?:\/\//.test(url)) return new CheckedStore(await openPostgres(url, settings));
  if (url.startsWith('sqlite://')) return new CheckedStore(await SqliteStore.open(sqlitePath(url), settings));
  throw invalid(url, 'it begins neither with postgres:// nor with sqlite://');
}

async function openPostgres(url: string, options: Required<StoreOptions>): Promise<PostgresStore> {
  if (!URL.canParse(url)) throw invalid(url, 'it is not a URL');
  const { logger } = options;
  let problem: string | undefined;
  const pool = new PostgresPool(url, { ...options, max: 1 });
  try {
    const [server] = await pool.query<{ encoding: string; fsync: string }>(sql`
      select current_setting('server_encoding') as encoding, current_setting('fsync') as fsync`);
    if (server?.fsync === 'off')
      logger.warn('PostgreSQL runs with fsync off: a crash can lose acked messages');
    if (server?.encoding !== 'UTF8') throw new Error(`its encoding is ${server?.encoding}, it must be UTF8`);
    problem = await migratePostgres(pool, logger);
  } catch (error) {
    throw new GochatError('STORE_UNREACHABLE', {
      details: { url: redact(url), reason: reasonOf(error) },
      cause: error,
    });
  } finally {
    await pool.close();
  }
  if (problem !== undefined)
    throw new GochatError('STORE_SCHEMA', { details: { url: redact(url), reason: problem } });
  return new PostgresStore(url, options);
}

function sqlitePath(url: string): string {
  let path: string;
  try {
    path = decodeURIComponent(url.slice('sqlite://'.length));
  } catch (cause) {
    throw invalid(url, 'it is not a URL', cause);
  }
  if (path === '' || path.endsWith('/')) throw invalid(url, 'it names no file');
  return path;
}

function invalid(url: string, why: string, cause?: unknown): GochatError {
  return new GochatError('CONFIG_INVALID', { details: { what: `Store URL ${redact(url)}: ${why}.` }, cause });
}

/** Returns the URL without its password. */
function redact(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@]*@/, '$1:***@');
}
