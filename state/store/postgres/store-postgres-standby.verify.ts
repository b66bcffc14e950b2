/** PostgreSQL with a synchronous standby: a commit that is acknowledged is on both. */
import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { type ConversationId, silentLogger as logger, type UserId } from '../../../common/mod.ts';
import { type Services, startServices } from '../../../test/harness/services.ts';
import { execute, Standby } from '../../../test/harness/standby.ts';
import { openStore } from '../mod.ts';
import { World } from '../contract/scratch.contract.ts';
import { eventually } from '../../../test/harness/eventually.ts';

const unavailable = expect.objectContaining({ code: 'STORE_UNAVAILABLE' });

/** The database of GoChat on several servers. */
function urlOf(services: Services, standby: Standby): string {
  return services.urls.postgres.replace(/(@[^/]+)/, `$1,127.0.0.1:${standby.port}`);
}

test('the primary is killed under load, the standby promoted: nothing that was acknowledged is lost', async () => {
  await using services = await startServices({ only: ['postgres'] });
  await using standby = await Standby.start(services);
  const url = urlOf(services, standby);
  const open = async () => new World(await openStore(url, { logger, timeoutMs: 3000 }));
  const worlds = await Promise.all([open(), open(), open()]);
  const [first] = worlds;
  const users = await Promise.all(worlds.map((world) => world.user()));
  const room = await first.room(...users);
  const acked = new Map<number, bigint>();
  const accounts = new Map<string, UserId>();
  const joined: ConversationId[] = [];
  const failed: unknown[] = [];
  const done = new AbortController();
  const send = async (world: World, user: UserId) => {
    for (let draft = world.draft(room, user); !done.signal.aborted; ) {
      try {
        const [answer] = await world.append([draft]);
        if (answer?.ok !== true) throw new Error('a member was refused');
        acked.set(answer.seq, answer.id);
        draft = world.draft(room, user);
      } catch (error) {
        expect(error).toEqual(unavailable);
        failed.push(error);
      }
    }
  };
  const signUp = async () => {
    while (!done.signal.aborted)
      try {
        const account = { id: first.userId(), name: first.name(), passwordHash: 'x' };
        if ((await first.store.createAccount(account)) === undefined) continue;
        accounts.set(account.name, account.id);
        const made = await first.store.createRoom(first.conversationId(), first.name(), account.id);
        if (made) joined.push(made.id);
      } catch (error) {
        expect(error).toEqual(unavailable);
      }
  };
  const load = [...worlds.map((world, i) => send(world, users[i] as UserId)), signUp()];
  const more = (count: number) => {
    const goal = acked.size + count;
    return expect.poll(() => acked.size, { message: 'acknowledged messages' }).toBeGreaterThan(goal);
  };
  await more(200);
  const standbys = 'select sync_state from pg_stat_replication';
  expect(await execute(standby.admin, standbys)).toEqual([{ sync_state: 'sync' }]);
  await services.kill('postgres');
  await expect.poll(() => failed.length, { message: 'refused appends' }).toBeGreaterThan(0);
  await standby.promote();
  await more(200);
  done.abort();
  await Promise.all(load);

  const { messages = [] } = (await first.history(users[0] as UserId, room, 0, 1_000_000)) ?? {};
  expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, index) => index + 1));
  for (const [seq, id] of acked) expect(messages[seq - 1]?.id).toBe(id);
  for (const [name, id] of accounts) expect((await first.store.findAccount(name))?.id).toBe(id);
  for (const id of joined) expect(await first.store.membersOf(id)).toBeDefined();
  await Promise.all(worlds.map((world) => world.store.close()));
}, 120_000);

describe('a commit whose wait for the standby is cancelled', () => {
  let services: Services;
  let standby: Standby;

  beforeAll(async () => {
    services = await startServices({ only: ['postgres'] });
    standby = await Standby.start(services);
  });
  afterAll(async () => {
    await standby[Symbol.asyncDispose]();
    await services[Symbol.asyncDispose]();
  });

  test('the standby named first: the other is used; the standby alone: refused at start', async () => {
    const alone = services.urls.postgres.replace(/@[^/]+/, `@127.0.0.1:${standby.port}`);
    const both = alone.replace(/(@[^/]+)/, `$1,${new URL(services.urls.postgres).host}`);
    await using store = await openStore(both, { logger });
    expect(await store.createAccount({ id: 1n as UserId, name: 'first', passwordHash: 'x' })).toBeDefined();
    await expect(openStore(alone, { logger })).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining('it is a standby'),
    });
  });

  /** Runs `work` while the standby is frozen, and cancels what waits for it. */
  async function cancelled(work: () => Promise<unknown>): Promise<PromiseSettledResult<unknown>> {
    await standby.pause();
    try {
      let isDone = false;
      const outcome = Promise.allSettled([work()]).finally(() => {
        isDone = true;
      });
      await eventually('the call is answered', async () => {
        await execute(
          standby.admin,
          "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'",
        );
        return isDone;
      });
      return (await outcome)[0];
    } finally {
      await standby.resume();
    }
  }

  test.each([
    ["synchronous_commit = 'on'"],
    ["synchronous_commit = 'off'"],
    ["synchronous_commit = 'local'"],
    ["synchronous_commit = 'remote_write'"],
    ["client_min_messages = 'error'"],
  ])(
    '%s: an append is not acknowledged, and its repetition finds it',
    async (setting) => {
      await execute(standby.admin, `alter role gochat set ${setting}`);
      const world = new World(await openStore(services.urls.postgres, { logger, timeoutMs: 20_000 }));
      const user = await world.user();
      const room = await world.room(user);
      const draft = world.draft(room, user);
      expect(await cancelled(() => world.append([draft]))).toEqual({
        status: 'rejected',
        reason: unavailable,
      });
      expect(await world.append([world.draft(room, user, { clientMsgId: draft.clientMsgId })])).toMatchObject(
        [{ ok: true, seq: 1, id: draft.id, duplicate: true }],
      );
      await world.store.close();
      await execute(standby.admin, 'alter role gochat reset all');
    },
    60_000,
  );

  test('accounts, rooms, members, cursors and revocations: not acknowledged either', async () => {
    await execute(standby.admin, "alter role gochat set synchronous_commit = 'local'");
    const world = new World(await openStore(services.urls.postgres, { logger, timeoutMs: 20_000 }));
    const { store } = world;
    const [ann, bob] = [await world.user(), await world.user()];
    const room = await world.room(ann);
    await world.joinRoom(room, bob);
    await world.fill(room, ann, 1);
    const order = {
      user: ann,
      atUs: 1,
      scope: 'tokens',
      token: 0n,
      code: 'TOKEN_REVOKED',
      reason: '',
    } as const;
    const calls: Record<string, () => Promise<unknown>> = {
      createAccount: () => store.createAccount({ id: world.userId(), name: world.name(), passwordHash: 'x' }),
      createRoom: () => store.createRoom(world.conversationId(), world.name(), ann),
      openDirect: () => store.openDirect(world.conversationId(), ann, bob),
      moveCursors: () =>
        store.moveCursors([{ user: bob, device: '', conversation: room, deliveredSeq: 1, readSeq: 1 }]),
      leaveRoom: () => world.leaveRoom(room, bob),
      joinRoom: () => world.joinRoom(room, bob),
      removeMember: () => world.removeMember(room, ann, bob),
      setRole: () => world.setRole(room, ann, bob, 'moderator'),
      deleteRoom: () => world.deleteRoom(room, ann),
      erase: () => store.erase(10, 0),
      revoke: () => store.revoke({ ...order, expiresAtMs: Date.now() + 1000 }),
    };
    for (const [name, call] of Object.entries(calls))
      expect([name, await cancelled(call)]).toEqual([name, { status: 'rejected', reason: unavailable }]);
    await store.close();
  }, 120_000);

  test('a revocation that is there already: not acknowledged either, as this server alone may have it', async () => {
    const world = new World(await openStore(services.urls.postgres, { logger, timeoutMs: 20_000 }));
    const revocation = {
      user: await world.user(),
      atUs: 2,
      scope: 'tokens',
      token: 0n,
      code: 'TOKEN_REVOKED',
      reason: '',
      expiresAtMs: Date.now() + 1000,
    } as const;
    await world.store.revoke(revocation);
    expect(await cancelled(() => world.store.revoke(revocation))).toEqual({
      status: 'rejected',
      reason: unavailable,
    });
    await world.store.close();
  }, 60_000);
});
