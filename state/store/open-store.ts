/** Opens the store that a URL names, and migrates its schema. */
import { GochatError, type Logger } from '../../common/mod.ts';
import { closeInOrder } from './close-in-order.ts';
import { migratePostgres } from './postgres/migrate.ts';
import { reasonOf } from './postgres/errors.ts';
import { PostgresPool } from './postgres/pool.ts';
import { sql } from './sql.ts';
import { parsePostgresUrl, type PostgresFiles, type PostgresTarget } from './postgres/url.ts';
import type { DurableStore, StoreEngine } from './store.ts';
import { postgresStore, type PostgresStoreOptions } from './postgres/store-postgres.ts';
import { openSqlite } from './sqlite/store-sqlite.ts';

export interface StoreOptions {
  readonly logger: Logger;
  /** Deadline of a call, ms. @default 10_000 ms */
  readonly timeoutMs?: number;
  /** TLS of PostgreSQL. @default from its URL */
  readonly tls?: PostgresFiles | undefined;
  /** Most connections to PostgreSQL, besides those for appends. @default 8 */
  readonly connections?: number;
}

/**
 * Opens `postgres://USER:PASSWORD@HOST:PORT[,HOST:PORT…]/DATABASE` (see parsePostgresUrl), `sqlite:///ABSOLUTE/PATH` or
 * `sqlite://./RELATIVE/PATH`.
 *
 * Applies missing migrations first; any number of nodes may open one database at once. Rejects with STORE_UNREACHABLE
 * when the database cannot be used, STORE_SCHEMA when another release made it, CONFIG_INVALID when the URL is wrong.
 */
export async function openStore(url: string, options: StoreOptions): Promise<DurableStore> {
  const { logger, timeoutMs = 10_000, tls, connections = 8 } = options;
  const settings = { logger, timeoutMs, connections };
  if (/^postgres(ql)?:\/\//.test(url))
    return closeInOrder(await openPostgres(postgresTarget(url, tls), url, settings));
  if (url.startsWith('sqlite://')) return closeInOrder(await openSqlite(sqlitePath(url), settings));
  throw invalid(url, 'it begins neither with postgres:// nor with sqlite://');
}

/** Checks a URL without connecting. @throws GochatError CONFIG_INVALID */
export function checkStoreUrl(url: string, tls?: PostgresFiles): void {
  if (url.startsWith('sqlite://')) sqlitePath(url);
  else postgresTarget(url, tls);
}

async function openPostgres(
  target: PostgresTarget,
  url: string,
  options: PostgresStoreOptions,
): Promise<StoreEngine> {
  const { logger } = options;
  let problem: string | undefined;
  const pool = new PostgresPool(target, { ...options, max: 1 });
  try {
    await checkServer(pool, logger);
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
  return postgresStore(target, options);
}

/** Rejects if the server is unsuitable; warns if it may lose data. */
async function checkServer(pool: PostgresPool, logger: Logger): Promise<void> {
  // In a transaction, which a pooler in statement mode refuses.
  const [server] = await pool.transaction((session) =>
    session.query<{ encoding: string; fsync: string; full_pages: string }>(sql`
      select current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
             current_setting('full_page_writes') as full_pages`),
  );
  if (server?.encoding !== 'UTF8') throw new Error(`its encoding is ${server?.encoding}, it must be UTF8`);
  if (server.fsync === 'off')
    logger.warn(
      'PostgreSQL runs with fsync off: a crash can lose acknowledged messages, or the whole database',
    );
  if (server.full_pages === 'off')
    logger.warn('PostgreSQL runs with full_page_writes off: a crash can damage the database');
}

function postgresTarget(url: string, tls: PostgresFiles | undefined): PostgresTarget {
  try {
    return parsePostgresUrl(url, tls);
  } catch (cause) {
    throw invalid(url, (cause as Error).message, cause);
  }
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
  return url.replace(/(:\/\/[^:@/]*):[^/?#]*@/, '$1:***@');
}
