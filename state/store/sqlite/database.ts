/** Opens the SQLite file, brings it to this release's schema, and runs transactions on it; for the worker thread only. */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type AppliedMigration, planMigrations, readMigrations } from '../migrations.ts';

/** Page cache of a connection, KiB; SQLite's default of 2 MiB is small for a log. */
const CACHE_KIB = 16 * 1024;
const SQLITE_BUSY = 5;
/** TOOBIG, CONSTRAINT and MISMATCH. */
const CONTENT = new Set([18, 19, 20]);
const BUSY_PAUSE_MS = 10;

// Primary result codes that a repeat or an operator can mend: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT,
// FULL, CANTOPEN, PROTOCOL, NOTADB. https://www.sqlite.org/rescode.html
const UNAVAILABLE = new Set([5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 26]);

/** The file must not be opened: another release made it, or one with an edited migration. */
export class SchemaProblem extends Error {
  override readonly name = 'SchemaProblem';
}

/** Opens the file, making it and its folder where missing, readable by its owner only: it holds password hashes. */
export async function openDatabase(path: string, busyTimeoutMs: number): Promise<DatabaseSync> {
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'a', 0o600));
  return connect(path, busyTimeoutMs);
}

/** Opens a file that there is, or `:memory:`. */
export async function connect(path: string, busyTimeoutMs: number): Promise<DatabaseSync> {
  const database = new DatabaseSync(path, {
    timeout: busyTimeoutMs,
    readBigInts: true,
    enableForeignKeyConstraints: true,
    defensive: true,
  });
  try {
    useWriteAheadLog(database, performance.now() + busyTimeoutMs);
    database.exec(`pragma synchronous = full; pragma cache_size = -${CACHE_KIB}`);
    await migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/**
 * Turns on WAL, which commits with one fsync and lets the sqlite3 tool read meanwhile.
 *
 * Two that do it on a new file at once could wait for each other, so SQLite refuses one of them at once, whatever the
 * busy timeout is. https://www.sqlite.org/c3ref/busy_handler.html
 */
function useWriteAheadLog(database: DatabaseSync, deadline: number): void {
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      database.exec('pragma journal_mode = wal');
      return;
    } catch (error) {
      if (resultCode(error) !== SQLITE_BUSY || performance.now() >= deadline) throw error;
    }
    Atomics.wait(nothing, 0, 0, BUSY_PAUSE_MS);
  }
}

/** Runs `work` in a transaction that takes the write lock at once, so that it never fails half way for a lock. */
export async function transaction<T>(database: DatabaseSync, work: () => T | Promise<T>): Promise<T> {
  database.exec('begin immediate');
  try {
    const result = await work();
    database.exec('commit');
    return result;
  } catch (error) {
    // Some errors (a full disk) have rolled back already.
    if (database.isTransaction) database.exec('rollback');
    throw error;
  }
}

/** Runs `work`, which only reads, on one snapshot. */
export function snapshot<T>(database: DatabaseSync, work: () => T): T {
  database.exec('begin');
  try {
    return work();
  } finally {
    if (database.isTransaction) database.exec('commit');
  }
}

/** Returns whether the error is of the file or its disk, not of a statement. */
export function isUnavailable(error: unknown): boolean {
  const code = resultCode(error);
  if (code !== undefined) return UNAVAILABLE.has(code);
  return error instanceof Error && 'syscall' in error;
}

/** Returns whether SQLite rejects what a statement was to write, and would not reject something else. */
export function isOfContent(error: unknown): boolean {
  const code = resultCode(error);
  return code !== undefined && CONTENT.has(code);
}

/** Returns the primary result code of an error of SQLite. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode & 0xff;
}

async function migrate(database: DatabaseSync): Promise<void> {
  const known = readMigrations('sqlite');
  for (;;) {
    const done = await transaction(database, () => {
      database.exec(`
        create table if not exists gochat_migrations (
          version    integer primary key,
          name       text not null,
          checksum   text not null,
          applied_at text not null default current_timestamp
        ) strict`);
      const applied: AppliedMigration[] = database
        .prepare('select version, name, checksum from gochat_migrations order by version')
        .all()
        .map((row) => ({
          version: Number(row['version']),
          name: String(row['name']),
          checksum: String(row['checksum']),
        }));
      const { pending, problem } = planMigrations(known, applied);
      if (problem !== undefined) throw new SchemaProblem(problem);
      const next = pending[0];
      if (!next) return true;
      database.exec(next.sql);
      database
        .prepare('insert into gochat_migrations (version, name, checksum) values (?, ?, ?)')
        .run(next.version, next.name, next.checksum);
      return false;
    });
    if (done) return;
  }
}
