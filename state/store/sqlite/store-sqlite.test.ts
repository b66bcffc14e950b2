/** Tests of faults specific to SQLite: kill -9, a full disk, locks, broken files. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { type ConversationId, silentLogger as logger, type UserId } from '../../../common/mod.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { type Message, openStore } from '../mod.ts';
import { RULES, scratchSqlite, World } from '../contract/scratch.contract.ts';
import { MEMBERS_A_TURN } from '../member-pieces.ts';
import type { MemberList } from '../store.ts';
import { SqliteClient } from './client.ts';
import { openDatabase } from './database.ts';
import { sqliteEngine } from './engine.ts';
import { cursorsToJson, foreignOf } from '../sync-page.ts';

const CHILD = new URL('../contract/append-until-killed.contract.ts', import.meta.url).pathname;
const hasSqlite3 = spawnSync('sqlite3', ['-version']).status === 0;
const unavailable = expect.objectContaining({ code: 'STORE_UNAVAILABLE' });

/** Returns a property of an object, a method with the object as its `this`. */
function bound(target: object, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key, target);
  return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
}

/** Makes a room with its only member and closes the store again. */
async function prepare(url: string): Promise<{ room: ConversationId; user: UserId }> {
  const world = new World(await openStore(url, { logger }));
  const user = await world.user();
  const room = await world.room(user);
  await world.store.close();
  return { room, user };
}

test('a message that the database rejects for its content: only that one is refused', async () => {
  await using scratch = await scratchSqlite();
  const world = await World.open(scratch);
  const user = await world.user();
  const room = await world.room(user);
  await scratch.execute(`
    create trigger picky before insert on messages when new.body = 'bad' begin select raise(abort, 'no'); end`);
  const texts = ['bad', 'a', 'bad', 'b'];
  expect(await world.append(texts.map((text) => world.draft(room, user, { text })))).toMatchObject([
    { ok: false, code: 'MESSAGE_UNSTORABLE' },
    { ok: true, seq: 1 },
    { ok: false, code: 'MESSAGE_UNSTORABLE' },
    { ok: true, seq: 2 },
  ]);
  await world.store.close();
});

describe('durability', () => {
  test('kill -9 in the middle of appends: every acknowledged message is there, in one sequence', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    const acked = new Map<number, string>();
    for (const acks of [150, 600, 350, 250]) {
      const child = spawn(process.execPath, [CHILD, scratch.url, String(room), String(user)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exit = once(child, 'exit');
      let left = acks;
      for await (const line of createInterface({ input: child.stdout })) {
        const [seq, id] = line.split(' ');
        acked.set(Number(seq), id ?? '');
        if (left-- === 0) child.kill('SIGKILL');
      }
      expect(await exit).toEqual([null, 'SIGKILL']);
    }
    expect(acked.size).toBeGreaterThan(400);

    await using store = await openStore(scratch.url, { logger });
    const reader = new World(store);
    const messages: Message[] = [];
    for (let more = true; more; ) {
      const page = await reader.history(user, room, messages[0]?.seq ?? 0, 1_000_000);
      messages.unshift(...(page?.messages ?? []));
      more = page?.more === true;
    }
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, index) => index + 1));
    const stored = new Map(messages.map(({ seq, id }) => [seq, String(id)]));
    for (const [seq, id] of acked) expect(stored.get(seq)).toBe(id);
    expect(await scratch.query('pragma integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });

  test('each commit is synced: WAL with synchronous = FULL', async () => {
    await using scratch = await scratchSqlite();
    const database = await openDatabase(scratch.path, 1000);
    expect(database.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.prepare('pragma synchronous').get()).toEqual({ synchronous: 2n });
    expect(database.prepare('pragma foreign_keys').get()).toEqual({ foreign_keys: 1n });
    database.close();
  });

  test('out of space: STORE_UNAVAILABLE, the process lives, and what was acknowledged is there', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    // A file may grow to 2 MiB; Node ignores SIGXFSZ, so the write fails as on a full disk.
    const child = spawn(
      'bash',
      ['-c', 'ulimit -f 2048; exec "$@"', 'bash', process.execPath, CHILD, scratch.url, `${room}`, `${user}`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exit = once(child, 'exit');
    let last = 0;
    let failure = '';
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('failed')) failure = line;
      else last = Number(line.split(' ')[0]);
    }
    expect(await exit).toEqual([0, null]);
    expect(last).toBeGreaterThan(100);
    expect(failure).toBe(`failed STORE_UNAVAILABLE newest ${last}`);

    const world = new World(await openStore(scratch.url, { logger }));
    expect(await world.append([world.draft(room, user)])).toMatchObject([{ ok: true, seq: last + 1 }]);
    await world.store.close();
  });
});

describe('reads and writes', () => {
  test('a sync with cursors of ten thousand conversations of others: a handful of statements', async () => {
    await using scratch = await scratchSqlite();
    const { user } = await prepare(scratch.url);
    const database = await openDatabase(scratch.path, 1000);
    const runs: string[] = [];
    const counted = new Proxy(database, {
      get: (target, key) => {
        if (key !== 'prepare') return bound(target, key);
        return (text: string) =>
          new Proxy(target.prepare(text), {
            get: (statement, method) => {
              if (method === 'all' || method === 'get' || method === 'iterate') runs.push(text);
              return bound(statement, method);
            },
          });
      },
    });
    const ids = Array.from({ length: 10_000 }, (_, at) => [BigInt(at + 1) as ConversationId, 1] as const);
    const given = { cursors: cursorsToJson(new Map(ids)), pushed: cursorsToJson() };
    const range = { after: 0n, until: 2n ** 63n - 1n, newest: 0 };
    const answer = await sqliteEngine(counted).sync({ user, device: '', limit: 200, ...range, ...given });
    expect(foreignOf(answer.foreign)).toHaveLength(10_000);
    expect(runs.length).toBeLessThan(5);
    database.close();
  });

  test('many calls at once, of one transaction each: none interferes with another', async () => {
    await using scratch = await scratchSqlite();
    const world = new World(await openStore(scratch.url, { logger }));
    const owner = await world.user();
    const guests = await Promise.all(Array.from({ length: 20 }, () => world.user()));
    const room = await world.room(owner);
    const changes = await Promise.all(
      guests.flatMap((guest) => [
        world.joinRoom(room, guest),
        world.append([world.draft(room, guest)]),
        world.leaveRoom(room, guest),
      ]),
    );
    expect(changes.slice(-2)).toMatchObject([[{ ok: true, seq: 59 }], { changed: true, seq: 60 }]);
    expect((await world.store.membersOf(room))?.members).toHaveLength(1);
    await world.store.close();
  });

  test('a slow read: a commit does not wait for it', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    const world = new World(await openStore(scratch.url, { logger, timeoutMs: 120_000 }));
    await world.fill(room, user, 2000);
    const isOvertaken = async () => {
      let left = 200;
      const reads = Array.from({ length: left }, () =>
        world.sync({ user, device: '', cursors: new Map(), limit: 1000 }).then(() => left--),
      );
      await world.append([world.draft(room, user)]);
      const overtaken = left > 0;
      await Promise.all(reads);
      return overtaken;
    };
    // On a machine whose disk is slower than all of the reads they may win for once; behind them it would never.
    await eventually('a commit before the end of reads that came first', isOvertaken);
    await world.store.close();
  });
});

describe('the file', () => {
  test('is made with its folder, readable by the owner only', async () => {
    await using scratch = await scratchSqlite();
    const path = join(scratch.folder, 'a', 'b c', 'chat.db');
    await using store = await openStore(`sqlite://${path.replace(' ', '%20')}`, { logger });
    await store.ping();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(`${path}-wal`)).mode & 0o777).toBe(0o600);
  });

  test('a relative URL is relative to the working directory', async () => {
    await using scratch = await scratchSqlite();
    await using store = await openStore(`sqlite://./${relative(process.cwd(), scratch.path)}`, { logger });
    await store.ping();
    expect((await stat(scratch.path)).size).toBeGreaterThan(0);
  });

  test.skipIf(!hasSqlite3)('can be read by the program sqlite3 while the store writes', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    const world = new World(await openStore(scratch.url, { logger }));
    const ask = async (sql: string) =>
      (await promisify(execFile)('sqlite3', ['-readonly', scratch.path, sql])).stdout.trim();
    await world.fill(room, user, 3);
    expect(await ask('select count(*), max(seq) from messages')).toBe('3|3');
    await world.fill(room, user, 2);
    expect(await ask('select count(*), max(seq) from messages')).toBe('5|5');
    expect(await ask('pragma integrity_check')).toBe('ok');
    await world.store.close();
  });

  test('can be read by another process (node:sqlite) while the store writes', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    const world = new World(await openStore(scratch.url, { logger }));
    await world.fill(room, user, 3);
    const other = new DatabaseSync(scratch.path, { readOnly: true });
    expect(other.prepare('select seq, body from messages').all()).toHaveLength(3);
    await world.fill(room, user, 2);
    expect(other.prepare('select count(*) as n from messages').get()).toEqual({ n: 5 });
    other.close();
    await world.store.close();
  });

  test('locked by another program: STORE_UNAVAILABLE, and works again without it', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    const world = await World.open(scratch);
    await using hasty = await eventually('a store', () => openStore(scratch.url, { logger, timeoutMs: 400 }));
    const other = new DatabaseSync(scratch.path);
    other.exec('begin immediate');
    const draft = world.draft(room, user);
    await expect(hasty.append([draft], RULES)).rejects.toEqual(unavailable);
    expect(await world.history(user, room, 0, 1)).toMatchObject({ messages: [], more: false });
    other.exec('rollback');
    other.close();
    expect(await eventually('it to be well again', () => hasty.append([draft], RULES))).toMatchObject([
      { ok: true, seq: 1 },
    ]);
    await world.store.close();
  });

  test.each([
    ['is no database', 'file is not a database', (path: string) => writeFile(path, 'hello '.repeat(2000))],
    ['is a folder', 'EISDIR', (path: string) => mkdir(path)],
  ])('%s: STORE_UNREACHABLE that says so', async (_, reason, make) => {
    await using scratch = await scratchSqlite();
    await make(scratch.path);
    await expect(openStore(scratch.url, { logger })).rejects.toEqual(
      expect.objectContaining({ code: 'STORE_UNREACHABLE', message: expect.stringContaining(reason) }),
    );
  });

  test('cannot be made: STORE_UNREACHABLE that names it', async () => {
    await using scratch = await scratchSqlite();
    await writeFile(join(scratch.folder, 'file'), '');
    await expect(openStore(`sqlite://${scratch.folder}/file/chat.db`, { logger })).rejects.toEqual(
      expect.objectContaining({
        code: 'STORE_UNREACHABLE',
        message: expect.stringMatching(/file\/chat\.db: (EEXIST|ENOTDIR)/),
      }),
    );
  });

  test('is corrupt inside: STORE_UNAVAILABLE for what cannot be read, the rest works', async () => {
    await using scratch = await scratchSqlite();
    const { room, user } = await prepare(scratch.url);
    const world = new World(await openStore(scratch.url, { logger }));
    await world.fill(room, user, 2000);
    await world.store.close();
    const [{ rootpage } = {}] = await scratch.query(
      "select rootpage from sqlite_schema where name = 'messages'",
    );
    const file = await open(scratch.path, 'r+');
    await file.write(Buffer.alloc(4096, 0xff), 0, 4096, (Number(rootpage) - 1) * 4096);
    await file.close();
    await using store = await openStore(scratch.url, { logger });
    await expect(new World(store).history(user, room, 0, 10)).rejects.toEqual(unavailable);
    await expect(store.ping()).resolves.toBeUndefined();
    expect(await store.conversationOf(room, user, '')).toMatchObject({ lastSeq: 2000 });
  });
});

describe('member lists', () => {
  test('a large room: is read in pages, one reply each; changes meanwhile are applied', async () => {
    await using scratch = await scratchSqlite();
    const world = await World.open(scratch);
    const room = await world.room();
    const count = 2 * MEMBERS_A_TURN + 10;
    await scratch.execute(`
      insert into accounts (id, name, password_hash)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < ${count})
        select i, 'user' || i, 'x' from n;
      insert into members (conversation, user_id, joined_seq)
        select ${room}, id, 0 from accounts where id <= ${count};
      update conversations set member_count = member_count + ${count} where id = ${room}`);
    const call = Reflect.get(SqliteClient.prototype, 'call') as (...args: unknown[]) => Promise<unknown>;
    const pages: number[] = [];
    const spy = vi.spyOn(SqliteClient.prototype, 'call').mockImplementation(async function (
      this: SqliteClient,
      ...args: unknown[]
    ) {
      const answer = (await call.apply(this, args)) as never;
      if (args[0] === 'memberRows') {
        pages.push((answer as MemberList).members.length);
        // From a page that is read, and into one that is not.
        await world.leaveRoom(room, BigInt(pages.length) as UserId);
        await world.joinRoom(room, await world.user());
        await world.joinRoom(room, 1n as UserId);
      }
      return answer;
    });
    const list = await world.store.membersOf(room);
    spy.mockRestore();
    expect(pages.length).toBeGreaterThan(2);
    expect(Math.max(...pages)).toBe(MEMBERS_A_TURN);
    const [{ version } = {}] = await scratch.query(
      `select member_version as version from conversations where id = ${room}`,
    );
    const members = await scratch.query(
      `select user_id as id from members where conversation = ${room} order by user_id`,
    );
    expect(list?.version).toBe(Number(version));
    expect(list?.members.map(({ user }) => user)).toEqual(members.map(({ id }) => id));
    await world.store.close();
  });
});
