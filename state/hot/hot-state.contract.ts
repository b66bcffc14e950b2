/** Contract of HotState, run by each implementation's test. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SessionId, UserId } from '../../common/mod.ts';
import { type Eviction, type EvictionOrder, type HotState, MAX_REMEMBERED } from './hot-state.ts';

export interface HotStateSubject {
  open(): Promise<HotState>;
  /** Lets time pass on the clock of expiry. */
  elapse(ms: number): Promise<void>;
}

let lastUser = BigInt(Date.now()) * 1000n;

/** A user that no other test has. */
export function newUser(): UserId {
  lastUser++;
  return lastUser as UserId;
}

export function session(id: number): SessionId {
  return BigInt(id) as SessionId;
}

export function wallMicros(): bigint {
  return BigInt(Date.now()) * 1000n;
}

/** An order to end all connections of a user. */
function kick(user: UserId): EvictionOrder {
  return { user, scope: 'device', token: 0n, device: '', code: 'KICKED', reason: 'test' };
}

export function hotStateContract(name: string, subject: () => HotStateSubject): void {
  describe(`${name}: contract`, () => {
    let hot: HotState;
    const key = () => `test:${newUser()}`;

    beforeAll(async () => {
      hot = await subject().open();
    });
    afterAll(async () => {
      await hot.close();
    });

    test('claim: the first one gets a new session', async () => {
      const user = newUser();
      const before = wallMicros();
      const claim = await hot.claim(user, 'phone', session(11), undefined);
      expect(claim).toMatchObject({ session: 11n, resumed: false });
      expect(claim.epoch).toBeGreaterThanOrEqual(before);
      expect(await hot.holder(user, 'phone')).toEqual({ session: 11n, epoch: claim.epoch });
    });

    test('claim: a later one has a greater epoch and takes over', async () => {
      const user = newUser();
      const first = await hot.claim(user, 'phone', session(1), undefined);
      const second = await hot.claim(user, 'phone', session(2), undefined);
      expect(second).toMatchObject({ session: 2n, resumed: false });
      expect(second.epoch).toBeGreaterThan(first.epoch);
      expect(await hot.holder(user, 'phone')).toEqual({ session: 2n, epoch: second.epoch });
    });

    test("claim: resumes the device's session, and none that it never had", async () => {
      const user = newUser();
      const first = await hot.claim(user, 'phone', session(1), undefined);
      const resumed = await hot.claim(user, 'phone', session(2), session(1));
      expect(resumed).toMatchObject({ session: 1n, resumed: true });
      expect(resumed.epoch).toBeGreaterThan(first.epoch);
      expect(await hot.claim(user, 'phone', session(3), session(77))).toMatchObject({
        session: 3n,
        resumed: false,
      });
    });

    test('claim: an attempt that arrives after a later one of the same client is refused', async () => {
      const user = newUser();
      const run = 18_446_744_073_709_551_615n;
      const claim = (number: number, of = run) =>
        hot.claim(user, 'phone', session(number), undefined, 0n, { run: of, number });
      const replaced = { code: 'SESSION_REPLACED' };
      await claim(1);
      const second = await claim(10);
      await expect(claim(9)).rejects.toMatchObject(replaced);
      expect(await hot.holder(user, 'phone')).toEqual({ session: 10n, epoch: second.epoch });
      // The same one may be asked for twice, and what it has released is still its own.
      const again = await claim(10);
      await hot.release(user, 'phone', again.epoch, 60_000);
      await expect(claim(9)).rejects.toMatchObject(replaced);
      expect(await claim(11)).toMatchObject({ session: 11n });
      // Another start of the client, and clients that do not count.
      expect(await claim(1, 5n)).toMatchObject({ session: 1n });
      expect(await hot.claim(user, 'phone', session(2), undefined)).toMatchObject({ session: 2n });
      expect(await claim(1)).toMatchObject({ session: 1n });
    });

    test('claim: takes ids of 63 bits whole', async () => {
      const user = 9_223_372_036_854_775_807n as UserId;
      const id = 9_223_372_036_854_775_783n as SessionId;
      await hot.claim(user, 'phone', id, undefined);
      expect(await hot.claim(user, 'phone', session(1), id)).toMatchObject({ session: id, resumed: true });
      expect((await hot.holder(user, 'phone'))?.session).toBe(id);
    });

    test('claim: users and devices are independent', async () => {
      const [user, other] = [newUser(), newUser()];
      await hot.claim(user, 'phone', session(1), undefined);
      await hot.claim(user, 'laptop', session(2), undefined);
      await hot.claim(other, 'phone', session(3), undefined);
      expect((await hot.holder(user, 'phone'))?.session).toBe(1n);
      expect((await hot.holder(user, 'laptop'))?.session).toBe(2n);
      expect((await hot.holder(other, 'phone'))?.session).toBe(3n);
      expect(await hot.holder(other, 'laptop')).toBeUndefined();
    });

    test('claim: many at once get distinct epochs and leave one holder', async () => {
      const user = newUser();
      const claims = await Promise.all(
        Array.from({ length: 100 }, (_, i) => hot.claim(user, 'phone', session(i + 1), undefined)),
      );
      expect(new Set(claims.map((claim) => claim.epoch)).size).toBe(100);
      const newest = claims.reduce((a, b) => (a.epoch > b.epoch ? a : b));
      expect(await hot.holder(user, 'phone')).toEqual({ session: newest.session, epoch: newest.epoch });
    });

    test('release: ends the hold; the session resumes within the grace period', async () => {
      const user = newUser();
      const first = await hot.claim(user, 'phone', session(1), undefined);
      await hot.release(user, 'phone', first.epoch, 60_000);
      expect(await hot.holder(user, 'phone')).toBeUndefined();
      const again = await hot.claim(user, 'phone', session(2), session(1));
      expect(again).toMatchObject({ session: 1n, resumed: true });
      expect(again.epoch).toBeGreaterThan(first.epoch);
      expect(await hot.holder(user, 'phone')).toEqual({ session: 1n, epoch: again.epoch });
    });

    test('release: after the grace period the session is gone, and epochs still grow', async () => {
      const user = newUser();
      const first = await hot.claim(user, 'phone', session(1), undefined);
      await hot.release(user, 'phone', first.epoch, 50);
      await subject().elapse(51);
      const again = await hot.claim(user, 'phone', session(2), session(1));
      expect(again).toMatchObject({ session: 2n, resumed: false });
      expect(again.epoch).toBeGreaterThan(first.epoch);
    });

    test('release: a grace period ends with the next claim', async () => {
      const user = newUser();
      const first = await hot.claim(user, 'phone', session(1), undefined);
      await hot.release(user, 'phone', first.epoch, 50);
      const again = await hot.claim(user, 'phone', session(1), session(1));
      await subject().elapse(51);
      expect(await hot.holder(user, 'phone')).toMatchObject({ epoch: again.epoch });
    });

    test('release: without grace nothing can be resumed', async () => {
      const user = newUser();
      const first = await hot.claim(user, 'phone', session(1), undefined);
      await hot.release(user, 'phone', first.epoch, 0);
      expect(await hot.holder(user, 'phone')).toBeUndefined();
      expect(await hot.claim(user, 'phone', session(2), session(1))).toMatchObject({ resumed: false });
    });

    test('release: by a replaced connection does not end the newer claim', async () => {
      const user = newUser();
      const loser = await hot.claim(user, 'phone', session(1), undefined);
      const winner = await hot.claim(user, 'phone', session(2), undefined);
      await hot.release(user, 'phone', loser.epoch, 0);
      expect(await hot.holder(user, 'phone')).toEqual({ session: 2n, epoch: winner.epoch });
    });

    test('release: twice, or of what was never claimed, does nothing', async () => {
      const user = newUser();
      await hot.release(user, 'phone', 5n, 1000);
      const claim = await hot.claim(user, 'phone', session(1), undefined);
      await hot.release(user, 'phone', claim.epoch, 60_000);
      await hot.release(user, 'phone', claim.epoch, 0);
      expect(await hot.claim(user, 'phone', session(2), session(1))).toMatchObject({ resumed: true });
    });

    test('allow: gives the burst, then says when there is more', async () => {
      const bucket = key();
      for (let i = 0; i < 3; i++)
        expect(await hot.allow(bucket, 0.01, 3)).toEqual({ allowed: true, retryAfterMs: 0 });
      const refused = await hot.allow(bucket, 0.01, 3);
      expect(refused.allowed).toBe(false);
      expect(refused.retryAfterMs).toBeGreaterThan(0);
      expect(refused.retryAfterMs).toBeLessThanOrEqual(100_000);
    });

    test('allow: a refusal costs nothing, and the wait it names is enough', async () => {
      const bucket = key();
      expect((await hot.allow(bucket, 1, 1)).allowed).toBe(true);
      for (let i = 0; i < 5; i++) await hot.allow(bucket, 1, 1);
      const { retryAfterMs } = await hot.allow(bucket, 1, 1);
      await subject().elapse(retryAfterMs);
      expect((await hot.allow(bucket, 1, 1)).allowed).toBe(true);
    });

    test('allow: buckets are independent', async () => {
      const [one, two] = [key(), key()];
      expect((await hot.allow(one, 0.01, 1)).allowed).toBe(true);
      expect((await hot.allow(one, 0.01, 1)).allowed).toBe(false);
      expect((await hot.allow(two, 0.01, 1)).allowed).toBe(true);
    });

    test.each([
      [0, 1],
      [-1, 1],
      [Number.NaN, 1],
      [1, 0],
      [1, 1.5],
      [1e-9, 1000],
    ])('allow: %d/s with burst %d is a RangeError', async (perSecond, burst) => {
      await expect(hot.allow(key(), perSecond, burst)).rejects.toThrow(RangeError);
    });

    test('giveBack: what was taken can be taken again; never more than the burst', async () => {
      const bucket = key();
      for (let i = 0; i < 2; i++) expect((await hot.allow(bucket, 0.01, 2)).allowed).toBe(true);
      expect((await hot.allow(bucket, 0.01, 2)).allowed).toBe(false);
      await hot.giveBack(bucket, 0.01, 2);
      expect((await hot.allow(bucket, 0.01, 2)).allowed).toBe(true);
      expect((await hot.allow(bucket, 0.01, 2)).allowed).toBe(false);
      for (let i = 0; i < 5; i++) await hot.giveBack(bucket, 0.01, 2);
      for (let i = 0; i < 2; i++) expect((await hot.allow(bucket, 0.01, 2)).allowed).toBe(true);
      expect((await hot.allow(bucket, 0.01, 2)).allowed).toBe(false);
    });

    test('remember: an entry is in its own set only, until it expires', async () => {
      const [set, short] = [key(), key()];
      expect(await hot.remembers(set, '2001:db8:0:0::/64')).toBe(false);
      await hot.remember(set, '2001:db8:0:0::/64', 60_000);
      await hot.remember(short, '192.0.2.1', 50);
      expect(await hot.remembers(set, '2001:db8:0:0::/64')).toBe(true);
      expect(await hot.remembers(set, '192.0.2.1')).toBe(false);
      await subject().elapse(51);
      expect(await hot.remembers(short, '192.0.2.1')).toBe(false);
      expect(await hot.remembers(set, '2001:db8:0:0::/64')).toBe(true);
    });

    test('remember: each set keeps the latest entries', async () => {
      const set = key();
      for (let i = 0; i <= MAX_REMEMBERED; i++) {
        await hot.remember(set, `m${i}`, 60_000 + i);
        await hot.remember(set, 'again', 60_000 + i);
      }
      const kept = [];
      for (let i = 0; i <= MAX_REMEMBERED; i++) if (await hot.remembers(set, `m${i}`)) kept.push(i);
      expect(kept).toEqual(Array.from({ length: MAX_REMEMBERED - 1 }, (_, i) => i + 2));
      expect(await hot.remembers(set, 'again')).toBe(true);
    });

    test('tie: the first value stays until it expires or is untied', async () => {
      const [kept, short] = [key(), key()];
      expect(await hot.tie(kept, 'a', 60_000)).toBe('a');
      expect(await hot.tie(kept, 'b', 60_000)).toBe('a');
      expect(await hot.tie(short, 'a', 50)).toBe('a');
      await subject().elapse(51);
      expect(await hot.tie(short, 'b', 60_000)).toBe('b');
      await hot.untie(kept, 'b');
      expect(await hot.tie(kept, 'b', 60_000)).toBe('a');
      await hot.untie(kept, 'a');
      expect(await hot.tie(kept, 'b', 60_000)).toBe('b');
      const both = key();
      const all = await Promise.all(['a', 'b', 'c'].map((value) => hot.tie(both, value, 60_000)));
      expect(new Set(all).size).toBe(1);
    });

    test('evict: orders have one sequence, and each node reads on from its last one', async () => {
      const user = newUser();
      const order = {
        user,
        scope: 'token',
        token: 7n,
        device: '',
        code: 'LOGGED_OUT',
        reason: 'é "x"',
      } as const;
      const first = await hot.evict(order, 60_000);
      const all = await Promise.all(Array.from({ length: 20 }, () => hot.evict(order, 60_000)));
      expect(first).toEqual({ ...order, atUs: first.atUs });
      expect(new Set(all.map(({ atUs }) => atUs)).size).toBe(20);
      const since = await hot.evictions(first.atUs);
      expect(since).toEqual([first, ...all.toSorted((x, y) => x.atUs - y.atUs)]);
      const last = since.at(-1) as Eviction;
      expect(await hot.evictions(last.atUs)).toEqual([last]);
      expect(await hot.evictions(last.atUs + 1)).toEqual([]);
    });

    test('evict: uses the same clock as claims', async () => {
      const user = newUser();
      const before = await hot.claim(user, 'phone', session(1), undefined);
      const eviction = await hot.evict(kick(user), 60_000);
      const after = await hot.claim(user, 'phone', session(2), undefined);
      expect(BigInt(eviction.atUs)).toBeGreaterThanOrEqual(before.epoch);
      expect(after.epoch).toBeGreaterThanOrEqual(BigInt(eviction.atUs));
    });

    test('restoreEvictions: what is there already is not doubled, what is too old is left out', async () => {
      const eviction = await hot.evict(kick(newUser()), 60_000);
      const lost = { ...eviction, user: newUser(), atUs: eviction.atUs + 1 };
      const old = { ...eviction, atUs: eviction.atUs - 61_000_000 };
      expect(await hot.restoreEvictions([old, eviction, lost], 60_000)).toBe(2);
      expect(await hot.restoreEvictions([lost], 60_000)).toBe(1);
      expect(await hot.restoreEvictions([old], 60_000)).toBe(0);
      expect(await hot.restoreEvictions([], 60_000)).toBe(0);
      expect(await hot.evictions(old.atUs)).not.toContainEqual(old);
      expect(await hot.evictions(eviction.atUs)).toEqual([eviction, lost]);
      const next = await hot.evict(kick(newUser()), 60_000);
      expect(next.atUs).toBeGreaterThan(lost.atUs);
    });

    test('evict: is forgotten after its time', async () => {
      const eviction = await hot.evict(kick(newUser()), 50);
      await subject().elapse(51);
      const next = await hot.evict(kick(newUser()), 50);
      expect(await hot.evictions(eviction.atUs)).toEqual([next]);
    });

    test('claim and evict: results exceed what the caller knows, even if the clock is behind', async () => {
      const user = newUser();
      const far = BigInt(Date.now() + 86_400_000) * 1000n;
      expect((await hot.claim(user, 'phone', session(1), undefined, far)).epoch).toBe(far + 1n);
      expect((await hot.claim(user, 'phone', session(1), undefined, 5n)).epoch).toBe(far + 2n);
      expect(BigInt((await hot.evict(kick(user), 50, far + 2n)).atUs)).toBe(far + 3n);
      // The others go by the clock again.
      await subject().elapse(51);
    });

    test('ping: answers', async () => {
      await expect(hot.ping()).resolves.toBeUndefined();
    });

    test('close: is idempotent; every method then rejects with HOT_UNAVAILABLE', async () => {
      const closed = await subject().open();
      await Promise.all([closed.close(), closed.close()]);
      await closed[Symbol.asyncDispose]();
      const unavailable = { code: 'HOT_UNAVAILABLE' };
      const user = newUser();
      await expect(closed.claim(user, 'phone', session(1), undefined)).rejects.toMatchObject(unavailable);
      await expect(closed.release(user, 'phone', 1n, 0)).rejects.toMatchObject(unavailable);
      await expect(closed.holder(user, 'phone')).rejects.toMatchObject(unavailable);
      await expect(closed.allow(key(), 1, 1)).rejects.toMatchObject(unavailable);
      await expect(closed.giveBack(key(), 1, 1)).rejects.toMatchObject(unavailable);
      await expect(closed.remember(key(), 'm', 1000)).rejects.toMatchObject(unavailable);
      await expect(closed.remembers(key(), 'm')).rejects.toMatchObject(unavailable);
      await expect(closed.tie(key(), 'a', 1000)).rejects.toMatchObject(unavailable);
      await expect(closed.untie(key(), 'a')).rejects.toMatchObject(unavailable);
      await expect(closed.evict(kick(user), 1000)).rejects.toMatchObject(unavailable);
      await expect(closed.evictions(0)).rejects.toMatchObject(unavailable);
      await expect(closed.ping()).rejects.toMatchObject(unavailable);
    });
  });
}
