/** Tests of faults specific to PostgreSQL: lost connections, restarts, a frozen or read-only server. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConversationId, silentLogger as logger } from '../../../common/mod.ts';
import { type Services, startServices } from '../../../test/harness/services.ts';
import { type Draft, openStore } from '../mod.ts';
import { PostgresPool } from './pool.ts';
import { sync } from './reader.ts';
import type { Statement } from '../sql.ts';
import { parsePostgresUrl } from './url.ts';
import { RULES, type Scratch, scratchPostgres, World } from '../contract/scratch.contract.ts';
import { eventually } from '../../../test/harness/eventually.ts';

const unavailable = expect.objectContaining({ code: 'STORE_UNAVAILABLE' });
const TERMINATE =
  "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";

/** Appends until it succeeds, as a client's retries do. */
async function appendAtLast(world: World, drafts: readonly Draft[]): Promise<number> {
  for (let failures = 0; ; failures++) {
    try {
      const answers = await world.append(drafts);
      if (!answers.every((answer) => answer.ok)) throw new Error('append was refused');
      return failures;
    } catch (error) {
      expect(error).toEqual(unavailable);
      if (failures > 100) throw error;
    }
  }
}

test('a role that is taken away while a removal waits for the room: the removal is refused', async () => {
  await using scratch = await scratchPostgres();
  const world = await World.open(scratch);
  const [ann, bob, cid] = [await world.user(), await world.user(), await world.user()];
  const room = await world.room(ann, bob, cid);
  await world.setRole(room, ann, bob, 'moderator');
  await scratch.execute(`
    begin;
    select from conversations where id = ${room} for no key update;
    update members set role = 0 where conversation = ${room} and user_id = ${bob}`);
  const removal = world.removeMember(room, bob, cid);
  await eventually(async () => {
    const [row] = await scratch.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return row !== undefined;
  });
  await scratch.execute('commit');
  expect(await removal).toBe('ROLE_TOO_LOW');
  expect((await world.store.membersOf(room))?.members).toHaveLength(3);
  await world.store.close();
});

test('sync: a room that is deleted and erased in part meanwhile is gone, and leaves no hole', async () => {
  await using scratch = await scratchPostgres();
  const world = await World.open(scratch);
  const user = await world.user();
  const [stays, goes] = [await world.room(user), await world.room(user)];
  await world.fill(stays, user, 2);
  await world.fill(goes, user, 5);
  const pool = new PostgresPool(parsePostgresUrl(scratch.url), { max: 1, timeoutMs: 10_000, logger });
  let statements = 0;
  const between: Pick<PostgresPool, 'query'> = {
    query: async <Row extends object>(statement: Statement) => {
      if (++statements === 2) {
        await world.deleteRoom(goes, user);
        await world.store.erase(3, 0);
      }
      return pool.query<Row>(statement);
    },
  };
  const cursors = new Map([
    [stays, 0],
    [goes, 1],
  ]);
  const { conversations, gone } = await sync(between, {
    user,
    device: '',
    cursors,
    after: 0n,
    until: 2n ** 63n - 1n,
    newest: 0,
    limit: 100,
  });
  expect(
    conversations.map(({ messages }) => messages.map(({ conversation, seq }) => [conversation, seq])),
  ).toEqual([
    [
      [stays, 1],
      [stays, 2],
    ],
  ]);
  expect(gone).toEqual([{ conversation: goes, reason: 'deleted', lastSeq: 0 }]);
  await pool.close();
  await world.store.close();
});

describe('a bad neighbour', () => {
  /** Counts the rows that are written, those of undone statements too. */
  async function counted(scratch: Scratch) {
    await scratch.execute(`
      create sequence inserts minvalue 0 start 0;
      create sequence updates minvalue 0 start 0;
      create function count_row() returns trigger language plpgsql as
        $$begin perform nextval(tg_argv[0]::regclass); return new; end$$;
      create trigger count_insert before insert on messages for each row execute function count_row('inserts');
      create trigger count_update before update on conversations for each row execute function count_row('updates')`);
    return async () => {
      const [row] = await scratch.query(
        "select nextval('inserts') as inserts, nextval('updates') as updates",
      );
      await scratch.execute("select setval('inserts', 0, false), setval('updates', 0, false)");
      return [Number(row?.['inserts']), Number(row?.['updates'])];
    };
  }

  test('refused and repeated drafts: affect their own rows only, not others and not later appends', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const [ann, bob, eve] = [await world.user(), await world.user(), await world.user()];
    const rooms = await Promise.all(Array.from({ length: 10 }, () => world.room(ann)));
    const [own, victim] = [await world.room(eve), await world.room(bob)];
    const repetition = world.draft(own, eve);
    const honest = () => rooms.map((room) => world.draft(room, ann));
    await world.append([repetition]);
    // A repetition that nobody expects is found by undoing the messages, once.
    await world.append([...honest(), world.draft(own, eve, { clientMsgId: repetition.clientMsgId })]);
    const rows = await counted(scratch);
    for (let round = 0; round < 3; round++) {
      const drafts = [
        world.draft(victim, eve),
        ...honest(),
        world.draft(own, eve, { clientMsgId: repetition.clientMsgId }),
        world.draft(world.conversationId(), eve),
      ];
      expect(await world.append(drafts)).toMatchObject([
        { ok: false, code: 'NOT_A_MEMBER' },
        ...rooms.map(() => ({ ok: true, seq: 2 + round * 2, duplicate: false })),
        { ok: true, seq: 1, duplicate: true },
        { ok: false, code: 'NOT_A_MEMBER' },
      ]);
      // Two conversations of Eve's are put right.
      expect(await rows()).toEqual([10, 14]);
      await world.append(honest());
      expect(await rows()).toEqual([10, 10]);
    }
    await world.store.close();
  });

  test('unexpected repetitions by many users: all are found at once', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const users = await Promise.all(Array.from({ length: 8 }, () => world.user()));
    const room = await world.room(...users);
    const drafts = users.map((user) => world.draft(room, user));
    await world.append(drafts);
    const rows = await counted(scratch);
    const mixed = drafts.flatMap((draft) => [draft, world.draft(room, draft.sender)]);
    expect(await world.append(mixed)).toMatchObject(
      drafts.flatMap((_, i) => [
        { seq: i + 1, duplicate: true },
        { seq: 9 + i, duplicate: false },
      ]),
    );
    // The first one ended the attempt.
    expect(await rows()).toEqual([1 + 8, 2]);
    await world.store.close();
  });

  test('a message that the database rejects for its content: only that one is refused', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    await scratch.execute("alter table messages add constraint picky check (body <> 'bad')");
    const texts = ['bad', 'a', 'b', 'c', 'bad', 'd'];
    expect(await world.append(texts.map((text) => world.draft(room, user, { text })))).toMatchObject([
      { ok: false, code: 'MESSAGE_UNSTORABLE' },
      { ok: true, seq: 1 },
      { ok: true, seq: 2 },
      { ok: true, seq: 3 },
      { ok: false, code: 'MESSAGE_UNSTORABLE' },
      { ok: true, seq: 4 },
    ]);
    await world.store.close();
  });
});

describe('a server that drops connections', () => {
  test('backends terminated during appends: nothing is lost or doubled', async () => {
    await using scratch = await scratchPostgres();
    const [a, b] = [await World.open(scratch), await World.open(scratch)];
    const users = [await a.user(), await a.user()] as const;
    const rooms = await Promise.all([a.room(...users), a.room(...users), a.room(...users)]);
    const done = new AbortController();
    let terminated = 0;
    let passed = () => {};
    const terminate = async () => {
      while (!done.signal.aborted) {
        // However slow the machine is, an append passes between two blows.
        const { promise, resolve } = Promise.withResolvers<void>();
        passed = resolve;
        terminated += (await scratch.query(TERMINATE)).length;
        await promise;
      }
    };
    const send = async (world: World, sender: (typeof users)[number]) => {
      for (let round = 0; round < 60; round++) {
        await appendAtLast(
          world,
          rooms.map((room) => world.draft(room, sender, { clientMsgId: `c${round}` })),
        );
        passed();
      }
    };
    const killer = terminate();
    await Promise.all([send(a, users[0]), send(b, users[1])]);
    done.abort();
    passed();
    await killer;
    expect(terminated).toBeGreaterThan(5);
    for (const room of rooms) {
      const messages = (await a.history(users[0], room, 0, 1000))?.messages ?? [];
      expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 120 }, (_, index) => index + 1));
      for (const user of users) {
        const own = messages.filter(({ sender }) => sender === user).map(({ clientMsgId }) => clientMsgId);
        expect(own).toEqual(Array.from({ length: 60 }, (_, round) => `c${round}`));
      }
    }
    await Promise.all([a.store.close(), b.store.close()]);
  });

  test('idle connections terminated: the next call does not notice', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    await world.fill(room, user, 1);
    await scratch.query(TERMINATE);
    expect(await world.append([world.draft(room, user)])).toMatchObject([{ seq: 2 }]);
    expect((await world.history(user, room, 0, 10))?.messages).toHaveLength(2);
    await world.store.close();
  });
});

describe('a server that stops', () => {
  let services: Services;

  beforeAll(async () => {
    services = await startServices({ only: ['postgres'], durable: true });
  });

  afterAll(async () => {
    await services[Symbol.asyncDispose]();
  });

  test('killed and started again: STORE_UNAVAILABLE meanwhile, then works, with every acknowledged message', async () => {
    const url = services.urls.postgres;
    const world = new World(await openStore(url, { logger, timeoutMs: 60_000 }));
    await using hasty = await eventually('a store', () => openStore(url, { logger, timeoutMs: 3000 }));
    const user = await world.user();
    const room = await world.room(user);
    await world.fill(room, user, 100);
    await services.kill('postgres');
    await expect(hasty.append([world.draft(room, user)], RULES)).rejects.toEqual(unavailable);
    await expect(hasty.ping()).rejects.toEqual(unavailable);
    await services.start('postgres');
    await eventually(() => world.store.ping());
    const page = await world.history(user, room, 0, 1000);
    expect(page?.messages.map(({ seq }) => seq)).toEqual(
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
    expect(await world.append([world.draft(room, user)])).toMatchObject([{ ok: true, seq: 101 }]);
    await world.store.close();
  });

  test('frozen: STORE_UNAVAILABLE within the deadline, and works when it thaws', async () => {
    const url = services.urls.postgres;
    const world = new World(await openStore(url, { logger, timeoutMs: 60_000 }));
    await using hasty = await eventually('a store', () => openStore(url, { logger, timeoutMs: 1000 }));
    const reader = new World(hasty);
    const user = await world.user();
    const room = await world.room(user);
    await world.fill(room, user, 1);
    await services.pause('postgres');
    try {
      const draft = world.draft(room, user);
      // More calls than connections: those that wait for one have the deadline too.
      const calls = [
        ...Array.from({ length: 20 }, () => reader.history(user, room, 0, 1)),
        hasty.append([draft], RULES),
        hasty.append([draft], RULES),
        hasty.append([draft], RULES),
      ];
      const outcomes = await Promise.allSettled(calls);
      expect(outcomes).toEqual(calls.map(() => ({ status: 'rejected', reason: unavailable })));
    } finally {
      await services.resume('postgres');
    }
    await eventually('an answer', () => hasty.ping());
    await appendAtLast(reader, [world.draft(room, user)]);
    await world.store.close();
  });
});

describe('a server with other settings', () => {
  test.each(['off', 'local', 'remote_write'])(
    'synchronous_commit %s: an append turns it on',
    async (value) => {
      await using scratch = await scratchPostgres();
      const [{ name } = {}] = await scratch.query('select current_database() as name');
      await scratch.execute(`alter database ${String(name)} set synchronous_commit = ${value}`);
      const world = await World.open(scratch);
      const user = await world.user();
      const room = await world.room(user);
      // Deferred to the commit itself.
      await scratch.execute(`
      create table seen (setting text);
      create function see() returns trigger language plpgsql as
        $$begin insert into seen values (current_setting('synchronous_commit')); return null; end$$;
      create constraint trigger see after insert on messages deferrable initially deferred
        for each row execute function see()`);
      await world.fill(room, user, 1);
      expect(await scratch.query('select setting from seen')).toEqual([{ setting: 'on' }]);
      await world.store.close();
    },
  );

  test('jit on: no statement is compiled', async () => {
    await using scratch = await scratchPostgres();
    const [{ name } = {}] = await scratch.query('select current_database() as name');
    await scratch.execute(`alter database ${String(name)} set jit = on`);
    const world = await World.open(scratch);
    await scratch.execute(`
      create table seen (setting text);
      create function see() returns trigger language plpgsql as
        $$begin insert into seen values (current_setting('jit')); return null; end$$;
      create trigger see after insert on accounts for each row execute function see()`);
    await world.user();
    expect(await scratch.query('select setting from seen')).toEqual([{ setting: 'off' }]);
    await world.store.close();
  });

  test('repeatable read as the default: appends at once are repeated until they pass', async () => {
    await using scratch = await scratchPostgres();
    const [{ name } = {}] = await scratch.query('select current_database() as name');
    await scratch.execute(
      `alter database ${String(name)} set default_transaction_isolation = 'repeatable read'`,
    );
    const [a, b] = [await World.open(scratch), await World.open(scratch)];
    const user = await a.user();
    const room = await a.room(user);
    const send = async (world: World) => {
      const drafts = Array.from({ length: 30 }, () => world.draft(room, user));
      for (const draft of drafts) await appendAtLast(world, [draft]);
      return drafts.map(({ id }) => id);
    };
    const acked = (await Promise.all([send(a), send(b)])).flat();
    const messages = (await a.history(user, room, 0, 1000))?.messages ?? [];
    expect(new Set(messages.map(({ id }) => id))).toEqual(new Set(acked));
    expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    await Promise.all([a.store.close(), b.store.close()]);
  });

  test('read-only: STORE_UNAVAILABLE, and new connections once it is writable', async () => {
    await using scratch = await scratchPostgres();
    const [{ name } = {}] = await scratch.query('select current_database() as name');
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    const readOnly = (value: string) =>
      scratch.execute(`begin read write;
        alter database ${String(name)} set default_transaction_read_only = ${value}; commit`);
    await readOnly('on');
    await scratch.query(TERMINATE);
    await expect(world.append([world.draft(room, user)])).rejects.toEqual(unavailable);
    expect(await world.history(user, room, 0, 1)).toMatchObject({ messages: [], more: false });
    await readOnly('off');
    // The connections that were opened meanwhile are read-only for good: the store gives them up by itself.
    expect(await world.append([world.draft(room, user)])).toMatchObject([{ seq: 1 }]);
    await world.store.close();
  });

  test('a message whose row is locked for long: STORE_UNAVAILABLE, others pass', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    await using hasty = await eventually('a store', () => openStore(scratch.url, { logger, timeoutMs: 700 }));
    const user = await world.user();
    const [locked, free] = [await world.room(user), await world.room(user)];
    const client = new pg.Client({ connectionString: scratch.url });
    await client.connect();
    await client.query(`begin; select from conversations where id = ${locked} for update`);
    await expect(hasty.append([world.draft(locked, user)], RULES)).rejects.toEqual(unavailable);
    const passes = world.draft(free, user);
    expect(await eventually('others to pass', () => hasty.append([passes], RULES))).toMatchObject([
      { seq: 1 },
    ]);
    await client.end();
    await appendAtLast(new World(hasty), [world.draft(locked, user)]);
    await world.store.close();
  });
});

describe('member lists', () => {
  test('more members than one statement reads: the rest is asked for again', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    // Four rooms of 7000: three of them pass the 20,000 after which a statement ends.
    await scratch.execute(`
      insert into accounts (id, name, password_hash) select n, 'n' || n, 'x' from generate_series(1, 7000) n;
      insert into conversations (id, kind, name, active_at_ms, member_count)
      select 10000 + r, 'room', 'r' || r, 0, 7000 from generate_series(1, 4) r;
      insert into members (conversation, user_id, joined_seq)
      select 10000 + r, n, 0 from generate_series(1, 4) r, generate_series(1, 7000) n`);
    const lists = await Promise.all(
      [10_001n, 10_002n, 5n, 10_003n, 10_004n].map((id) => world.store.membersOf(id as ConversationId)),
    );
    expect(lists.map((list) => list?.members.length)).toEqual([7000, 7000, undefined, 7000, 7000]);
    expect(lists[4]?.members.at(-1)).toEqual({ user: 7000n, visibleAfterSeq: 0 });
    await world.store.close();
  });

  test('the statement fails: all its callers get the error, and the next ones are answered', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    await scratch.execute('alter table members rename to elsewhere');
    const failed = await Promise.allSettled([world.store.membersOf(room), world.store.membersOf(room)]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await scratch.execute('alter table elsewhere rename to members');
    expect((await world.store.membersOf(room))?.members).toHaveLength(1);
    await world.store.close();
  });
});

describe('appends that wait for others', () => {
  /** Begins an append that must wait for `script`, which holds the conversation's row until the commit. */
  async function appendBehind(world: World, scratch: Scratch, script: string, drafts: readonly Draft[]) {
    const client = new pg.Client({ connectionString: scratch.url });
    await client.connect();
    await client.query(`begin; ${script}`);
    const appended = world.append(drafts);
    await eventually('one waits for a lock', async () => {
      const waiting = `select pid from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()`;
      expect(await scratch.query(waiting)).toHaveLength(1);
    });
    await client.query('commit');
    await client.end();
    return await appended;
  }

  test('the sender is removed meanwhile: NOT_A_MEMBER, the rest is written', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const [owner, user] = [await world.user(), await world.user()];
    const room = await world.room(owner, user);
    const answers = await appendBehind(
      world,
      scratch,
      `update conversations set member_version = member_version + 1 where id = ${room};
       delete from members where conversation = ${room} and user_id = ${user}`,
      [world.draft(room, owner), world.draft(room, user), world.draft(room, owner)],
    );
    expect(answers).toMatchObject([
      { ok: true, seq: 1 },
      { ok: false, code: 'NOT_A_MEMBER' },
      { ok: true, seq: 2 },
    ]);
    await world.store.close();
  });

  test('another node appends the same message meanwhile: one message, and the seqs go on', async () => {
    await using scratch = await scratchPostgres();
    const world = await World.open(scratch);
    const user = await world.user();
    const room = await world.room(user);
    const [again, next] = [world.draft(room, user), world.draft(room, user)];
    const answers = await appendBehind(
      world,
      scratch,
      `update conversations set last_seq = 1 where id = ${room};
       insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
       values (${room}, 1, 7, ${user}, 5, '${again.clientMsgId}', 'first')`,
      [again, next],
    );
    expect(answers).toMatchObject([
      { ok: true, seq: 1, id: 7n, atMs: 5, duplicate: true },
      { ok: true, seq: 2, duplicate: false },
    ]);
    await world.store.close();
  });
});
