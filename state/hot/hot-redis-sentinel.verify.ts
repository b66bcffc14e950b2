/** Hot state on a real Redis with a replica, found through a real Sentinel that makes them change places. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger as logger } from '../../common/mod.ts';
import { freePorts } from '../../test/harness/services.ts';
import { RedisProcess } from '../testing/redis-process.ts';
import { newUser, session } from './hot-state.contract.ts';
import { openHotState } from './mod.ts';
import { eventually } from '../../test/harness/eventually.ts';

const PASSWORD = 'sesame';
const SENTINEL_PASSWORD = 'poppy';

let first: RedisProcess;
let second: RedisProcess;
let sentinel: RedisProcess;
let url: string;

beforeAll(async () => {
  const login = [`requirepass ${PASSWORD}`, `masterauth ${PASSWORD}`];
  first = await RedisProcess.start(login, { password: PASSWORD });
  second = await RedisProcess.start([...login, `replicaof 127.0.0.1 ${first.port}`], { password: PASSWORD });
  await eventually('a replica', async () => (await first.admin.info('replication')).includes('state=online'));
  sentinel = await RedisProcess.start(
    [
      `requirepass ${SENTINEL_PASSWORD}`,
      `sentinel monitor chat 127.0.0.1 ${first.port} 1`,
      `sentinel auth-pass chat ${PASSWORD}`,
      'sentinel down-after-milliseconds chat 500',
      'sentinel failover-timeout chat 3000',
    ],
    { password: SENTINEL_PASSWORD },
    'sentinel',
  );
  await eventually('a replica that the sentinel knows', async () => {
    const replicas = (await sentinel.admin.call('SENTINEL', 'REPLICAS', 'chat')) as unknown[];
    return replicas.length === 1;
  });
  const [dead] = await freePorts(1);
  const hosts = `127.0.0.1:${dead},127.0.0.1:${sentinel.port}`;
  url = `redis+sentinel://:${PASSWORD}@${hosts}/chat?sentinel_password=${SENTINEL_PASSWORD}`;
});
afterAll(async () => {
  for (const each of [sentinel, second, first]) await each?.[Symbol.asyncDispose]();
});

describe('redis+sentinel://', () => {
  test('failovers, one commanded while the old server lives and one by its death: calls go on at the new server', async () => {
    await using hot = await openHotState(url, { logger });
    const user = newUser();
    const key = `gochat:session:{${user}:phone}`;
    const claim = await hot.claim(user, 'phone', session(1), undefined);
    await eventually('the replica has it', async () => (await second.admin.exists(key)) === 1);

    await sentinel.admin.call('SENTINEL', 'FAILOVER', 'chat');
    await expect.poll(async () => (await second.admin.role())[0]).toBe('master');
    const again = await eventually(() => hot.claim(user, 'phone', session(2), session(1)));
    expect(again).toMatchObject({ session: 1n, resumed: true });
    expect(again.epoch).toBeGreaterThan(claim.epoch);
    await eventually('the first follows the second', async () => {
      expect((await first.admin.role())[0]).toBe('slave');
      expect(await second.admin.info('replication')).toContain('state=online');
      const [info] = (await sentinel.admin.call('SENTINEL', 'REPLICAS', 'chat')) as [string[]];
      expect(info[info.indexOf('flags') + 1]).toBe('slave');
    });
    await second.admin.wait(1, 10_000);

    await second.kill();
    await expect(hot.ping()).rejects.toMatchObject({ code: 'HOT_UNAVAILABLE' });
    await eventually(() => hot.claim(user, 'phone', session(3), session(1)));
    expect((await first.admin.role())[0]).toBe('master');
    expect(await hot.holder(user, 'phone')).toMatchObject({ session: 1n });
  }, 180_000);

  test.each([
    ['a name that they do not know', () => url.replace('/chat', '/chess'), 'No such master'],
    ['a wrong password of theirs', () => url.replace('poppy', 'rose'), /WRONGPASS|NOAUTH|invalid/],
    ['none that answers', () => url.replace(/,[^/]+/, ''), 'failed to connect to sentinel'],
  ])('%s: HOT_UNREACHABLE that says so, without the passwords', async (_, wrong, words) => {
    const failure = openHotState(wrong(), { logger });
    await expect(failure).rejects.toMatchObject({ code: 'HOT_UNREACHABLE' });
    await expect(failure).rejects.toThrow(words);
    await expect(failure).rejects.not.toThrow(/sesame|poppy|rose/);
  });
});
