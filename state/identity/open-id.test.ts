import { expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import { HotMemory } from '../hot/hot-memory.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { openTestStore } from '../testing/test-store.ts';
import { Accounts } from './accounts.ts';
import { Passwords } from './passwords.ts';

const FROM = { issuer: 'https://id.example', address: '192.0.2.1' };

async function system() {
  const store = await openTestStore();
  let lastId = 100n;
  const accounts = new Accounts({
    store,
    hot: new HotMemory(),
    passwords: new Passwords(1, 10),
    limits: DEFAULT_LIMITS,
    nextUser: () => ++lastId as UserId,
  });
  return { store, accounts };
}

test('openId: the first log-in makes the account, the next ones find it, whatever the name is then', async () => {
  const { accounts } = await system();
  const first = await accounts.openId({ ...FROM, subject: '1', name: 'Ann.Green@example.org' });
  expect(first).toMatchObject({ name: 'ann.green', passwordHash: '', state: 'active', isAdmin: false });
  expect(await accounts.openId({ ...FROM, subject: '1', name: 'another' })).toEqual(first);
  const other = await accounts.openId({ ...FROM, issuer: 'https://other.example', subject: '1', name: '' });
  expect([other.id === first.id, other.name]).toEqual([false, 'user']);
});

test.each([
  ['ann.green', /^ann\.green-[0-9a-f]{4}$/],
  ['😀\u202e\0', /^user$/],
  ["1' or 1=1 --", /^or11--$/],
  ['x'.repeat(1 << 20), /^x{24}$/],
])('openId: a name that is taken or not valid is made into one (%#)', async (name, like) => {
  const { accounts } = await system();
  await accounts.openId({ ...FROM, subject: '1', name: 'ann.green' });
  expect((await accounts.openId({ ...FROM, subject: '2', name })).name).toMatch(like);
});

test('openId: two log-ins at once are one account; nobody logs in to it by a password; suspended is suspended', async () => {
  const { accounts, store } = await system();
  const user = { ...FROM, subject: '1', name: 'ann' };
  const [one, two] = await Promise.all([accounts.openId(user), accounts.openId(user)]);
  expect(two).toEqual(one);
  for (const password of ['', 'x'])
    await expect(accounts.login({ name: one.name, password, address: FROM.address })).rejects.toMatchObject({
      code: 'CREDENTIALS_WRONG',
    });
  await store.setAccountState(one.id, 'suspended');
  const code = await accounts.openId(user).then(
    () => 'in',
    (error: unknown) => GochatError.from(error).code,
  );
  expect(code).toBe('ACCOUNT_SUSPENDED');
});
