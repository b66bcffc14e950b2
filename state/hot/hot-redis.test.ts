import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger, type UserId } from '../../common/mod.ts';
import { type Services, startServices } from '../../test/harness/services.ts';
import { HELD_TTL_MS } from './hot-state.ts';
import { hotStateContract, newUser, session } from './hot-state.contract.ts';
import { openHotState } from './mod.ts';
import { eventually } from '../../test/harness/eventually.ts';

const logger = silentLogger;
const unavailable = { code: 'HOT_UNAVAILABLE' };

let services: Services;
let admin: Redis;
let url: string;

beforeAll(async () => {
  services = await startServices({ only: ['redis'] });
  url = services.urls.redis;
  admin = new Redis(url);
  admin.on('error', () => undefined);
});

afterAll(async () => {
  admin.disconnect();
  await services[Symbol.asyncDispose]();
});

hotStateContract('HotRedis', () => ({
  open: () => openHotState(url, { logger }),
  // Redis expires by its own clock, so that clock is what to wait for.
  elapse: async (ms) => {
    const key = `elapse:${newUser()}`;
    await admin.set(key, '', 'PX', ms);
    await expect.poll(() => admin.exists(key), { timeout: ms + 60_000 }).toBe(0);
  },
}));

describe('HotRedis', () => {
  test('keys: one for each device, tagged for Redis Cluster, with an expiry', async () => {
    await using hot = await openHotState(url, { logger });
    const user = newUser();
    const claim = await hot.claim(user, 'phone', session(1), undefined);
    const key = `gochat:session:{${user}:phone}`;
    expect(await admin.hgetall(key)).toEqual({
      epoch: `${claim.epoch}`,
      session: '1',
      held: '1',
      run: '',
      attempt: '0',
    });
    expect(await admin.pttl(key)).toBeGreaterThan(HELD_TTL_MS - 60_000);
    await hot.allow(`k${user}`, 1, 5);
    expect(await admin.pttl(`gochat:rate:{k${user}}`)).toBeGreaterThan(0);
    await hot.release(user, 'phone', claim.epoch, 60_000);
    expect(await admin.pttl(key)).toBeLessThanOrEqual(60_000);
  });

  test('one round trip: each script is sent once, and later by its hash', async () => {
    await using hot = await openHotState(url, { logger });
    const user = newUser();
    const all = async () => {
      const { epoch } = await hot.claim(user, 'phone', session(1), undefined);
      await hot.holder(user, 'phone');
      await hot.release(user, 'phone', epoch, 1000);
      await hot.allow(`k${user}`, 1, 100);
    };
    await all();
    const before = await calls();
    await all();
    const after = await calls();
    expect(after.evalsha - before.evalsha).toBe(3);
    expect(after.eval - before.eval).toBe(0);
  });

  test('claims, and releases, that are made together: one call, each with its own answer', async () => {
    await using hot = await openHotState(url, { logger });
    const users = Array.from({ length: 20 }, newUser);
    const claimAll = () =>
      Promise.all(users.map((user, i) => hot.claim(user, 'phone', session(i + 1), session(100 + i))));
    await hot.release(newUser(), 'phone', (await claimAll())[0]?.epoch ?? 0n, 0);
    const before = await calls();
    const claims = await claimAll();
    await Promise.all(claims.map(({ epoch }, i) => hot.release(users[i] as UserId, 'phone', epoch, 0)));
    expect((await calls()).evalsha - before.evalsha).toBe(2);
    expect(claims.map((claim) => claim.session)).toEqual(users.map((_, i) => session(i + 1)));
    for (const user of users) expect(await hot.holder(user, 'phone')).toBeUndefined();
  });

  test('claims from two connections: have distinct epochs and one final holder', async () => {
    await using one = await openHotState(url, { logger });
    await using two = await openHotState(url, { logger });
    const user = newUser();
    const claims = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        (i % 2 === 0 ? one : two).claim(user, 'phone', session(i + 1), undefined),
      ),
    );
    expect(new Set(claims.map((claim) => claim.epoch)).size).toBe(200);
    const newest = claims.reduce((a, b) => (a.epoch > b.epoch ? a : b));
    // All the losers give up late; the winner stays.
    await Promise.all(
      claims
        .filter((c) => c !== newest)
        .map((c, i) => (i % 2 === 0 ? two : one).release(user, 'phone', c.epoch, 0)),
    );
    const holder = { session: newest.session, epoch: newest.epoch };
    expect(await one.holder(user, 'phone')).toEqual(holder);
    expect(await two.holder(user, 'phone')).toEqual(holder);
  });

  test('a loss of all data: epochs still grow', async () => {
    await using hot = await openHotState(url, { logger });
    const user = newUser();
    const first = await hot.claim(user, 'phone', session(1), undefined);
    await admin.flushall();
    expect(await hot.holder(user, 'phone')).toBeUndefined();
    const second = await hot.claim(user, 'phone', session(2), session(1));
    expect(second).toMatchObject({ session: 2n, resumed: false });
    expect(second.epoch).toBeGreaterThan(first.epoch);
  });

  test('a loss of the scripts: they are sent again', async () => {
    await using hot = await openHotState(url, { logger });
    const user = newUser();
    await hot.claim(user, 'phone', session(1), undefined);
    await admin.script('FLUSH');
    expect(await hot.claim(user, 'phone', session(2), session(1))).toMatchObject({ resumed: true });
  });

  test('an error of Redis: is HOT_UNAVAILABLE with the cause', async () => {
    await using hot = await openHotState(url, { logger });
    const user = newUser();
    await admin.set(`gochat:session:{${user}:phone}`, 'text');
    await expect(hot.holder(user, 'phone')).rejects.toMatchObject({
      ...unavailable,
      cause: expect.objectContaining({ message: expect.stringContaining('WRONGTYPE') }),
    });
  });
});

describe('HotRedis on an engine that fails', () => {
  test.each(['stop', 'kill'] as const)(
    '%s: calls are refused, then work again by themselves',
    async (how) => {
      await using hot = await openHotState(url, { logger });
      const user = newUser();
      const { epoch } = await hot.claim(user, 'phone', session(1), undefined);
      await services[how]('redis');
      await expect(hot.claim(user, 'phone', session(2), undefined)).rejects.toMatchObject(unavailable);
      await expect(hot.ping()).rejects.toMatchObject(unavailable);
      await services.start('redis');
      await eventually(() => hot.ping());
      const again = await hot.claim(user, 'phone', session(3), undefined);
      expect(again.epoch).toBeGreaterThan(epoch);
    },
  );

  test('frozen: calls are refused by timeout, then without waiting, then work again', async () => {
    await using hot = await openHotState(url, { logger, timeoutMs: 200 });
    const user = newUser();
    await eventually('a claim', () => hot.claim(user, 'phone', session(1), undefined));
    await services.pause('redis');
    await expect(hot.holder(user, 'phone')).rejects.toMatchObject(unavailable);
    // Once the dead connection is given up, nothing is even sent.
    await eventually('refusals without waiting', () =>
      expect(hot.ping()).rejects.toMatchObject({
        cause: expect.objectContaining({ message: expect.stringContaining("isn't writeable") }),
      }),
    );
    await services.resume('redis');
    const holder = await eventually('an answer', () => hot.holder(user, 'phone'));
    expect(holder).toMatchObject({ session: 1n });
  });

  test('close: does not hang while Redis is away', async () => {
    const hot = await openHotState(url, { logger });
    await services.stop('redis');
    await hot.close();
    await services.start('redis');
    await eventually(() => admin.ping());
  });
});

describe('openHotState', () => {
  test('nothing listens: HOT_UNREACHABLE, without the password', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await expect.poll(() => server.listening).toBe(true);
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await new Promise((resolve) => server.close(resolve));
    const failure = openHotState(`redis://:sesame@127.0.0.1:${port}`, { logger });
    await expect(failure).rejects.toMatchObject({ code: 'HOT_UNREACHABLE' });
    await expect(failure).rejects.toThrow(`redis://:***@127.0.0.1:${port}: connect ECONNREFUSED`);
  });

  test('wrong password: HOT_UNREACHABLE that says so', async () => {
    const wrong = new URL(url);
    wrong.password = 'wrong';
    const failure = openHotState(wrong.href, { logger });
    await expect(failure).rejects.toMatchObject({ code: 'HOT_UNREACHABLE' });
    await expect(failure).rejects.toThrow(/WRONGPASS|invalid/i);
  });

  test('no password: HOT_UNREACHABLE that says so', async () => {
    const failure = openHotState(url.replace(/:\/\/.*@/, '://'), { logger });
    await expect(failure).rejects.toMatchObject({ code: 'HOT_UNREACHABLE' });
    await expect(failure).rejects.toThrow(/NOAUTH/);
  });

  test('a database by number: is a separate one', async () => {
    await using zero = await openHotState(url, { logger });
    await using one = await openHotState(`${url.replace(/\/$/, '')}/1`, { logger });
    const user = newUser();
    await zero.claim(user, 'phone', session(1), undefined);
    expect(await one.holder(user, 'phone')).toBeUndefined();
  });

  test('memory://: needs no engine', async () => {
    await using hot = await openHotState('memory://', { logger });
    await hot.ping();
  });

  test.each([
    ['http://127.0.0.1:6379', 'it is not redis://'],
    ['redis://', 'it is not redis://'],
    ['redis://host:99999', 'host:99999 is not HOST[:PORT]'],
    ['redis://host:x', 'host:x is not HOST[:PORT]'],
    ['redis://host/zero', 'not the number of a database'],
    ['redis://host/0/1', 'not the number of a database'],
    ['redis://host/0?tls=1', 'no parameter tls'],
    ['redis://host?cluster=yes', 'cluster is true or false'],
    ['redis://host/1?cluster=true', 'only database 0'],
    ['redis://a,b', 'several hosts'],
    ['redis://:%zz@host', 'percent-encoded'],
    ['redis+sentinel://a,b', 'does not name the server'],
    ['redis+sentinel://a,b/chat/zero', 'not the number of a database'],
    ['redis+sentinel://a,b/chat?cluster=true', 'no parameter cluster'],
    ['memory://x', 'it is not redis://'],
  ])('%s: CONFIG_INVALID that says why', async (wrong, why) => {
    const failure = openHotState(wrong, { logger });
    await expect(failure).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(failure).rejects.toThrow(why);
  });

  test('errors show no password', async () => {
    const wrong = 'redis+sentinel://ann:sesame@a,b/chat?sentinel_password=poppy&x=1';
    await expect(openHotState(wrong, { logger })).rejects.not.toThrow(/sesame|poppy/);
  });
});

async function calls(): Promise<{ eval: number; evalsha: number }> {
  const stats = await admin.info('commandstats');
  const count = (command: string) =>
    Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  return { eval: count('eval'), evalsha: count('evalsha') };
}
