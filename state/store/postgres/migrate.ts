/** Migration of a PostgreSQL database to this release's schema; safe from several nodes at once. */
import type { Logger } from '../../../common/mod.ts';
import { type AppliedMigration, planMigrations, readMigrations } from '../migrations.ts';
import type { PostgresSession } from './host-pool.ts';
import type { PostgresPool } from './pool.ts';
import { sql } from '../sql.ts';

/** Key of the advisory lock of migrations: "gochat" in ASCII. */
const LOCK_KEY = 0x67_6f_63_68_61_74;

/** Applies pending migrations, each in its own transaction. Returns why it must not, or undefined. */
export async function migratePostgres(pool: PostgresPool, logger: Logger): Promise<string | undefined> {
  const known = readMigrations('postgres');
  // Checks before it locks: a role that may not change the schema can still use an up-to-date database.
  const [table] = await pool.query<{ found: boolean }>(
    sql`select to_regclass('gochat_migrations') is not null as found`,
  );
  if (table?.found) {
    const { pending, problem } = planMigrations(known, await readApplied(pool));
    if (problem !== undefined || pending.length === 0) return problem;
  }
  for (;;) {
    const step = await pool.transaction(async (session) => {
      await session.query(sql`select pg_advisory_xact_lock(${LOCK_KEY})`);
      await session.script(`
        create table if not exists gochat_migrations (
          version    integer primary key,
          name       text not null,
          checksum   text not null,
          applied_at timestamptz not null default now()
        )`);
      const { pending, problem } = planMigrations(known, await readApplied(session));
      const next = pending[0];
      if (!next) return { done: true, problem };
      await session.script(next.sql);
      await session.query(sql`
        insert into gochat_migrations (version, name, checksum)
        values (${next.version}, ${next.name}, ${next.checksum})`);
      logger.info({ version: next.version, migration: next.name }, 'applied a migration of the store');
      return { done: false, problem };
    });
    if (step.done) return step.problem;
  }
}

async function readApplied(session: Pick<PostgresSession, 'query'>): Promise<AppliedMigration[]> {
  return session.query<AppliedMigration>(
    sql`select version, name, checksum from gochat_migrations order by version`,
  );
}
