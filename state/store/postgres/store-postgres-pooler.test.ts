/** PostgreSQL behind PgBouncer. */
import { expect, test } from 'vitest';
import { silentLogger as logger } from '../../../common/mod.ts';
import { PgBouncer } from '../../../test/harness/pgbouncer.ts';
import { openStore } from '../mod.ts';
import { scratchPostgres, World } from '../contract/scratch.contract.ts';

test.each(['transaction', 'session'] as const)(
  '%s pooling: several nodes start and work at once',
  async (mode) => {
    await using scratch = await scratchPostgres();
    await scratch.execute(
      `alter database ${new URL(scratch.url).pathname.slice(1)} set synchronous_commit = on`,
    );
    await using bouncer = await PgBouncer.start(scratch.url, mode);
    // In session mode each connection is one of the server's, of which there are few.
    const connections = mode === 'session' ? 1 : 8;
    const nodes = mode === 'session' ? 1 : 3;
    const worlds = await Promise.all(
      Array.from(
        { length: nodes },
        async () =>
          new World(await openStore(bouncer.url, { logger, connections, timeoutMs: 20_000 }), scratch),
      ),
    );
    const [first] = worlds as [World];
    const users = await Promise.all(worlds.map((world) => world.user()));
    const room = await first.room(...users);
    // Each node comes to its statements in another order.
    const work = worlds.map(async (world, n) => {
      const user = users[n] as (typeof users)[number];
      for (let round = 0; round < 20; round++) {
        const calls = [
          () => world.append([world.draft(room, user), world.draft(room, user)]),
          () => world.sync({ user, device: '', cursors: new Map([[room, 0]]), limit: 10 }),
          () =>
            world.store.moveCursors([
              { user, device: 'd', conversation: room, deliveredSeq: round, readSeq: round },
            ]),
          () => world.store.membersOf(room),
          () => world.store.findAccount('nobody'),
        ];
        const turned = calls.map((_, i) => calls[(i + n + round) % calls.length] as (typeof calls)[number]);
        await Promise.all(turned.map((call) => call()));
      }
    });
    await Promise.all(work);
    const page = await first.history(users[0] as (typeof users)[number], room, 0, 1000);
    expect(page?.messages.map(({ seq }) => seq)).toEqual(
      Array.from({ length: nodes * 40 }, (_, index) => index + 1),
    );
    await Promise.all(worlds.map((world) => world.store.close()));
  },
  60_000,
);

test.each([
  ['transaction', 'synchronous_commit = off', /synchronous_commit is off .* alter role/],
  ['transaction', 'client_min_messages = error', /client_min_messages is error .* alter role/],
  ['statement', 'synchronous_commit = on', /statement pooling mode/],
] as const)('%s pooling, %s: refused at start with what to do', async (mode, setting, reason) => {
  await using scratch = await scratchPostgres();
  const name = new URL(scratch.url).pathname.slice(1);
  await scratch.execute(`alter database ${name} set synchronous_commit = on`);
  await scratch.execute(`alter database ${name} set ${setting}`);
  await using bouncer = await PgBouncer.start(scratch.url, mode);
  await expect(openStore(bouncer.url, { logger })).rejects.toMatchObject({
    code: 'STORE_UNREACHABLE',
    message: expect.stringMatching(reason),
  });
});
