import { expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import { UserNames } from './user-names.ts';

const [ANN, BOB, CID, NOBODY] = [1n, 2n, 3n, 9n] as [UserId, UserId, UserId, UserId];
const ACCOUNTS = new Map([
  [ANN, 'ann'],
  [BOB, 'bob'],
  [CID, 'cid'],
]);

/** Names from a store that says what it was asked. */
function namesOf(maxNames: number) {
  const asked: UserId[][] = [];
  const store = {
    namesOf: async (users: readonly UserId[]) => {
      asked.push([...users]);
      return new Map([...ACCOUNTS].filter(([user]) => users.includes(user)));
    },
  };
  return { asked, names: new UserNames({ store, maxNames }) };
}

test('of: asks the store once for all names that it lacks, and not at all if it has them', async () => {
  const { asked, names } = namesOf(10);
  expect(await names.of([ANN, BOB, ANN, BOB])).toEqual(new Map([...ACCOUNTS].slice(0, 2)));
  expect(await names.of([BOB, CID])).toEqual(new Map([...ACCOUNTS].slice(1)));
  expect(await names.of([CID, BOB, ANN])).toEqual(ACCOUNTS);
  expect(await names.of([])).toEqual(new Map());
  expect(asked).toEqual([[ANN, BOB], [CID]]);
});

test('of: no name without an account; one created later is found', async () => {
  const { asked, names } = namesOf(10);
  expect(await names.of([NOBODY])).toEqual(new Map());
  expect(await names.of([NOBODY])).toEqual(new Map());
  expect(asked).toEqual([[NOBODY], [NOBODY]]);
});

test('of: the least recently used names are dropped and looked up again', async () => {
  const { asked, names } = namesOf(4);
  await names.of([ANN, BOB]);
  await names.of([ANN]);
  expect(await names.of([CID, ANN])).toEqual(new Map([...ACCOUNTS].filter(([user]) => user !== BOB)));
  await names.of([ANN, CID]);
  expect(asked).toEqual([[ANN, BOB], [CID]]);
  expect(await names.of(ACCOUNTS.keys())).toEqual(ACCOUNTS);
  expect(asked.at(-1)).toEqual([BOB]);
});

test('of: whatever the order of use, the cache stays within its bound', async () => {
  const users = Array.from({ length: 100 }, (_, n) => BigInt(n + 1) as UserId);
  let read = 0;
  const store = {
    namesOf: async (some: readonly UserId[]) => {
      read += some.length;
      return new Map(some.map((user) => [user, `user${user}`]));
    },
  };
  const names = new UserNames({ store, maxNames: 20 });
  for (const user of users) await names.of([user]);
  read = 0;
  await names.of(users.toReversed());
  expect(read).toBeGreaterThanOrEqual(80);
});

test('of: a failure of the store reaches the caller, and the store is asked again', async () => {
  let isFailing = true;
  const store = {
    namesOf: async () => {
      if (isFailing) throw new GochatError('STORE_UNAVAILABLE');
      return ACCOUNTS;
    },
  };
  const names = new UserNames({ store, maxNames: 10 });
  await expect(names.of([ANN])).rejects.toEqual(expect.objectContaining({ code: 'STORE_UNAVAILABLE' }));
  isFailing = false;
  expect((await names.of([ANN])).get(ANN)).toBe('ann');
});
