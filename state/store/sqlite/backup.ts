/** Online backup and restore of the SQLite store. */
import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { GochatError } from '../../../common/mod.ts';
import { type AppliedMigration, planMigrations, readMigrations } from '../migrations.ts';

/** All pages in one step: a copy in several steps restarts when there are writes; a single step has one snapshot. */
const ALL_PAGES = 0x7fff_ffff;
const BUSY_MS = 10_000;

/**
 * Copies the store's file to a new one, readable by its owner only, as of one moment, while the store is in use.
 *
 * @throws GochatError BACKUP_FAILED, also if the file exists
 */
export async function backupSqlite(path: string, file: string): Promise<void> {
  await attempt(file, async () => {
    closeSync(openSync(file, 'wx', 0o600));
    try {
      await copy(path, file);
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    }
  });
}

/**
 * Replaces the contents of the store's file with a copy, in one transaction. Open stores see it at once; their caches
 * become invalid.
 *
 * @throws GochatError BACKUP_FAILED if the file is not a copy of a store of this release or an earlier one, or is
 *   damaged
 */
export async function restoreSqlite(path: string, file: string): Promise<void> {
  await attempt(file, async () => {
    check(file);
    await copy(file, path);
  });
}

async function copy(from: string, to: string): Promise<void> {
  const source = new DatabaseSync(from, { readOnly: true, timeout: BUSY_MS });
  try {
    await backup(source, to, { rate: ALL_PAGES });
  } finally {
    source.close();
  }
}

function check(file: string): void {
  if (!existsSync(file)) throw new Error('there is no such file');
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const applied = database
      .prepare('select version, name, checksum from gochat_migrations order by version')
      .all() as unknown as AppliedMigration[];
    const { problem } = planMigrations(readMigrations('sqlite'), applied);
    if (problem !== undefined) throw new Error(problem);
    const result = database.prepare('pragma quick_check(1)').get()?.['quick_check'];
    if (result !== 'ok') throw new Error(String(result));
  } finally {
    database.close();
  }
}

async function attempt(file: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GochatError('BACKUP_FAILED', { details: { file, reason }, cause });
  }
}
