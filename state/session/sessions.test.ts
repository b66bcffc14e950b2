import { expect, test } from 'vitest';
import { GochatError, type SessionId, silentLogger, type UserId } from '../../common/mod.ts';
import { link } from '../../proto/mod.ts';
import type { Claim } from '../hot/hot-state.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { testNode } from '../testing/test-node.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { Sessions } from './sessions.ts';

test('many logins at once: the hot state gets 64 claims at a time, and all are answered in order', async () => {
  const waiting: ((claim: Claim) => void)[] = [];
  const sessions = new Sessions({
    hot: {
      claim: () => new Promise((resolve) => waiting.push(resolve)),
      release: () => Promise.resolve(),
    },
    evictions: { ready: true, poll: () => Promise.resolve(), refusal: () => undefined, newest: () => 0n },
    profiles: { namesOf: () => Promise.resolve(() => '') },
    limits: DEFAULT_LIMITS,
    logger: silentLogger,
    nextSession: () => 1n as SessionId,
  });
  const answered: number[] = [];
  const logins = Array.from({ length: 200 }, (_, conn) =>
    sessions.login(link.Login.fromPartial({ conn })).then((result) => answered.push(result.conn)),
  );
  let most = 0;
  while (answered.length < logins.length) {
    await new Promise(setImmediate);
    most = Math.max(most, waiting.length);
    for (const resolve of waiting.splice(0)) resolve({ epoch: 1n, session: 1n as SessionId, resumed: false });
  }
  expect(most).toBe(64);
  expect(answered).toEqual(Array.from({ length: 200 }, (_, conn) => conn));
});

test('an attempt that arrives after a later one of its client: is refused for good', async () => {
  const asked: unknown[] = [];
  const sessions = new Sessions({
    hot: {
      claim: (...args) => {
        asked.push(args.at(-1));
        return Promise.reject(new GochatError('SESSION_REPLACED'));
      },
      release: () => Promise.resolve(),
    },
    evictions: { ready: true, poll: () => Promise.resolve(), refusal: () => undefined, newest: () => 0n },
    profiles: { namesOf: () => Promise.resolve(() => '') },
    limits: DEFAULT_LIMITS,
    logger: silentLogger,
    nextSession: () => 1n as SessionId,
  });
  const login = link.Login.fromPartial({ conn: 3, run: 7n, attempt: 2 });
  expect(await sessions.login(login)).toMatchObject({ conn: 3, errorCode: 'SESSION_REPLACED' });
  await sessions.login(link.Login.fromPartial({ conn: 3 }));
  expect(asked).toEqual([{ run: 7n, number: 2 }, undefined]);
});

test('a claim that fails: the next one has its turn', async () => {
  let claims = 0;
  const sessions = new Sessions({
    hot: { claim: () => Promise.reject(new Error(`claim ${++claims}`)), release: () => Promise.resolve() },
    evictions: { ready: true, poll: () => Promise.resolve(), refusal: () => undefined, newest: () => 0n },
    profiles: { namesOf: () => Promise.resolve(() => '') },
    limits: DEFAULT_LIMITS,
    logger: silentLogger,
    nextSession: () => 1n as SessionId,
  });
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, conn) => sessions.login(link.Login.fromPartial({ conn }))),
  );
  expect(claims).toBe(100);
  expect(new Set(results.map(({ errorCode }) => errorCode))).toEqual(new Set(['INTERNAL']));
});

test.each([
  ['the display name', () => Promise.resolve(() => 'Ann Lee'), 'Ann Lee'],
  ['the handle where the user is not known', () => Promise.resolve(() => ''), 'ann'],
  ['the handle where the store fails', () => Promise.reject(new Error('down')), 'ann'],
  ['the handle where the store does not answer soon', () => Promise.withResolvers<never>().promise, 'ann'],
])('a login that is granted: carries %s', async (_, namesOf, displayName) => {
  const sessions = new Sessions({
    hot: {
      claim: () => Promise.resolve({ session: 1n as SessionId, epoch: 1n, resumed: false }),
      release: () => Promise.resolve(),
    },
    evictions: { ready: true, poll: () => Promise.resolve(), refusal: () => undefined, newest: () => 0n },
    profiles: { namesOf },
    limits: DEFAULT_LIMITS,
    logger: silentLogger,
    nextSession: () => 1n as SessionId,
  });
  const login = link.Login.fromPartial({ conn: 3, user: 1n, userName: 'ann' });
  expect(await sessions.login(login)).toMatchObject({ errorCode: '', displayName });
});

test('a login that is granted: its display name is the name of what the connection sends', async () => {
  const { store, worker } = await testNode();
  const room = await store.addRoom(7n, 'room', [1n, 2n]);
  await store.setDisplayName(1n as UserId, 'Ann Lee');
  const w = worker();
  w.attach(2, 2n);
  w.login({ conn: 1, connection: 1n, user: 1n, userName: 'user1', device: 'phone' });
  await eventually(() => w.lines().includes('login 1 ok'));
  w.send(1, 1, room, 'm1');
  await eventually(() => w.lines().includes('2: MESSAGE 7#1 Ann Lee: m1'));
});
