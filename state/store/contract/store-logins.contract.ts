/** Contract: login sessions and their refresh tokens. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { UserId } from '../../../common/mod.ts';
import type { NewLoginSession, Rotated, Rotation, Store } from '../store.ts';
import type { Nodes } from './scratch.contract.ts';

const NOW = 1_800_000_000_000;
const GRACE_MS = 30_000;
const TTL_MS = 1_000_000;
const PAIRS = 1000;

const hash = (text: string) => createHash('sha256').update(text).digest('hex');

export function describeLogins(nodes: () => Nodes): void {
  let last = 0n;
  const session = (user: UserId, fields: Partial<NewLoginSession> = {}): NewLoginSession => {
    const id = BigInt(nodes().a.userId()) + ++last;
    return {
      id,
      user,
      client: 'phone',
      address: '192.0.2.1',
      createdAtMs: NOW,
      usedAtMs: NOW,
      expiresAtMs: NOW + TTL_MS,
      hashes: { family: hash(`family ${id}`), secret: hash('token 0') },
      rotates: true,
      ...fields,
    };
  };
  const rotation = (
    { id, hashes }: NewLoginSession,
    number: number,
    fields: Partial<Rotation> = {},
  ): Rotation => ({
    session: id,
    presented: { family: hashes.family, secret: hash(`token ${number}`) },
    salt: `salt ${number}`,
    nextSecret: hash(`token ${number + 1}`),
    nowMs: NOW,
    graceMs: GRACE_MS,
    expiresAtMs: NOW + TTL_MS,
    ...fields,
  });
  const idsOf = async (store: Store, user: UserId, nowMs = NOW) =>
    (await store.sessionsOf(user, nowMs)).map(({ id }) => id);

  describe('login sessions', () => {
    test('addSession: listed with what it is, the last used first; expired ones are not', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const { hashes: _, rotates: __, ...old } = session(user, { usedAtMs: NOW - 5, client: 'änn 🦊' });
      await a.store.addSession({ ...session(user), ...old }, 10);
      const fresh = session(user);
      expect(await b.store.addSession(fresh, 10)).toBe(true);
      expect(await b.store.addSession(fresh, 10)).toBe(true);
      const { hashes: ___, rotates: ____, ...shown } = fresh;
      expect(await a.store.sessionsOf(user, NOW)).toEqual([shown, old]);
      expect(await a.store.sessionsOf(user, NOW + TTL_MS)).toEqual([]);
      expect(await a.store.sessionsOf(b.userId(), NOW)).toEqual([]);
    });

    test('addSession: beyond the most, the one used longest ago goes; not those of others', async () => {
      const { a } = nodes();
      const [user, other] = [await a.user(), await a.user()];
      const sessions = [3, 1, 2, 4].map((ms) => session(user, { usedAtMs: NOW + ms }));
      const kept = session(other);
      await a.store.addSession(kept, 1);
      for (const each of sessions) await a.store.addSession(each, 3);
      const [first, , third, fourth] = sessions.map(({ id }) => id);
      expect(await idsOf(a.store, user)).toEqual([fourth, first, third]);
      expect(await idsOf(a.store, other)).toEqual([kept.id]);
    });

    test('addSession: false for an unknown user', async () => {
      const { a } = nodes();
      expect(await a.store.addSession(session(a.userId()), 10)).toBe(false);
    });

    test('rotateSession: the successor is good, its parent repeats within the grace', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const it = session(user);
      await a.store.addSession(it, 10);
      const rotated = await b.store.rotateSession(rotation(it, 0));
      expect(rotated).toMatchObject({ result: 'rotated', user, salt: 'salt 0', expiresAtMs: NOW + TTL_MS });
      const repeated = await a.store.rotateSession(
        rotation(it, 0, { salt: 'another', nextSecret: hash('another'), nowMs: NOW + GRACE_MS - 1 }),
      );
      expect(repeated).toEqual({ ...rotated, result: 'repeated' });
      expect(await b.store.rotateSession(rotation(it, 1))).toMatchObject({ result: 'rotated' });
      expect((await a.store.sessionsOf(user, NOW)).map(({ usedAtMs }) => usedAtMs)).toEqual([NOW]);
    });

    test.each([
      ['the parent after the grace', 1, { nowMs: NOW + GRACE_MS }],
      ['an older token within it', 0, {}],
      ['a token that never was, of the family', 77, {}],
    ])('rotateSession: %s ends the session, also for who has the newest token', async (_, number, fields) => {
      const { a, b } = nodes();
      const user = await a.user();
      const it = session(user);
      await a.store.addSession(it, 10);
      for (const each of [0, 1]) await a.store.rotateSession(rotation(it, each));
      const reused = { result: 'reused', user };
      expect(await b.store.rotateSession(rotation(it, number, fields))).toEqual(reused);
      expect(await idsOf(a.store, user)).toEqual([]);
      expect(await a.store.rotateSession(rotation(it, number, fields))).toEqual(reused);
      expect(await a.store.rotateSession(rotation(it, 2))).toEqual(reused);
    });

    test('rotateSession: undefined for another family, an expired or unknown session; nothing changes', async () => {
      const { a } = nodes();
      const user = await a.user();
      const it = session(user);
      await a.store.addSession(it, 10);
      const guess = { presented: { family: hash('guess'), secret: hash('token 0') } };
      expect(await a.store.rotateSession(rotation(it, 0, guess))).toBeUndefined();
      expect(await a.store.rotateSession(rotation(it, 0, { session: it.id + 1n }))).toBeUndefined();
      expect(await a.store.rotateSession(rotation(it, 0, { session: 2n ** 64n - 1n }))).toBeUndefined();
      expect(await a.store.rotateSession(rotation(it, 0, { nowMs: NOW + TTL_MS }))).toBeUndefined();
      expect(await a.store.rotateSession(rotation(it, 0))).toMatchObject({ result: 'rotated' });
    });

    test(`rotateSession: ${PAIRS} pairs, of two nodes at once: one rotates, the other gets the same successor`, async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const sessions = Array.from({ length: PAIRS }, () => session(user));
      for (let at = 0; at < PAIRS; at += 100)
        await Promise.all(sessions.slice(at, at + 100).map((each) => a.store.addSession(each, 2 * PAIRS)));
      // As many at once as the pools answer in time on a slow machine.
      const pairs: (readonly (Rotated | undefined)[])[] = [];
      for (let at = 0; at < PAIRS; at += 100)
        pairs.push(
          ...(await Promise.all(
            sessions
              .slice(at, at + 100)
              .map((each) =>
                Promise.all([
                  a.store.rotateSession(rotation(each, 0, { salt: 'of a', nextSecret: hash('of a') })),
                  b.store.rotateSession(rotation(each, 0, { salt: 'of b', nextSecret: hash('of b') })),
                ]),
              ),
          )),
        );
      for (const pair of pairs) {
        expect(new Set(pair.map((each) => each?.result))).toEqual(new Set(['repeated', 'rotated']));
        expect(new Set(pair.map((each) => each !== undefined && 'salt' in each && each.salt)).size).toBe(1);
      }
      expect(await idsOf(b.store, user)).toHaveLength(PAIRS);
    }, 120_000);

    test('removeSessions: one, or all up to one; of this user alone', async () => {
      const { a } = nodes();
      const [user, other] = [await a.user(), await a.user()];
      const sessions = [session(user), session(user), session(user)];
      const foreign = session(other);
      for (const each of [...sessions, foreign]) await a.store.addSession(each, 10);
      const [first, second, third] = sessions.map(({ id }) => id) as [bigint, bigint, bigint];
      await a.store.removeSessions(user, { only: foreign.id });
      await a.store.removeSessions(user, { only: first });
      expect(new Set(await idsOf(a.store, user))).toEqual(new Set([second, third]));
      expect(await a.store.rotateSession(rotation(sessions[0] as NewLoginSession, 0))).toBeUndefined();
      await a.store.removeSessions(user, { upTo: second });
      expect(await idsOf(a.store, user)).toEqual([third]);
      await a.store.removeSessions(user, { upTo: 2n ** 64n - 1n });
      expect(await idsOf(a.store, user)).toEqual([]);
      expect(await idsOf(a.store, other)).toEqual([foreign.id]);
    });
  });
}
