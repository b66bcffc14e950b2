/** The pool on a real PostgreSQL: when a statement leaves, and who waits for whom. */
import { execFileSync } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger as logger } from '../../../common/mod.ts';
import { PostgresPool } from './pool.ts';
import { sql } from '../sql.ts';
import { parsePostgresUrl } from './url.ts';
import { scratchPostgres } from '../contract/scratch.contract.ts';

async function open(max: number) {
  const scratch = await scratchPostgres();
  const pool = new PostgresPool(parsePostgresUrl(scratch.url), { max, timeoutMs: 10_000, logger });
  onTestFinished(async () => {
    await pool.close();
    await scratch[Symbol.asyncDispose]();
  });
  await pool.query(sql`create table notes (number bigint)`);
  return { url: scratch.url, pool };
}

/** Counts the notes without a turn of the event loop. */
function count(url: string): number {
  return Number(
    execFileSync('psql', ['-X', '-t', url, '-c', 'select count(*) from notes'], { encoding: 'utf8' }),
  );
}

test('a statement: is sent before its caller goes on', async () => {
  const { url, pool } = await open(2);
  const written = pool.query(sql`insert into notes values (${1})`);
  let seen = 0;
  for (let tries = 0; tries < 100 && seen === 0; tries++) seen = count(url);
  expect(seen).toBe(1);
  await written;
});

test('more calls at once than connections, again and again: each has its turn', async () => {
  const { url, pool } = await open(2);
  for (let round = 0; round < 5; round++) {
    const calls = Array.from({ length: 20 }, (_, i) => pool.query(sql`insert into notes values (${i})`));
    await Promise.all(calls);
  }
  expect(count(url)).toBe(100);
});

test('a call that fails: the connection is replaced, and the next call passes', async () => {
  const { pool } = await open(1);
  const pid = async () => (await pool.query<{ pid: number }>(sql`select pg_backend_pid() as pid`))[0]?.pid;
  const before = await pid();
  expect(await pid()).toBe(before);
  await expect(pool.query(sql`select 1 / 0`)).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(await pid()).not.toBe(before);
});
