/** The data folder of `gochat up`: created if missing, and locked by one process at a time. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { GochatError } from '../common/mod.ts';

/** The lock has its own file, so that the store stays open to backups and tools. */
const LOCK_FILE = 'up.lock';
/** Names the holder of the lock, for people. The file of a killed process locks nothing. */
const HOLDER_FILE = 'up.json';
/** Wait for the lock: a process that was just killed holds its locks until its last thread has ended. */
const LOCK_TIMEOUT_MS = 1000;
const SQLITE_BUSY = 5;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Time of locking, ISO 8601. */
  readonly since: string;
}

/**
 * Creates the folder if it is missing and locks it for this process, until it is released or the process ends.
 *
 * The lock is SQLite's on an empty database: the system releases it however the process ends, kill -9 included. Every
 * file in the folder is readable by its owner only; the database server of scripts/start-services.sh, another user,
 * passes through.
 *
 * @returns a function that releases the folder
 * @throws GochatError DATA_IN_USE if another process has it, CONFIG_INVALID if it cannot be written
 */
export function takeDataFolder(folder: string): () => void {
  let lock: DatabaseSync | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    const file = join(folder, LOCK_FILE);
    closeSync(openSync(file, 'a', 0o600));
    lock = new DatabaseSync(file, { timeout: LOCK_TIMEOUT_MS });
    lock.exec('begin exclusive');
    const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
    writeFileSync(join(folder, HOLDER_FILE), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
    return () => lock?.close();
  } catch (cause) {
    lock?.close();
    if ((cause as { errcode?: number }).errcode === SQLITE_BUSY)
      throw new GochatError('DATA_IN_USE', { details: { folder, holder: holderOf(folder) }, cause });
    const what = `Cannot use the data folder ${folder}.`;
    throw new GochatError('CONFIG_INVALID', { details: { what }, cause });
  }
}

/** Names the process that has the folder. */
function holderOf(folder: string): string {
  try {
    const { pid, host, since } = JSON.parse(readFileSync(join(folder, HOLDER_FILE), 'utf8')) as Holder;
    return `The gochat up with pid ${pid} on ${host}, started ${since},`;
  } catch {
    // The other process has the lock, and has not written the file yet.
    return 'Another gochat up';
  }
}
