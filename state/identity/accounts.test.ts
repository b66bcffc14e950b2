import { describe, expect, test } from 'vitest';
import { GochatError, type UserId } from '../../common/mod.ts';
import { HotMemory } from '../hot/hot-memory.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { Account } from '../store/store.ts';
import { Accounts } from './accounts.ts';

const RIGHT = 'correct horse';
const HOME = '192.0.2.1';
const OTHER_ADDRESS = '198.51.100.7';
const EVIL = '203.0.113.66';
/** More than any limit allows. */
const MANY = 1000;
const { guessesPerNameAndAddress, guessesPerAddress, guessesPerName } = DEFAULT_LIMITS;

/** Nodes that share their store and hot state; hashes are the passwords themselves. */
function system() {
  const clock = { nowMs: 1 };
  const accounts = new Map<string, Account>();
  const hot = new HotMemory({ now: () => clock.nowMs });
  let checked = 0;
  let failure: Error | undefined;
  const node = () =>
    new Accounts({
      store: {
        createAccount: async (account) => {
          if (accounts.has(account.name)) return undefined;
          const stored = { ...account, state: 'active', isAdmin: false, owner: undefined } as const;
          accounts.set(account.name, stored);
          return stored;
        },
        findAccount: async (name) => accounts.get(name),
        setAdmin: async () => true,
        findIdentity: async () => undefined,
        createIdentity: async () => undefined,
      },
      hot,
      passwords: {
        hash: async (password) => password,
        verify: async (phc, password) => {
          if (failure !== undefined) throw failure;
          checked++;
          return phc === password;
        },
      },
      limits: DEFAULT_LIMITS,
      nextUser: () => BigInt(accounts.size + 1) as UserId,
    });
  /** Returns 'in', or the code of the refusal. */
  const login = async (name: string, password: string, address: string, at = node()): Promise<string> => {
    try {
      await at.login({ name, password, address });
      return 'in';
    } catch (error) {
      return GochatError.from(error).code;
    }
  };
  return {
    clock,
    node,
    login,
    checked: () => checked,
    failWith: (error: Error | undefined) => (failure = error),
    signup: (name: string) => node().signup({ name, password: RIGHT, address: HOME }),
    /** Guesses until the limits are used up; returns how many guesses were answered. */
    flood: async (name: string, address: string): Promise<number> => {
      for (let guesses = 0; guesses < MANY; guesses++)
        if ((await login(name, `guess ${guesses}`, address)) === 'RATE_LIMITED') return guesses;
      throw new Error(`${MANY} guesses were answered`);
    },
  };
}

describe('wrong passwords for a name', () => {
  test('from one address: limited there, and the owner can log in elsewhere', async () => {
    const { signup, flood, login } = system();
    await signup('ann');
    expect(await flood('ann', EVIL)).toBe(guessesPerNameAndAddress.burst);
    expect(await login('ann', RIGHT, EVIL)).toBe('RATE_LIMITED');
    expect(await login('ann', RIGHT, HOME)).toBe('in');
    expect(await login('ann', RIGHT, OTHER_ADDRESS)).toBe('in');
  });

  test('from very many addresses: bounded, and the owner can log in from known addresses', async () => {
    const { signup, flood, login, clock } = system();
    await signup('ann');
    expect(await login('ann', RIGHT, HOME)).toBe('in');
    let guesses = 0;
    for (let i = 0; i < 200; i++) guesses += await flood('ann', `203.0.113.${i}`);
    expect(guesses).toBe(guessesPerName.burst);
    expect(await login('ann', RIGHT, OTHER_ADDRESS)).toBe('RATE_LIMITED');
    for (let i = 0; i < 50; i++) expect(await login('ann', RIGHT, HOME)).toBe('in');
    clock.nowMs += 1000 / guessesPerName.perSecond;
    expect(await login('ann', RIGHT, OTHER_ADDRESS)).toBe('in');
  });

  test('from every address of a /64 of IPv6: counted as one address', async () => {
    const { signup, flood, login } = system();
    await signup('ann');
    let guesses = 0;
    for (let i = 0; i < 50; i++) guesses += await flood('ann', `2001:db8:0:0:${i}::1`);
    expect(guesses).toBe(guessesPerNameAndAddress.burst);
    expect(await flood('ann', `::ffff:${EVIL}`)).toBe(guessesPerNameAndAddress.burst);
    expect(await flood('ann', EVIL)).toBe(0);
    expect(await login('ann', RIGHT, '2001:db8:0:1::1')).toBe('in');
  });
});

test('wrong passwords for many names from one address: bounded, except for users who have logged in from there', async () => {
  const { signup, flood, login, node } = system();
  for (const name of ['ann', 'bob']) await signup(name);
  expect(await login('ann', RIGHT, EVIL, node())).toBe('in');
  let guesses = 0;
  for (let i = 0; i < 50; i++) guesses += await flood(`name${i}`, EVIL);
  expect(guesses).toBe(guessesPerAddress.burst);
  expect(await login('bob', RIGHT, EVIL)).toBe('RATE_LIMITED');
  // On whatever node.
  expect(await login('ann', RIGHT, EVIL, node())).toBe('in');
  expect(await flood('ann', EVIL)).toBe(guessesPerNameAndAddress.burst);
});

test('an unknown name: the same answers as an existing one', async () => {
  const { signup, login } = system();
  await signup('ann');
  const answers = async (name: string, address: string) => {
    const all: string[] = [];
    for (let i = 0; i < 30; i++) all.push(await login(name, 'guess', address));
    return all;
  };
  expect(await answers('nobody', EVIL)).toEqual(await answers('ann', OTHER_ADDRESS));
});

test('correct passwords, and attempts that could not be checked: cost nothing', async () => {
  const { signup, login, flood, failWith, checked } = system();
  await signup('ann');
  for (let i = 0; i < 200; i++) expect(await login('ann', RIGHT, HOME)).toBe('in');
  failWith(new GochatError('OVERLOADED'));
  for (let i = 0; i < 200; i++) expect(await login('ann', 'guess', EVIL)).toBe('OVERLOADED');
  failWith(undefined);
  const before = checked();
  expect(await flood('ann', EVIL)).toBe(guessesPerNameAndAddress.burst);
  // What the limits refuse costs no hash.
  for (let i = 0; i < 50; i++) await login('ann', 'guess', EVIL);
  expect(checked() - before).toBe(guessesPerNameAndAddress.burst);
});

test('accounts made from one address: bounded per address, IPv6 per /64', async () => {
  const { node } = system();
  const { burst } = DEFAULT_LIMITS.signupPerAddress;
  const signup = (i: number, address: string) =>
    node().signup({ name: `name${i}`, password: RIGHT, address });
  for (let i = 0; i < burst; i++) await signup(i, `2001:db8::${(i + 1).toString(16)}`);
  await expect(signup(burst, '2001:db8::ffff')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  await signup(burst, HOME);
});
