/** What changes between the statements of one call. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { scratchSqlite, World } from '../contract/scratch.contract.ts';
import type { SqlSession } from '../sql.ts';
import { SqliteConnection } from '../sqlite/connection.ts';
import { conversationsOf } from './conversations.ts';

test('a list: an edit that comes after its reader has left, while it is read, is not in it; a retraction is', async () => {
  await using scratch = await scratchSqlite();
  const world = await World.open(scratch);
  const [ann, bob] = [await world.user(), await world.user()];
  const rooms = [await world.room(ann, bob), await world.room(ann, bob)] as const;
  const [edited, retracted] = rooms;
  for (const room of rooms) await world.append([world.draft(room, ann, { text: 'before' })]);
  const connection = new SqliteConnection(new DatabaseSync(scratch.path, { readBigInts: true }));
  const leaving: SqlSession['query'] = async <Row extends object>(
    statement: Parameters<SqlSession['query']>[0],
  ) => {
    const rows = await connection.query<Row>(statement);
    if ((await world.store.conversationsOf(bob, '', '', 9)).items.length === 0) return rows;
    for (const room of rooms) await world.leaveRoom(room, bob);
    await world.append([
      world.entry(edited, ann, { kind: 'edit', target: 1, text: 'after' }),
      world.entry(retracted, ann, { kind: 'retract', target: 1 }),
    ]);
    return rows;
  };
  const page = { after: '', limit: 9 };
  const { items } = await conversationsOf({ dialect: connection.dialect, query: leaving }, bob, '', page);
  const lastOf = (room: bigint) => items.find(({ id }) => id === room)?.lastMessage;
  expect(lastOf(edited)).toMatchObject({ text: 'before' });
  expect(lastOf(retracted)).toMatchObject({ text: '', extra: { retraction: { by: ann } } });
  await world.store.close();
});
