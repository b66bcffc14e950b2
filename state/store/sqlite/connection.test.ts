/** The connection as the repositories use it: transactions of asynchronous work on a synchronous driver. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { sql } from '../sql.ts';
import { SqliteConnection } from './connection.ts';
import { Turns } from './turns.ts';

function open() {
  const connection = new SqliteConnection(new DatabaseSync(':memory:', { readBigInts: true }));
  connection.rows(sql`create table notes (number integer) strict`);
  return connection;
}

const numbers = (connection: SqliteConnection) =>
  connection.rows<{ number: bigint }>(sql`select number from notes`).map(({ number }) => number);

test('a transaction of many statements: ends before the event loop turns', async () => {
  const connection = open();
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await connection.transaction(async (session) => {
    for (let i = 0; i < 100; i++) await session.query(sql`insert into notes values (${i})`);
  });
  expect(turned).toBe(false);
  expect(numbers(connection)).toHaveLength(100);
});

test('work that rejects: is rolled back, and the next transaction passes', async () => {
  const connection = open();
  const failing = connection.transaction(async (session) => {
    await session.query(sql`insert into notes values (${1})`);
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  await connection.transaction((session) => session.query(sql`insert into notes values (${2})`));
  expect(numbers(connection)).toEqual([2n]);
});

test('values: a boolean is 1 or 0, and ids keep all bits', async () => {
  const connection = open();
  const id = 2n ** 63n - 1n;
  const rows = await connection.query(
    sql`select ${true} as yes, ${false} as no, cast(${id} as bigint) as id`,
  );
  expect(rows).toEqual([expect.objectContaining({ yes: 1n, no: 0n, id })]);
});

test('turns: work that waits, and work that rejects, ends before the next begins', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const work = (name: string, fails = false) =>
    turns.run(async () => {
      seen.push(`${name} begins`);
      await new Promise(setImmediate);
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
    });
  const all = await Promise.allSettled([work('a'), work('b', true), work('c')]);
  expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});
