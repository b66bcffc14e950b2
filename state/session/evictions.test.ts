/** Kicks, logouts and revocations, on the hot engines that there are. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import {
  GochatError,
  type SessionId,
  silentLogger as logger,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import { client, FrameType, link, LinkKind } from '../../proto/mod.ts';
import { HotMemory } from '../hot/hot-memory.ts';
import type { EvictionOrder, HotState } from '../hot/hot-state.ts';
import { openHotState } from '../hot/mod.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { StateNode } from '../node.ts';
import { openStore } from '../store/mod.ts';
import { scratchSqlite } from '../store/contract/scratch.contract.ts';
import type { RevocationStore } from '../store/store.ts';
import { FakeWorker } from '../testing/fake-stream.ts';
import { openTestStore } from '../testing/test-store.ts';
import { TestIds, testNode } from '../testing/test-node.ts';
import { Evictions, type EvictionsOptions } from './evictions.ts';
import { eventually } from '../../test/harness/eventually.ts';

const USER = 7n as UserId;

function order(scope: EvictionOrder['scope'], token = 0n, device = ''): EvictionOrder {
  return { user: USER, scope, token, device, code: 'KICKED', reason: 'spam' };
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** Follows a hot state as one node does. */
function follow(hot: EvictionsOptions['hot'], options: Partial<EvictionsOptions> = {}) {
  const seen: bigint[] = [];
  const evictions = new Evictions({
    hot,
    store: undefined,
    ttlMs: 60_000,
    logger,
    nextId: () => 1n,
    connectionsOf: () => [],
    onEvicted: ({ token }) => seen.push(token),
    ...options,
  });
  cleanups.push(() => evictions.stop());
  return { evictions, seen };
}

async function redis(): Promise<{ hot: HotState; raw: Redis }> {
  const url = process.env['GOCHAT_TEST_REDIS'] as string;
  const hot = await openHotState(url, { logger });
  const raw = new Redis(url);
  cleanups.push(
    () => hot.close(),
    () => raw.disconnect(),
  );
  return { hot, raw };
}

describe('evictions', () => {
  test('a token: it alone is refused, for good', async () => {
    const hot = await openHotState('memory://', { logger });
    const { evictions } = follow(hot);
    await evictions.evict(order('token', 50n));
    expect([49n, 50n, 51n].map((token) => evictions.refusal(USER, token))).toEqual([
      undefined,
      'TOKEN_REVOKED',
      undefined,
    ]);
    expect(evictions.refusal(8n as UserId, 50n)).toBeUndefined();
  });

  test('all tokens up to one: those are refused, later ones are not', async () => {
    const { evictions } = follow(await openHotState('memory://', { logger }));
    await evictions.evict(order('tokens', 50n));
    expect([0n, 50n, 51n].map((token) => evictions.refusal(USER, token))).toEqual([
      'TOKEN_REVOKED',
      'TOKEN_REVOKED',
      undefined,
    ]);
  });

  test('all tokens so far: also those of a node whose clock is ahead; a later login on a node that is behind stays valid', async () => {
    const hot = await openHotState('memory://', { logger });
    const node = (number: number, offMs: number) => {
      const ids = new Snowflake(number, () => Date.now() + offMs);
      return follow(hot, { nextId: () => ids.next() }).evictions;
    };
    const [ahead, behind, other] = [node(1, 2400), node(2, -2400), node(3, -2400)];
    let token = await ahead.tokenId(USER);
    for (const one of [behind, ahead, other, behind]) {
      await one.revokeAll({ user: USER, code: 'LOGGED_OUT', reason: '' });
      const [again, sibling] = [await other.tokenId(USER), await behind.tokenId(USER)];
      await ahead.poll();
      expect([token, again, sibling].map((id) => ahead.refusal(USER, id))).toEqual([
        'TOKEN_REVOKED',
        undefined,
        undefined,
      ]);
      expect(again).not.toBe(sibling);
      token = again;
    }
  });

  test('all tokens so far: those of live connections too, whatever their node’s clock was', async () => {
    const token = 1n << 60n;
    const connectionsOf = () => [{ token, epoch: 1n }];
    const { evictions } = follow(await openHotState('memory://', { logger }), { connectionsOf });
    await evictions.revokeAll({ user: USER, code: 'KICKED', reason: '' });
    expect(evictions.refusal(USER, token)).toBe('TOKEN_REVOKED');
  });

  test('a device: connections claimed before go, later ones and tokens stay', async () => {
    const hot = await openHotState('memory://', { logger });
    const { evictions } = follow(hot);
    const before = await hot.claim(USER, 'phone', 1n as SessionId, undefined);
    await evictions.evict(order('device', 0n, 'phone'));
    const after = await hot.claim(USER, 'phone', 2n as SessionId, undefined);
    const has = (device: string, epoch: bigint) =>
      evictions.orderFor(USER, { device, token: 5n, epoch })?.reason;
    expect(has('phone', before.epoch)).toBe('spam');
    expect(has('laptop', before.epoch)).toBeUndefined();
    expect(has('phone', after.epoch)).toBeUndefined();
    expect(evictions.refusal(USER, 5n)).toBeUndefined();
  });

  test('orders: are forgotten after their time', async () => {
    const { evictions } = follow(await openHotState('memory://', { logger }), { ttlMs: 1 });
    await evictions.evict(order('token', 50n));
    await eventually(() => {
      void evictions.poll();
      return evictions.refusal(USER, 50n) === undefined;
    });
  });

  test('revocations: are read again after the hot state and all nodes have lost them', async () => {
    await using scratch = await scratchSqlite();
    const store = await openStore(scratch.url, { logger });
    cleanups.push(() => store.close());
    const first = follow(await openHotState('memory://', { logger }), { store }).evictions;
    await first.evict(order('token', 50n));
    await first.evict(order('device', 0n, 'phone'));
    await first.revokeAll({ user: 8n as UserId, code: 'LOGGED_OUT', reason: '' });
    const second = follow(await openHotState('memory://', { logger }), { store }).evictions;
    expect(second.refusal(USER, 50n)).toBeUndefined();
    await second.poll();
    expect(second.refusal(USER, 50n)).toBe('TOKEN_REVOKED');
    expect(second.refusal(USER, 51n)).toBeUndefined();
    expect(second.refusal(8n as UserId, 1n)).toBe('TOKEN_REVOKED');
    expect(second.orderFor(USER, { device: 'phone', token: 51n, epoch: 1n })).toBeUndefined();
  });

  test('a store that cannot be read: revocations are unknown, so the node is not ready', async () => {
    const store: RevocationStore = {
      revoke: () => Promise.reject(new GochatError('STORE_UNAVAILABLE')),
      revocations: () => Promise.reject(new GochatError('STORE_UNAVAILABLE')),
    };
    const { evictions } = follow(await openHotState('memory://', { logger }), { store });
    await evictions.poll();
    expect(evictions.ready).toBe(false);
    const evicted = evictions.evict(order('token', 50n));
    await expect(evicted).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(evictions.refusal(USER, 50n)).toBe('TOKEN_REVOKED');
  });

  test('Redis: an order given on one node is known on the others, also on one that starts later', async () => {
    const { hot } = await redis();
    const [a, b] = [follow(hot), follow(hot)];
    b.evictions.start();
    const token = BigInt(Date.now());
    await a.evictions.evict(order('token', token));
    await eventually(() => b.evictions.refusal(USER, token) === 'TOKEN_REVOKED');
    const late = follow(hot);
    expect(late.evictions.ready).toBe(false);
    await late.evictions.poll();
    expect(late.evictions.ready).toBe(true);
    expect(late.evictions.refusal(USER, token)).toBe('TOKEN_REVOKED');
  });

  test("Redis: two nodes that give orders at once learn each other's", async () => {
    const { hot } = await redis();
    const [a, b] = [follow(hot), follow(hot)];
    const base = BigInt(Date.now()) * 1000n;
    const tokens = Array.from({ length: 20 }, (_, index) => base + BigInt(index));
    await Promise.all(
      tokens.map((token, index) => (index % 2 ? a : b).evictions.evict(order('token', token))),
    );
    for (const { evictions, seen } of [a, b]) {
      await evictions.poll();
      for (const token of tokens) expect(seen.filter((other) => other === token)).toEqual([token]);
    }
  });

  test('Redis wiped: nodes write their orders back', async () => {
    const { hot, raw } = await redis();
    const { evictions } = follow(hot);
    const token = BigInt(Date.now());
    await evictions.evict(order('token', token));
    await evictions.poll();
    await raw.del('gochat:evictions');
    await evictions.poll();
    const late = follow(hot);
    await late.evictions.poll();
    expect(late.evictions.refusal(USER, token)).toBe('TOKEN_REVOKED');
  });

  test('an order that expires in the hot state first: does not count as lost', async () => {
    let nowMs = 1_000_000;
    const hot = new HotMemory({ now: () => nowMs, wallNow: () => nowMs });
    const restored: number[] = [];
    const restoreEvictions: HotState['restoreEvictions'] = async (evictions, ttlMs) => {
      const kept = await hot.restoreEvictions(evictions, ttlMs);
      restored.push(kept);
      return kept;
    };
    const { evictions } = follow({
      evict: (given, ttlMs) => hot.evict(given, ttlMs),
      evictions: (fromUs) => hot.evictions(fromUs),
      restoreEvictions,
    });
    await evictions.evict(order('token', 50n));
    await evictions.poll();
    nowMs += 60_000;
    for (let turn = 0; turn < 3; turn++) await evictions.poll();
    expect(restored).toEqual([0]);
    expect(evictions.refusal(USER, 50n)).toBe('TOKEN_REVOKED');
  });

  test('Redis unavailable: not ready, and an order is refused as retryable', async () => {
    const { hot } = await redis();
    const { evictions } = follow(hot);
    await hot.close();
    await evictions.poll();
    expect(evictions.ready).toBe(false);
    await expect(evictions.evict(order('token', 1n))).rejects.toMatchObject({ code: 'HOT_UNAVAILABLE' });
  });
});

describe('a node', () => {
  const kicks = (records: readonly Uint8Array[]) =>
    records
      .filter((record) => record[0] === LinkKind.KICK)
      .map((record) => link.Kick.decode(record.subarray(1)));

  test('an order: ends its connections, on every stream', async () => {
    const { node, worker } = await testNode();
    const [a, b] = [worker(), worker()];
    a.attach(1, USER, { device: 'phone', token: 50n });
    b.attach(2, USER, { device: 'laptop', token: 50n });
    b.attach(3, USER, { device: 'tv', token: 51n });
    b.attach(4, 8n, { device: 'phone', token: 50n });
    a.take();
    b.take();
    await node.evictions.evict(order('token', 50n));
    expect(kicks(a.take())).toEqual([{ conn: 1, code: 'KICKED', reason: 'spam' }]);
    expect(kicks(b.take())).toEqual([{ conn: 2, code: 'KICKED', reason: 'spam' }]);
    expect(node.locations.size).toBe(2);
  });

  test('a kick, a logout, a revocation given on another node: end the connections with the next poll', async () => {
    const hot = await openHotState('memory://', { logger });
    const store = await openTestStore();
    const [giving, learning] = [1, 2].map((number) => {
      const ids = new TestIds(number);
      return new StateNode({ store, hot, ids, limits: DEFAULT_LIMITS, logger });
    }) as [StateNode, StateNode];
    const worker = new FakeWorker((stream) => learning.accept(stream));
    worker.attach(1, USER, { device: 'phone', token: 50n });
    worker.attach(2, USER, { device: 'desk', token: 51n });
    worker.attach(3, USER, { device: 'tv', token: 52n });
    worker.take();
    const told = async () => {
      await learning.evictions.poll();
      return kicks(worker.take()).map(({ conn }) => conn);
    };
    await giving.evictions.evict(order('device', 0n, 'phone'));
    expect(await told()).toEqual([1]);
    await giving.evictions.evict(order('token', 51n));
    expect(await told()).toEqual([2]);
    await giving.evictions.revokeAll({ user: USER, code: 'KICKED', reason: '' });
    expect(await told()).toEqual([3]);
    expect(await told()).toEqual([]);
    for (const node of [giving, learning]) node.stop();
  });

  test('a kick after the clock was set back: ends earlier claims, and a new login stays', async () => {
    const { node, worker } = await testNode();
    const a = worker();
    const epoch = BigInt(Date.now() + 86_400_000) * 1000n;
    a.attach(1, USER, { device: 'phone', epoch });
    a.take();
    await node.evictions.evict(order('device'));
    expect(kicks(a.take()).map(({ conn }) => conn)).toEqual([1]);
    a.login({ conn: 2, user: USER, userName: 'ann', device: 'phone' });
    let result: link.LoginResult | undefined;
    await eventually(() => {
      for (const record of a.take())
        if (record[0] === LinkKind.LOGIN_RESULT) result = link.LoginResult.decode(record.subarray(1));
      return result !== undefined;
    });
    a.attach(2, USER, { device: 'phone', epoch: result?.epoch as bigint });
    expect(kicks(a.take())).toEqual([]);
    expect(node.locations.connectionsOf(USER).map(({ conn }) => conn)).toEqual([2]);
  });

  test('a connection that attaches after its eviction: ends', async () => {
    const { node, worker } = await testNode();
    const a = worker();
    await node.evictions.evict(order('tokens', 50n));
    a.attach(1, USER, { token: 50n });
    a.attach(2, USER, { token: 51n });
    expect(kicks(a.take()).map(({ conn }) => conn)).toEqual([1]);
  });

  test('a connection with another token: orders find it by the newest one', async () => {
    const { node, worker } = await testNode();
    const a = worker();
    a.attach(1, USER, { token: 50n });
    a.attach(2, USER, { token: 50n });
    a.renew(1, 51n);
    a.renew(9, 51n);
    a.take();
    await node.evictions.evict(order('token', 50n));
    expect(kicks(a.take()).map(({ conn }) => conn)).toEqual([2]);
    await node.evictions.evict(order('token', 51n));
    expect(kicks(a.take()).map(({ conn }) => conn)).toEqual([1]);
    expect(node.locations.size).toBe(0);
  });

  test('a connection with another token that is revoked already: ends', async () => {
    const { node, worker } = await testNode();
    const a = worker();
    a.attach(1, USER, { token: 50n });
    a.attach(2, USER, { token: 50n });
    await node.evictions.evict(order('token', 51n));
    a.take();
    a.renew(1, 51n);
    a.renew(2, 52n);
    expect(kicks(a.take())).toEqual([{ conn: 1, code: 'KICKED', reason: 'spam' }]);
  });

  test('a login with a revoked token: TOKEN_REVOKED', async () => {
    const { node, worker } = await testNode();
    const a = worker();
    await node.evictions.evict(order('token', 50n));
    a.take();
    a.login({ conn: 1, user: USER, userName: 'ann', device: 'phone', token: 50n });
    a.login({ conn: 2, user: USER, userName: 'ann', device: 'phone', token: 51n });
    const results: link.LoginResult[] = [];
    await eventually(() => {
      for (const record of a.take())
        if (record[0] === LinkKind.LOGIN_RESULT) results.push(link.LoginResult.decode(record.subarray(1)));
      return results.length === 2;
    });
    expect(results.toSorted((x, y) => x.conn - y.conn).map(({ errorCode }) => errorCode)).toEqual([
      'TOKEN_REVOKED',
      '',
    ]);
  });

  test('a dropped device: is still in /who; a closed one is not', async () => {
    const { store, worker } = await testNode();
    await store.addRoom(9n, 'room', [1n, 2n, 3n, 4n]);
    const [a, b] = [worker(), worker()];
    for (const user of [1n, 2n, 3n]) a.attach(Number(user), user);
    b.attach(1, 4n);
    a.detach(2, false);
    a.detach(3, true);
    b.end('lost');
    a.take();
    a.request(1, 5, 9n, { $case: 'getMembers', getMembers: { after: '', limit: 0 } });
    let online: bigint[] = [];
    await eventually(() => {
      for (const { type, payload } of a.delivered()) {
        if (type !== FrameType.RESPONSE) continue;
        const { result } = client.Response.decode(payload);
        if (result?.$case === 'members')
          online = result.members.members.filter((member) => member.online).map(({ user }) => user);
      }
      return online.length > 0;
    });
    expect(new Set(online)).toEqual(new Set([1n, 2n, 4n]));
  });
});

describe('one live connection per device', () => {
  test.each(['memory', 'Redis'])(
    '%s: a replaced connection that arrives late neither takes the device back nor ends the newer one',
    async (name) => {
      const hot = name === 'Redis' ? (await redis()).hot : await openHotState('memory://', { logger });
      const { node, worker } = await testNode();
      const device = `d-${randomUUID()}`;
      const loser = await hot.claim(USER, device, 1n as SessionId, undefined);
      const winner = await hot.claim(USER, device, 2n as SessionId, undefined);
      const [slow, fast] = [worker(), worker()];
      fast.attach(1, USER, { device, epoch: winner.epoch });
      fast.take();
      // Its login was answered first and its ATTACH comes last.
      slow.attach(1, USER, { device, epoch: loser.epoch });
      expect(slow.take().map((record) => record[0])).toContain(LinkKind.KICK);
      expect(fast.take()).toEqual([]);
      expect(node.locations.connectionsOf(USER).map(({ epoch }) => epoch)).toEqual([winner.epoch]);
      await hot.release(USER, device, loser.epoch, 0);
      expect(await hot.holder(USER, device)).toEqual({ session: 2n, epoch: winner.epoch });
    },
  );
});
