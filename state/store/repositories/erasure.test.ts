/** What changes between the statements of one call. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { scratchSqlite, World } from '../contract/scratch.contract.ts';
import type { SqlDatabase, SqlSession } from '../sql.ts';
import { SqliteConnection } from '../sqlite/connection.ts';
import { erase } from './erasure.ts';

/** A database in which `come` runs once, after the first step of an erasure has found nothing. */
function interrupted(connection: SqliteConnection, come: () => Promise<unknown>): SqlDatabase {
  let isFirst = true;
  const { dialect } = connection;
  return {
    dialect,
    query: (statement) => connection.query(statement),
    transaction: async <T>(work: (session: SqlSession) => Promise<T>) => {
      const done = await connection.transaction(work);
      if (isFirst) await come();
      isFirst = false;
      return done;
    },
  };
}

test.each([
  [
    'its room is deleted',
    (world: World, room: ConversationId, owner: UserId) => world.deleteRoom(room, owner),
  ],
  ['the floor rises over it', (world: World, room: ConversationId) => world.store.raiseFloor(room, 99)],
] as const)('a range that comes while erasing has begun, before %s: leaves its evidence', async (_, sink) => {
  await using scratch = await scratchSqlite();
  const world = await World.open(scratch);
  const [ann, bob] = [await world.user(), await world.user()];
  const room = await world.room(ann, bob);
  await world.append([world.draft(room, bob, { text: 'spam' })]);
  const connection = new SqliteConnection(new DatabaseSync(scratch.path, { readBigInts: true }));
  const db = interrupted(connection, async () => {
    await world.append([
      world.entry(room, ann, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 1 } }),
    ]);
    await sink(world, room, ann);
  });
  for (let calls = 0; await erase(db, 10, 0); calls++) expect(calls).toBeLessThan(10);
  expect(await world.store.evidenceOf(room, 0)).toMatchObject([{ seq: 1, texts: ['spam'] }]);
  await world.store.close();
});
