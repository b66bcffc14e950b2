import { expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import type { Profile } from '../store/store.ts';
import { Profiles } from './profiles.ts';

const [ANN, BOB, CID, NOBODY] = [1n, 2n, 3n, 9n] as [UserId, UserId, UserId, UserId];
const ANN_SHOWN = 'Ann Smith';

/** Profiles from a store that says what it was asked, with a clock that the test moves. */
function profilesOf(maxProfiles: number) {
  const accounts = new Map<UserId, Profile>([
    [ANN, { name: 'ann', displayName: ANN_SHOWN }],
    [BOB, { name: 'bob', displayName: '' }],
    [CID, { name: 'cid', displayName: '' }],
  ]);
  const asked: UserId[][] = [];
  const clock = { nowMs: 0 };
  const store = {
    profilesOf: async (users: readonly UserId[]) => {
      asked.push([...users]);
      return new Map([...accounts].filter(([user]) => users.includes(user)));
    },
  };
  const profiles = new Profiles({ store, maxProfiles, nowMs: () => clock.nowMs });
  return { accounts, asked, clock, profiles };
}

test('of: asks the store once for all that it does not keep, and not at all when it keeps all', async () => {
  const { accounts, asked, profiles } = profilesOf(10);
  expect(await profiles.of([ANN, BOB, ANN, BOB])).toEqual(new Map([...accounts].slice(0, 2)));
  expect(await profiles.of([BOB, CID])).toEqual(new Map([...accounts].slice(1)));
  expect(await profiles.of([CID, BOB, ANN])).toEqual(accounts);
  expect(await profiles.of([])).toEqual(new Map());
  expect(asked).toEqual([[ANN, BOB], [CID]]);
});

test('of: calls of one tick are one query', async () => {
  const { asked, profiles } = profilesOf(10);
  const [ann, others] = await Promise.all([profiles.of([ANN]), profiles.of([BOB, CID])]);
  expect([[...ann.keys()], [...others.keys()]]).toEqual([[ANN], [BOB, CID]]);
  expect(asked).toEqual([[ANN, BOB, CID]]);
});

test('of: no profile without an account; it may appear later', async () => {
  const { asked, profiles } = profilesOf(10);
  expect(await profiles.of([NOBODY])).toEqual(new Map());
  expect(await profiles.of([NOBODY])).toEqual(new Map());
  expect(asked).toEqual([[NOBODY], [NOBODY]]);
});

test('of: what is a minute old is looked up again, as another node may have changed it', async () => {
  const { accounts, asked, clock, profiles } = profilesOf(10);
  await profiles.of([BOB]);
  accounts.set(BOB, { name: 'bob', displayName: 'Bobby' });
  clock.nowMs = 59_999;
  expect((await profiles.of([BOB])).get(BOB)?.displayName).toBe('');
  clock.nowMs = 60_000;
  expect((await profiles.of([BOB])).get(BOB)?.displayName).toBe('Bobby');
  expect(asked).toEqual([[BOB], [BOB]]);
});

test('drop: the profile is looked up again, also where a query that began before is under way', async () => {
  const { accounts, profiles } = profilesOf(10);
  await profiles.of([ANN, BOB]);
  const late = profiles.of([CID]);
  accounts.set(BOB, { name: 'bob', displayName: 'Bobby' });
  // The query has begun.
  await new Promise<void>((resolve) => {
    process.nextTick(resolve);
  });
  profiles.drop(BOB);
  profiles.drop(CID);
  accounts.set(CID, { name: 'cid', displayName: 'Cidney' });
  await late;
  expect((await profiles.namesOf([BOB, CID]))(BOB)).toBe('Bobby');
  expect((await profiles.namesOf([BOB, CID]))(CID)).toBe('Cidney');
});

test('of: the least recently used profiles go and are looked up again', async () => {
  const { accounts, asked, profiles } = profilesOf(4);
  await profiles.of([ANN, BOB]);
  await profiles.of([ANN]);
  expect(await profiles.of([CID, ANN])).toEqual(new Map([...accounts].filter(([user]) => user !== BOB)));
  await profiles.of([ANN, CID]);
  expect(asked).toEqual([[ANN, BOB], [CID]]);
  expect(await profiles.of(accounts.keys())).toEqual(accounts);
  expect(asked.at(-1)).toEqual([BOB]);
});

test('of: used in every order, what is kept stays within its bound', async () => {
  const users = Array.from({ length: 100 }, (_, n) => BigInt(n + 1) as UserId);
  let read = 0;
  const store = {
    profilesOf: async (some: readonly UserId[]) => {
      read += some.length;
      return new Map(some.map((user) => [user, { name: `user${user}`, displayName: '' }]));
    },
  };
  const profiles = new Profiles({ store, maxProfiles: 20 });
  for (const user of users) await profiles.of([user]);
  read = 0;
  await profiles.of(users.toReversed());
  expect(read).toBeGreaterThanOrEqual(80);
});

test('of: a store that fails is the caller’s to hear of, and is asked again', async () => {
  let isFailing = true;
  const store = {
    profilesOf: async () => {
      if (isFailing) throw new GochatError('STORE_UNAVAILABLE');
      return new Map([[ANN, { name: 'ann', displayName: '' }]]);
    },
  };
  const profiles = new Profiles({ store, maxProfiles: 10 });
  expect(profiles.known(ANN)).toBe('');
  await expect(profiles.of([ANN])).rejects.toEqual(expect.objectContaining({ code: 'STORE_UNAVAILABLE' }));
  isFailing = false;
  expect((await profiles.of([ANN])).get(ANN)?.name).toBe('ann');
});

test('known: the display name, else the handle, without waiting; nothing for users not seen yet, who are looked up', async () => {
  const { asked, clock, profiles } = profilesOf(10);
  expect(profiles.known(ANN)).toBe('');
  await expect.poll(() => profiles.known(ANN)).toBe(ANN_SHOWN);
  await profiles.of([BOB]);
  expect(profiles.known(BOB)).toBe('bob');
  clock.nowMs = 60_000;
  expect(profiles.known(BOB)).toBe('bob');
  await expect.poll(() => asked).toEqual([[ANN], [BOB], [BOB]]);
});
