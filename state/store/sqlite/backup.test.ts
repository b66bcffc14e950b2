import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { scratchSqlite, World } from '../contract/scratch.contract.ts';
import { backupSqlite, restoreSqlite } from './backup.ts';

test('a copy made under load: has every message acknowledged by then, and any SQLite opens it', async () => {
  await using scratch = await scratchSqlite();
  const world = await World.open(scratch);
  const user = await world.user();
  const room = await world.room(user);
  await world.fill(room, user, 100);
  const file = join(scratch.folder, 'copy.db');
  const copying = new AbortController();
  const load = (async () => {
    while (!copying.signal.aborted) await world.fill(room, user, 5);
  })();
  await backupSqlite(scratch.path, file);
  copying.abort();
  await load;
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const copy = new DatabaseSync(file, { readOnly: true });
  const { n, last } = copy.prepare('select count(*) as n, max(seq) as last from messages').get() as {
    n: number;
    last: number;
  };
  copy.close();
  expect(n).toBeGreaterThanOrEqual(100);
  expect(last).toBe(n);
  await world.store.close();
});

test('restored while the store is open: has what the copy has, and goes on from there', async () => {
  await using scratch = await scratchSqlite();
  const world = await World.open(scratch);
  const user = await world.user();
  const room = await world.room(user);
  await world.fill(room, user, 3);
  const file = join(scratch.folder, 'copy.db');
  await backupSqlite(scratch.path, file);
  await world.fill(room, user, 4);
  await restoreSqlite(scratch.path, file);
  expect((await world.history(user, room, 0, 10))?.messages).toHaveLength(3);
  expect(await world.append([world.draft(room, user)])).toMatchObject([{ ok: true, seq: 4 }]);
  await world.store.close();
});

test('invalid files: BACKUP_FAILED, and nothing is changed', async () => {
  await using scratch = await scratchSqlite();
  const world = await World.open(scratch);
  const user = await world.user();
  const failed = expect.objectContaining({ code: 'BACKUP_FAILED' });
  const existing = join(scratch.folder, 'existing');
  writeFileSync(existing, 'mine');
  await expect(backupSqlite(scratch.path, existing)).rejects.toEqual(failed);
  expect(statSync(existing).size).toBe(4);
  await expect(restoreSqlite(scratch.path, existing)).rejects.toEqual(failed);
  await expect(restoreSqlite(scratch.path, join(scratch.folder, 'none'))).rejects.toEqual(failed);
  new DatabaseSync(join(scratch.folder, 'other.db')).close();
  await expect(restoreSqlite(scratch.path, join(scratch.folder, 'other.db'))).rejects.toEqual(failed);
  expect(await world.conversations(user, '')).toEqual([]);
  expect(await world.room(user)).toBeTypeOf('bigint');
  await world.store.close();
});
