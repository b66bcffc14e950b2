/** Faults within PostgreSQL: deadlock, no connections left, a full disk, a slow disk. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { type ConversationId, silentLogger as logger } from '../../../common/mod.ts';
import { startServices } from '../../../test/harness/services.ts';
import { openStore } from '../mod.ts';
import { scratchPostgres, World } from '../contract/scratch.contract.ts';
import { eventually } from '../../../test/harness/eventually.ts';

const unavailable = expect.objectContaining({ code: 'STORE_UNAVAILABLE' });

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

describe('PostgreSQL', () => {
  test('a deadlock with another program: the append is repeated and passes', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const [low, high] = [await world.room(user), await world.room(user)].toSorted((a, b) =>
      a < b ? -1 : 1,
    ) as [ConversationId, ConversationId];
    const other = await connect(scratch.url);
    await other.query(`begin; select from conversations where id = ${high} for update`);
    const append = world.append([world.draft(low, user), world.draft(high, user)]);
    await eventually('one waits for a transaction', async () => {
      expect(
        await scratch.query("select from pg_locks where not granted and locktype = 'transactionid'"),
      ).toHaveLength(1);
    });
    // The longest waiter is ended when the circle closes: usually the append.
    const [circle] = await Promise.allSettled([
      other.query(`select from conversations where id = ${low} for update`),
    ]);
    if (circle.status === 'rejected') expect(circle.reason).toMatchObject({ code: '40P01' });
    await other.query('rollback');
    expect(await append).toMatchObject([
      { ok: true, seq: 1, duplicate: false },
      { ok: true, seq: 1, duplicate: false },
    ]);
    const deadlocks = 'select deadlocks from pg_stat_database where datname = current_database()';
    await expect.poll(() => scratch.query(deadlocks)).toEqual([{ deadlocks: 1n }]);
    await other.end();
    await world.store.close();
  });

  test('a deleted room whose row is locked: erasing waits for it', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    await world.fill(room, user, 3);
    await world.deleteRoom(room, user);
    const other = await connect(scratch.url);
    await other.query(`begin; select from conversations where id = ${room} for no key update`);
    const erasing = (async () => {
      while (await world.store.erase(1000, 0));
    })();
    await expect.poll(() => scratch.query('select from pg_locks where not granted')).not.toEqual([]);
    await other.query('rollback');
    await erasing;
    expect(await scratch.query('select from messages union all select from conversations')).toEqual([]);
    await other.end();
    await world.store.close();
  });

  test('a serialization failure: the append is repeated and passes', async () => {
    await using scratch = await scratchPostgres();
    const [{ name } = {}] = await scratch.query('select current_database() as name');
    await scratch.execute(
      `alter database ${String(name)} set default_transaction_isolation = 'serializable'`,
    );
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    const rollbacks = async () => {
      const [row] = await scratch.query(
        'select xact_rollback as count from pg_stat_database where datname = current_database()',
      );
      return Number(row?.['count']);
    };
    const before = await rollbacks();
    const other = await connect(scratch.url);
    await other.query(`begin; update conversations set last_seq = last_seq where id = ${room}`);
    const append = world.append([world.draft(room, user)]);
    await eventually('one waits for a transaction', async () => {
      expect(
        await scratch.query("select from pg_locks where not granted and locktype = 'transactionid'"),
      ).toHaveLength(1);
    });
    await other.query('commit');
    expect(await append).toMatchObject([{ ok: true, seq: 1, duplicate: false }]);
    await expect.poll(rollbacks).toBeGreaterThan(before);
    await other.end();
    await world.store.close();
  });

  test('cut off between the commit and its answer: the retry finds the original, and the log has it once', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    // The first connection that commits an append is ended right then, before it can say so.
    await scratch.execute(`
      create sequence cuts;
      create function cut() returns trigger language plpgsql as $$
      begin
        if nextval('cuts') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
        return null;
      end $$;
      create constraint trigger cut after insert on messages deferrable initially deferred
        for each row execute function cut()`);
    expect(await world.append([world.draft(room, user), world.draft(room, user)])).toMatchObject([
      { ok: true, seq: 1 },
      { ok: true, seq: 2 },
    ]);
    expect(await scratch.query('select seq from messages order by seq')).toEqual([{ seq: 1n }, { seq: 2n }]);
    await world.store.close();
  });

  test('no connection available: STORE_UNAVAILABLE, and works again when there is one', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    const [{ name } = {}] = await scratch.query('select current_database() as name');
    await scratch.execute(`alter database ${String(name)} connection limit 1`);
    await scratch.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    const draft = world.draft(room, user);
    await expect(world.append([draft])).rejects.toEqual(unavailable);
    await expect(world.store.ping()).rejects.toEqual(unavailable);
    await scratch.execute(`alter database ${String(name)} connection limit -1`);
    expect(await world.append([draft])).toMatchObject([{ seq: 1, duplicate: false }]);
    await world.store.close();
  });

  test('more calls at once than connections: each has its turn', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const rooms = await Promise.all(Array.from({ length: 50 }, () => world.room(user)));
    const answers = await Promise.all(rooms.map((room) => world.append([world.draft(room, user)])));
    expect(answers.flat()).toEqual(rooms.map(() => expect.objectContaining({ ok: true, seq: 1 })));
    await world.store.close();
  });

  test('a disk that takes seconds: the append is late and not refused, readers do not wait for it', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    await world.fill(room, user, 1);
    // In the commit itself, where a slow sync would be.
    await scratch.execute(`
      create function slow() returns trigger language plpgsql as $$begin perform pg_sleep(1); return null; end$$;
      create constraint trigger slow after insert on messages deferrable initially deferred
        for each row execute function slow()`);
    let isDone = false;
    const append = world.append([world.draft(room, user)]).finally(() => {
      isDone = true;
    });
    expect((await world.history(user, room, 0, 10))?.messages).toHaveLength(1);
    expect(isDone).toBe(false);
    expect(await append).toMatchObject([{ ok: true, seq: 2 }]);
    await world.store.close();
  });

  test('a full disk: STORE_UNAVAILABLE, what was acknowledged stays, and works again when there is room', async () => {
    await using services = await startServices({ only: ['postgres'], durable: true });
    const world = new World(await openStore(services.urls.postgres, { logger, timeoutMs: 10_000 }));
    const user = await world.user();
    const room = await world.room(user);
    await world.store.close();
    // No file may grow beyond 24 MiB, of the server or of what it starts: a table then fails as on a full disk, while
    // the log of writes (files of 16 MiB) goes on.
    const postmaster = await services.pid('postgres');
    const limit = async (pid: number, bytes: string) => {
      // The soft limit only, as the user that the server runs as: nobody else needs to be allowed to.
      const { uid, gid } = await stat(`/proc/${pid}`);
      await promisify(execFile)('prlimit', [`--pid=${pid}`, `--fsize=${bytes}:`], { uid, gid });
    };
    await limit(postmaster, String(24 * 1024 * 1024));
    const full = new World(await openStore(services.urls.postgres, { logger, timeoutMs: 10_000 }));
    // Random, so that it is not compressed away.
    const drafts = () =>
      Array.from({ length: 100 }, () =>
        full.draft(room, user, { text: randomBytes(9000).toString('base64') }),
      );
    const acked: bigint[] = [];
    const refused = drafts();
    for (let batch = drafts(), failed = false; !failed; batch = drafts()) {
      const [outcome] = await Promise.allSettled([full.append(batch)]);
      if (outcome.status === 'fulfilled') acked.push(...batch.map(({ id }) => id));
      else {
        expect(outcome.reason).toEqual(unavailable);
        failed = true;
      }
      expect(acked.length).toBeLessThan(10_000);
    }
    await expect(full.append(refused)).rejects.toEqual(unavailable);
    // Reading goes on.
    expect((await full.history(user, room, 0, 1))?.messages).toMatchObject([{ seq: acked.length }]);

    const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
    await limit(postmaster, 'unlimited');
    for (const pid of children.split(' ').filter(Boolean).map(Number))
      await limit(pid, 'unlimited').catch((error: unknown) => {
        // A worker of the server may have ended meanwhile.
        if (existsSync(`/proc/${pid}`)) throw error;
      });
    const [first] = await full.append(refused);
    expect(first).toMatchObject({ ok: true, seq: acked.length + 1, duplicate: false });
    const messages = [];
    for (let before = 0; ; before = messages[0]?.seq ?? 0) {
      const page = await full.history(user, room, before, 200);
      messages.unshift(...(page?.messages ?? []));
      if (page?.more !== true) break;
    }
    expect(messages.map(({ id }) => id)).toEqual([...acked, ...refused.map(({ id }) => id)]);
    await full.store.close();
  }, 120_000);
});
