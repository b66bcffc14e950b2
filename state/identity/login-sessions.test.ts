import { describe, expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import { openTestStore } from '../testing/test-store.ts';
import { LoginSessions, MAX_SESSIONS, REFRESH_GRACE_MS, SESSION_TTL_MS } from './login-sessions.ts';

const ANN = { id: 1n as UserId, name: 'user1' };
const BOB = { id: 2n as UserId, name: 'user2' };
const FROM = { client: 'phone', address: '192.0.2.1' };

async function system() {
  const clock = { nowMs: 1_800_000_000_000 };
  const store = await openTestStore();
  await store.addUser(ANN.id);
  await store.addUser(BOB.id);
  const orders: { user: UserId; code: string; token: bigint }[] = [];
  let lastId = 100n;
  const node = () =>
    new LoginSessions({
      store,
      evictions: {
        tokenId: async () => ++lastId,
        evict: async (order) => {
          orders.push({ user: order.user, code: order.code, token: order.token });
          return { ...order, atUs: 1 };
        },
        revokeAll: async ({ user, code, reason }) => {
          orders.push({ user, code, token: lastId });
          return { user, code, reason, scope: 'tokens', token: lastId, device: '', atUs: 1 };
        },
      },
      now: () => clock.nowMs,
    });
  return { clock, store, orders, one: node(), two: node() };
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error: unknown) => GochatError.from(error).code,
  );

describe('refresh', () => {
  test('the token: is good once, its successor next, on any node; the session stays the same', async () => {
    const { one, two, clock } = await system();
    const opened = await one.open(ANN, FROM);
    expect(opened).toMatchObject({ user: ANN.id, name: 'user1', session: 101n });
    clock.nowMs += 1000;
    const next = await two.refresh(opened.refreshToken);
    expect(next).toMatchObject({ user: ANN.id, name: 'user1', session: 101n });
    expect(next.expiresAtMs).toBe(clock.nowMs + SESSION_TTL_MS);
    expect(next.refreshToken).not.toBe(opened.refreshToken);
    expect((await one.refresh(next.refreshToken)).session).toBe(101n);
  });

  test('1,000 pairs at once: no log-out, and one successor, which is good', async () => {
    const { one, two, orders } = await system();
    let { refreshToken } = await one.open(ANN, FROM);
    for (let pair = 0; pair < 1000; pair++) {
      const [left, right] = await Promise.all([one.refresh(refreshToken), two.refresh(refreshToken)]);
      expect(right).toEqual(left);
      expect(left.refreshToken).not.toBe(refreshToken);
      refreshToken = left.refreshToken;
    }
    expect(orders).toEqual([]);
    expect(await one.list(ANN.id)).toHaveLength(1);
  });

  test('a stolen token used after the grace: the session and its connections end, for the thief and the user', async () => {
    const { one, two, orders, clock } = await system();
    const stolen = await one.open(ANN, FROM);
    const other = await one.open(ANN, FROM);
    const next = await one.refresh(stolen.refreshToken);
    clock.nowMs += REFRESH_GRACE_MS;
    expect(await codeOf(two.refresh(stolen.refreshToken))).toBe('REFRESH_REUSED');
    expect(orders).toEqual([{ user: ANN.id, code: 'REFRESH_REUSED', token: stolen.session }]);
    expect(await codeOf(one.refresh(next.refreshToken))).toBe('REFRESH_REUSED');
    expect(await codeOf(one.refresh(other.refreshToken))).toBe('ok');
  });

  test.each([
    ['', 'empty'],
    ['gcr_', 'nothing but its prefix'],
    ["gcr_' or 1=1 --", 'an injection'],
    ['\0', 'NUL'],
    ['😀'.repeat(40), '4-byte characters'],
    ['x'.repeat(1 << 20), '1 MB'],
    ['eyJhbGciOiJFZERTQSJ9.e30.AAAA', 'an access token'],
  ])('bad input: REFRESH_INVALID (%#)', async (text) => {
    const { one } = await system();
    expect(await codeOf(one.refresh(text))).toBe('REFRESH_INVALID');
  });

  test('altered tokens: REFRESH_INVALID where the family is wrong; another spelling is no token; the right one stays good', async () => {
    const { one, two } = await system();
    const { refreshToken } = await one.open(ANN, FROM);
    const { refreshToken: foreign } = await one.open(BOB, FROM);
    const swapped = refreshToken.slice(0, 15) + foreign.slice(15);
    for (const text of [swapped, `${refreshToken}=`, ` ${refreshToken}`, refreshToken.toUpperCase()])
      expect(await codeOf(two.refresh(text))).toBe('REFRESH_INVALID');
    expect(await codeOf(two.refresh(refreshToken))).toBe('ok');
  });

  test('expired, or ended: REFRESH_INVALID', async () => {
    const { one, clock } = await system();
    const [expired, ended] = [await one.open(ANN, FROM), await one.open(ANN, FROM)];
    await one.end(ANN.id, ended.session);
    expect(await codeOf(one.refresh(ended.refreshToken))).toBe('REFRESH_INVALID');
    clock.nowMs += SESSION_TTL_MS;
    expect(await codeOf(one.refresh(expired.refreshToken))).toBe('REFRESH_INVALID');
  });

  test('the store: has no secret of a token', async () => {
    const { one, store } = await system();
    const { refreshToken } = await one.open(ANN, FROM);
    await one.refresh(refreshToken);
    const bytes = Buffer.from(refreshToken.slice(4), 'base64url');
    const kept = JSON.stringify(
      store.rows('select family_hash, token_hash, parent_hash, salt from login_sessions'),
    );
    for (const secret of [bytes.subarray(8, 24), bytes.subarray(24)])
      for (const encoding of ['hex', 'base64url'] as const)
        expect(kept).not.toContain(secret.toString(encoding));
  });
});

describe('sessions of a user', () => {
  test('list: newest first, with the client as lists can show it', async () => {
    const { one, clock } = await system();
    await one.open(ANN, { client: `ev\u202eil\0 \u200b${'x'.repeat(5000)}`, address: '192.0.2.1' });
    clock.nowMs += 1000;
    const { session } = await one.open(ANN, FROM);
    const [newest, oldest] = await one.list(ANN.id);
    expect(newest).toMatchObject({ id: session, client: 'phone', address: '192.0.2.1' });
    expect(oldest?.client).toMatch(/^evil x+$/);
    expect(oldest?.client).toHaveLength(100);
  });

  test(`open: beyond ${MAX_SESSIONS} the oldest goes`, async () => {
    const { one, clock } = await system();
    const first = await one.open(ANN, FROM);
    for (let more = 0; more < MAX_SESSIONS; more++) {
      clock.nowMs++;
      await one.open(ANN, FROM);
    }
    expect(await one.list(ANN.id)).toHaveLength(MAX_SESSIONS);
    expect(await codeOf(one.refresh(first.refreshToken))).toBe('REFRESH_INVALID');
  });

  test('endOne: a session of the user; another number gives no order', async () => {
    const { one, orders } = await system();
    const { session } = await one.open(ANN, FROM);
    const { session: foreign } = await one.open(BOB, FROM);
    for (const number of [foreign, 0n, 2n ** 64n - 1n])
      expect(await codeOf(one.endOne(ANN.id, number))).toBe('SESSION_NOT_FOUND');
    expect(orders).toEqual([]);
    await one.endOne(ANN.id, session);
    expect(orders).toEqual([{ user: ANN.id, code: 'LOGGED_OUT', token: session }]);
    expect(await one.list(ANN.id)).toEqual([]);
    expect(await one.list(BOB.id)).toHaveLength(1);
  });

  test('endOthers: all but one; endAll: all', async () => {
    const { one, orders } = await system();
    const [a, b, c] = [await one.open(ANN, FROM), await one.open(ANN, FROM), await one.open(ANN, FROM)];
    await one.endOthers(ANN.id, b.session);
    expect(new Set(orders.map(({ token }) => token))).toEqual(new Set([a.session, c.session]));
    expect((await one.list(ANN.id)).map(({ id }) => id)).toEqual([b.session]);
    await one.endAll(ANN.id, 'LOGGED_OUT');
    expect(await one.list(ANN.id)).toEqual([]);
  });
});
