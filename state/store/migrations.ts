/** Numbered SQL migrations: read from migrations/ENGINE and checked against those recorded in the database. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

const FILE = /^(\d{4})_([a-z0-9_]+)\.sql$/;

export type Engine = 'postgres' | 'sqlite';

export interface Migration {
  readonly version: number;
  readonly name: string;
  /** SHA-256 of the text, hex. */
  readonly checksum: string;
  readonly sql: string;
}

/** A migration recorded in the database. */
export type AppliedMigration = Pick<Migration, 'version' | 'name' | 'checksum'>;

export interface MigrationPlan {
  /** Pending migrations, in order. */
  readonly pending: readonly Migration[];
  /** Why this release must not use the database; undefined if it may. */
  readonly problem: string | undefined;
}

/** Reads the migrations of an engine, ascending. */
export function readMigrations(engine: Engine): Migration[] {
  // Beside this file, both in the source tree and in dist/.
  const folder = new URL(`./migrations/${engine}/`, import.meta.url);
  let last = 0;
  return readdirSync(folder)
    .sort()
    .map((file) => {
      const [, digits, name] = FILE.exec(file) ?? [];
      const version = Number(digits);
      if (name === undefined || version <= last)
        throw new Error(`migrations/${engine}/${file}: not a migration with a number of its own`);
      last = version;
      // CRLF line ends of a checkout do not change a migration.
      const sql = readFileSync(new URL(file, folder), 'utf8').replaceAll('\r\n', '\n');
      return { version, name, checksum: createHash('sha256').update(sql).digest('hex'), sql };
    });
}

/** Compares the code's migrations with the recorded ones; both ascend by version. */
export function planMigrations(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
): MigrationPlan {
  const refuse = (problem: string): MigrationPlan => ({ pending: [], problem });
  for (const [index, { version, name, checksum }] of applied.entries()) {
    const mine = known[index];
    const label = `${String(version).padStart(4, '0')}_${name}`;
    if (mine === undefined)
      return refuse(
        `the database is newer, it has ${label} and this release ends at ${known.at(-1)?.version ?? 0}`,
      );
    if (mine.version !== version || mine.name !== name)
      return refuse(`the database has migration ${label} where this release has ${mine.name}`);
    if (mine.checksum !== checksum)
      return refuse(`migration ${label} was applied with another text (checksum ${checksum.slice(0, 12)}…)`);
  }
  return { pending: known.slice(applied.length), problem: undefined };
}
