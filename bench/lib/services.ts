/** etcd, Redis and PostgreSQL of the bench's own, through scripts/start-services.sh on free ports. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { parse } from 'yaml';
import { z } from 'zod';
import { ROOT, run } from './child.ts';
import { freePorts } from './ports.ts';
import type { Tracked } from './usage.ts';

const START = join(ROOT, 'scripts/start-services.sh');
/** Write-ahead log that PostgreSQL writes before anything is measured. */
const USED_LOG_MIB = 2048;
const LOG_RECORD_MIB = 32;
const configSchema = z.object({ registry: z.string(), hot: z.string(), store: z.string() });

export interface Services extends AsyncDisposable {
  readonly registry: string;
  readonly hot: string;
  readonly store: string;
  /** URL of PostgreSQL's superuser, for databases besides GoChat's. */
  readonly superuser: string;
  readonly etcd: Tracked;
  readonly redis: Tracked;
  readonly postgres: Tracked;
  /** Makes PostgreSQL finish background work on what was written so far, so that it does not fall into the next measurement. */
  settle(): Promise<void>;
}

/**
 * Starts them in the folder; disposing stops them and leaves their data to the folder's owner.
 *
 * PostgreSQL is brought to where one is that has run for a while: it writes its log into segments that it used before.
 * A new one makes a segment of 16 MiB every second or so under load, fills it with zeros and syncs it, and all commits
 * wait for that.
 */
export async function startServices(folder: string): Promise<Services> {
  const [etcd, etcdPeer, redis, postgres] = await freePorts(4);
  const stop = async () => {
    await run(START, ['--dir', folder, '--stop']);
  };
  let superuser: string;
  try {
    await run(START, [
      '--dir',
      folder,
      '--engine',
      'local',
      '--etcd-port',
      String(etcd),
      '--etcd-peer-port',
      String(etcdPeer),
      '--redis-port',
      String(redis),
      '--postgres-port',
      String(postgres),
    ]);
    const password = readFileSync(join(folder, 'postgres.superuser.password'), 'utf8').trim();
    superuser = `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${postgres}/postgres`;
    await useLog(superuser);
  } catch (error) {
    await stop();
    throw error;
  }
  const config = configSchema.parse(parse(readFileSync(join(folder, 'gochat.yaml'), 'utf8')));
  const tracked = (name: string): Tracked => ({
    name,
    pid: Number(readFileSync(join(folder, `${name}.pid`), 'utf8')),
  });
  return {
    ...config,
    superuser,
    etcd: tracked('etcd'),
    redis: tracked('redis'),
    postgres: tracked('postgres'),
    settle: () => settle(superuser),
    [Symbol.asyncDispose]: stop,
  };
}

/** Fills the write-ahead log, so that its segments are kept and reused. */
async function useLog(superuser: string): Promise<void> {
  const client = new pg.Client({ connectionString: superuser });
  await client.connect();
  try {
    await client.query(`alter system set min_wal_size = '${USED_LOG_MIB}MB'`);
    await client.query(`alter system set max_wal_size = '${USED_LOG_MIB * 2}MB'`);
    await client.query('select pg_reload_conf()');
    for (let written = 0; written < USED_LOG_MIB; written += LOG_RECORD_MIB)
      await client.query(
        `select pg_logical_emit_message(false, 'bench', repeat('x', ${LOG_RECORD_MIB} << 20))`,
      );
    await client.query('checkpoint');
  } finally {
    await client.end();
  }
}

/** Vacuums each database, as autovacuum would within the next minute, and writes all dirty pages. */
async function settle(superuser: string): Promise<void> {
  const query = async (database: string, sql: string) => {
    const client = new pg.Client({ connectionString: new URL(`/${database}`, superuser).href });
    await client.connect();
    try {
      return (await client.query<{ datname: string }>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  const databases = await query('postgres', 'select datname from pg_database where not datistemplate');
  for (const { datname } of databases) await query(datname, 'vacuum');
  await query('postgres', 'checkpoint');
}

/** Statements that a database has executed so far: here each is a transaction of its own. */
export async function statementsOf(storeUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: storeUrl });
  await client.connect();
  try {
    // Statistics of a connection arrive up to a second later.
    await setTimeout(1100);
    const { rows } = await client.query<{ commits: string }>(
      'select xact_commit as commits from pg_stat_database where datname = current_database()',
    );
    return Number(rows[0]?.commits);
  } finally {
    await client.end();
  }
}
