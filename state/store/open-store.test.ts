/** Opening: URLs, what cannot be reached, and migrations on both engines. */
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { type ConversationId, silentLogger as logger, type UserId } from '../../common/mod.ts';
import { type Engine, readMigrations } from './migrations.ts';
import { openStore } from './mod.ts';
import { freePorts } from '../../test/harness/services.ts';
import { type Scratch, scratchPostgres, scratchSqlite, World } from './contract/scratch.contract.ts';

function failure(code: string, message: string | RegExp) {
  const text =
    typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message);
  return expect.objectContaining({ code, message: text });
}

describe('URLs', () => {
  test.each([
    ['mysql://127.0.0.1/x', 'begins neither'],
    ['', 'begins neither'],
    ['/var/lib/chat.db', 'begins neither'],
    ['sqlite://', 'names no file'],
    ['sqlite:///tmp/', 'names no file'],
    ['sqlite:///tmp/%E0%A4%A', 'is not a URL'],
    ['postgres://[', '[ is not HOST or HOST:PORT'],
    ['postgres://ann:secret@127.0.0.1/x?sslmod=disable', 'the parameter sslmod is not understood'],
  ])('%s: CONFIG_INVALID', async (url, reason) => {
    await expect(openStore(url, { logger })).rejects.toEqual(failure('CONFIG_INVALID', reason));
  });

  test('nothing listens: STORE_UNREACHABLE with address and reason, without the password', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    await new Promise((resolve) => server.close(resolve));
    const error: unknown = await openStore(`postgres://ann:secret@127.0.0.1:${address.port}/x`, {
      logger,
    }).catch((reason: unknown) => reason);
    expect(error).toEqual(
      failure('STORE_UNREACHABLE', `postgres://ann:***@127.0.0.1:${address.port}/x: connect ECONNREFUSED`),
    );
    expect(String(error)).not.toContain('secret');
  });

  test('several unusable hosts: STORE_UNREACHABLE with the reason of each', async () => {
    const [one, two] = await freePorts(2);
    await expect(
      openStore(`postgres://ann:secret@127.0.0.1:${one},127.0.0.1:${two}/x`, { logger }),
    ).rejects.toEqual(
      failure(
        'STORE_UNREACHABLE',
        new RegExp(`127.0.0.1:${one}: connect ECONNREFUSED.*; 127.0.0.1:${two}: connect ECONNREFUSED`),
      ),
    );
  });

  test('the first host does not listen: the second is used', async () => {
    await using scratch = await scratchPostgres();
    const [free] = await freePorts(1);
    await using store = await openStore(scratch.url.replace('@', `@127.0.0.1:${free},`), { logger });
    await store.ping();
  });

  test('no such database: STORE_UNREACHABLE that says so', async () => {
    await using scratch = await scratchPostgres();
    await expect(openStore(`${scratch.url}_not`, { logger })).rejects.toEqual(
      failure('STORE_UNREACHABLE', /database "\w+_not" does not exist/),
    );
  });

  test('a database that is not UTF8: STORE_UNREACHABLE that says so', async () => {
    await using admin = await scratchPostgres();
    const name = `latin_${Date.now()}`;
    await admin.execute(`create database ${name} template template0 encoding 'LATIN1' locale 'C'`);
    try {
      const url = admin.url.replace(/gochat_test_\w+/, name);
      await expect(openStore(url, { logger })).rejects.toEqual(failure('STORE_UNREACHABLE', 'LATIN1'));
    } finally {
      await admin.execute(`drop database ${name} with (force)`);
    }
  });

  test('without GOCHAT_TEST_POSTGRES the tests fail and say how to set it', async () => {
    await expect(scratchPostgres('')).rejects.toThrow(
      'GOCHAT_TEST_POSTGRES is not set. Run the tests with make',
    );
  });
});

describe.each<[Engine, () => Promise<Scratch>]>([
  ['sqlite', scratchSqlite],
  ['postgres', scratchPostgres],
])('migrations on %s', (engine, makeScratch) => {
  const migrations = readMigrations(engine);
  const last = migrations.at(-1)?.version ?? 0;

  test('8 nodes at once on an empty database: each applied once, all can work', async () => {
    await using scratch = await makeScratch();
    const stores = await Promise.all(Array.from({ length: 8 }, () => openStore(scratch.url, { logger })));
    await Promise.all(stores.map((store) => store.ping()));
    const applied = await scratch.query('select version, name from gochat_migrations order by version');
    expect(applied.map(({ version, name }) => [Number(version), name])).toEqual(
      migrations.map(({ version, name }) => [version, name]),
    );
    await Promise.all(stores.map((store) => store.close()));
  });

  test('opened again: nothing is applied twice', async () => {
    await using scratch = await makeScratch();
    for (let round = 0; round < 2; round++) await (await openStore(scratch.url, { logger })).close();
    expect(await scratch.query('select version from gochat_migrations')).toHaveLength(migrations.length);
  });

  test.each([
    [
      'a newer database',
      `insert into gochat_migrations (version, name, checksum) values (${last + 1}, 'later', 'x')`,
      `is newer, it has ${String(last + 1).padStart(4, '0')}_later and this release ends at ${last}`,
    ],
    [
      'a migration with another text',
      "update gochat_migrations set checksum = 'abc' where version = 1",
      'migration 0001_chat was applied with another text',
    ],
    [
      'another migration under that number',
      "update gochat_migrations set name = 'other' where version = 1",
      'has migration 0001_other where this release has chat',
    ],
  ])('%s: STORE_SCHEMA', async (__, change, reason) => {
    await using scratch = await makeScratch();
    await (await openStore(scratch.url, { logger })).close();
    await scratch.execute(change);
    await expect(openStore(scratch.url, { logger })).rejects.toEqual(failure('STORE_SCHEMA', reason));
  });

  /** Makes a database as a release with so many migrations leaves it. */
  async function leaveAt(scratch: Scratch, count: number): Promise<void> {
    const appliedAt =
      engine === 'sqlite' ? 'text not null default current_timestamp' : 'timestamptz not null default now()';
    await scratch.execute(`
      create table gochat_migrations (
        version integer primary key, name text not null, checksum text not null, applied_at ${appliedAt}
      )`);
    for (const { version, name, checksum, sql } of migrations.slice(0, count)) {
      await scratch.execute(sql);
      await scratch.execute(
        `insert into gochat_migrations (version, name, checksum) values (${version}, '${name}', '${checksum}')`,
      );
    }
  }

  test('a database of the first release: the first member owns the room, read cursors are kept', async () => {
    await using scratch = await makeScratch();
    await leaveAt(scratch, 1);
    await scratch.execute(
      `insert into accounts (id, name, password_hash) values (1, 'ann', 'x'), (2, 'bob', 'x');
       insert into conversations (id, kind, name, last_seq, active_at_ms, member_count) values (9, 'room', 'r', 5, 1, 2);
       insert into members (conversation, user_id, joined_seq) values (9, 2, 0), (9, 1, 0);
       insert into cursors (user_id, device, conversation, delivered_seq, read_seq)
         values (1, 'phone', 9, 3, 2), (1, 'tv', 9, 0, 4);`,
    );
    await using store = await openStore(scratch.url, { logger });
    const of = async (user: bigint, device: string) =>
      (await store.conversationsOf(user as UserId, device, '', 1)).items[0];
    expect(await of(1n, 'phone')).toMatchObject({ deliveredSeq: 3, readSeq: 4, role: 'owner' });
    expect(await of(2n, 'phone')).toMatchObject({ deliveredSeq: 0, readSeq: 0, role: 'member' });
  });

  test('a database from before roles: each room keeps its owner, and direct conversations have none', async () => {
    await using scratch = await makeScratch();
    await leaveAt(
      scratch,
      migrations.findIndex(({ name }) => name === 'roles'),
    );
    await scratch.execute(
      `insert into accounts (id, name, password_hash) values (1, 'ann', 'x'), (2, 'bob', 'x');
       insert into conversations (id, kind, name, active_at_ms, member_count, owner)
         values (7, 'room', 'r', 1, 2, 2), (8, 'room', 'empty', 1, 0, null);
       insert into conversations (id, kind, direct_low, direct_high, active_at_ms, member_count, owner)
         values (9, 'direct', 1, 2, 1, 2, 1);
       insert into members (conversation, user_id, joined_seq) values (7, 1, 0), (7, 2, 0), (9, 1, 0), (9, 2, 0);`,
    );
    const world = await World.open(scratch);
    await using store = world.store;
    const [ann, bob] = [1n as UserId, 2n as UserId];
    const rolesOf = (id: bigint) => store.rolesOf(id as ConversationId);
    expect([await rolesOf(7n), await rolesOf(8n), await rolesOf(9n)]).toEqual([
      new Map([[bob, 'owner']]),
      new Map(),
      new Map(),
    ]);
    expect(await world.removeMember(7n as ConversationId, ann, bob)).toBe('ROLE_TOO_LOW');
    expect(await world.setRole(7n as ConversationId, bob, ann, 'moderator')).toMatchObject({ changed: true });
    expect(await world.joinRoom(8n as ConversationId, ann)).toMatchObject({ role: 'owner' });
  });

  test('a migration that fails leaves nothing behind', async () => {
    await using scratch = await makeScratch();
    // In the way of the fifth table.
    await scratch.execute('create table cursors (x integer)');
    await expect(openStore(scratch.url, { logger })).rejects.toEqual(
      failure('STORE_UNREACHABLE', 'already exists'),
    );
    await expect(scratch.query('select * from accounts')).rejects.toThrow();
    await scratch.execute('drop table cursors');
    await (await openStore(scratch.url, { logger })).close();
  });
});
