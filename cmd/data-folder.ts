/** The data folder of `gochat up`: made where missing, and used by one process at a time. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { GochatError } from '../common/mod.ts';

/** The lock is on a file of its own, so that the store stays open to backups and tools. */
const LOCK_FILE = 'up.lock';
/** Says who holds the lock. Only information: a file that a killed process leaves behind locks nothing. */
const HOLDER_FILE = 'up.json';
/** A process that has just been killed holds its locks until its last thread has ended. */
const PATIENCE_MS = 1000;
const SQLITE_BUSY = 5;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When it took the folder, ISO 8601. */
  readonly since: string;
}

/**
 * Makes the folder where it is missing and takes it for this process, until it is released or the process ends.
 *
 * The lock is SQLite's on an empty database: the system takes it back however the process ends, kill -9 included.
 * Every file in the folder is its owner's alone; the database server of scripts/start-services.sh, another user, passes
 * through.
 *
 * @returns what releases the folder
 * @throws GochatError DATA_IN_USE where another process has it, CONFIG_INVALID where it cannot be written
 */
export function takeDataFolder(folder: string): () => void {
  let lock: DatabaseSync | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    const file = join(folder, LOCK_FILE);
    closeSync(openSync(file, 'a', 0o600));
    lock = new DatabaseSync(file, { timeout: PATIENCE_MS });
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
    // It has only just got the lock.
    return 'Another gochat up';
  }
}
