/** Brings a PostgreSQL database to this release's schema; safe from several nodes at once. */
import type { Logger } from '../../common/mod.ts';
import { type AppliedMigration, planMigrations, readMigrations } from './migrations.ts';
import type { Sql } from './postgres-pool.ts';

/** Key of the advisory lock that migrating nodes take in turn: "gochat" in ASCII. */
const LOCK_KEY = 0x67_6f_63_68_61_74;

/** Applies what is missing, each migration in a transaction of its own; returns why it must not, or undefined. */
export async function migratePostgres(sql: Sql, logger: Logger): Promise<string | undefined> {
  const known = readMigrations('postgres');
  // Looks before it locks: a role that may not change the schema can still serve an up-to-date database.
  const [table] = await sql<
    { found: boolean }[]
  >`select to_regclass('gochat_migrations') is not null as found`;
  if (table?.found) {
    const { pending, problem } = planMigrations(known, await readApplied(sql));
    if (problem !== undefined || pending.length === 0) return problem;
  }
  for (;;) {
    const step = await sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${LOCK_KEY})`;
      await tx`
        create table if not exists gochat_migrations (
          version    integer primary key,
          name       text not null,
          checksum   text not null,
          applied_at timestamptz not null default now()
        )`;
      const { pending, problem } = planMigrations(known, await readApplied(tx));
      const next = pending[0];
      if (!next) return { done: true, problem };
      await tx.unsafe(next.sql).simple();
      await tx`
        insert into gochat_migrations (version, name, checksum)
        values (${next.version}, ${next.name}, ${next.checksum})`;
      logger.info({ version: next.version, migration: next.name }, 'applied a migration of the store');
      return { done: false, problem };
    });
    if (step.done) return step.problem;
  }
}

async function readApplied(sql: Pick<Sql, 'unsafe'>): Promise<AppliedMigration[]> {
  return sql.unsafe<AppliedMigration[]>(
    'select version, name, checksum from gochat_migrations order by version',
  );
}
