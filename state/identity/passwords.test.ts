import { describe, expect, test } from 'vitest';
import { GochatError } from '../../common/mod.ts';
import { type HashCaller, Passwords } from './passwords.ts';

const overloaded = expect.objectContaining({ code: 'OVERLOADED' });

describe('Passwords', () => {
  test('verify: right, wrong, no such user, and the same characters in another Unicode composition', async () => {
    const passwords = new Passwords(2, 10);
    const phc = await passwords.hash('gr\u00fc\u00dfe');
    expect(phc).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await passwords.verify(phc, 'gru\u0308\u00dfe')).toBe(true);
    expect(await passwords.verify(phc, 'other')).toBe(false);
    expect(await passwords.verify(undefined, 'other')).toBe(false);
  });

  test.each(['x', '$argon2id$v=19$m=99999999,t=2,p=1$YWJj$YWJj'])(
    'a stored hash %s: INTERNAL',
    async (phc) => {
      await expect(new Passwords(1, 1).verify(phc, 'x')).rejects.toMatchObject({ code: 'INTERNAL' });
    },
  );

  test('more than may wait: OVERLOADED with a time to come back, and room again later', async () => {
    const passwords = new Passwords(1, 1);
    const [first, second] = [passwords.hash('a'), passwords.hash('b')];
    await expect(passwords.hash('c')).rejects.toEqual(overloaded);
    await Promise.all([first, second]);
    await passwords.hash('d');
  });

  /** Notes who is through, in order. */
  function noting() {
    const order: string[] = [];
    const ask = (passwords: Passwords, name: string, caller: Partial<HashCaller> = {}) =>
      passwords
        .hash('a', { address: name, isKnownAddress: false, isGone: () => false, ...caller })
        .then(() => order.push(name))
        .catch((error: unknown) => order.push(`${name} ${GochatError.from(error).code}`));
    return { order, ask };
  }

  test('a caller that has hung up: is skipped, and the next one gets its place', async () => {
    const { order, ask } = noting();
    const passwords = new Passwords(1, 10);
    const isGone = () => true;
    await Promise.all([
      ask(passwords, 'first'),
      ask(passwords, 'gone', { isGone }),
      ask(passwords, 'gone too', { isGone }),
      ask(passwords, 'last'),
    ]);
    expect(order.toSorted()).toEqual([
      'first',
      'gone DEADLINE_EXCEEDED',
      'gone too DEADLINE_EXCEEDED',
      'last',
    ]);
    expect(order.at(-1)).toBe('last');
    expect(await passwords.hash('e')).toContain('argon2id');
  });

  test('one address that fills the queue: others take turns with it, and find room', async () => {
    const { order, ask } = noting();
    const passwords = new Passwords(1, 4);
    const flood = Array.from({ length: 10 }, () => ask(passwords, 'flood'));
    await Promise.all([...flood, ask(passwords, 'ann'), ask(passwords, 'bob')]);
    const through = order.filter((entry) => !entry.includes('OVERLOADED'));
    expect(through).toEqual(['flood', 'flood', 'ann', 'bob', 'flood']);
  });

  test('unknown callers from as many addresses as there is room for: a caller at a known address is next', async () => {
    const { order, ask } = noting();
    const passwords = new Passwords(1, 8);
    const flood = Array.from({ length: 9 }, (_, i) => ask(passwords, `unknown ${i}`));
    await Promise.all([...flood, ask(passwords, 'ann', { isKnownAddress: true })]);
    expect(order.indexOf('ann')).toBe(1);
    expect(order).toHaveLength(10);
  });

  test('a flood from known addresses: does not keep others out', async () => {
    const { order, ask } = noting();
    const passwords = new Passwords(1, 8);
    const flood = Array.from({ length: 9 }, (_, i) => ask(passwords, `known ${i}`, { isKnownAddress: true }));
    await Promise.all([...flood, ask(passwords, 'ann')]);
    expect(order.indexOf('ann')).toBe(1);
  });

  test('unknown callers: leave one place free', async () => {
    const { order, ask } = noting();
    const passwords = new Passwords(2, 8);
    // Only who waits is asked whether it has gone.
    const isGone = () => true;
    const unknown = [ask(passwords, 'one'), ask(passwords, 'two', { isGone })];
    await Promise.all([...unknown, ask(passwords, 'ann', { isKnownAddress: true, isGone })]);
    expect(order.toSorted()).toEqual(['ann', 'one', 'two DEADLINE_EXCEEDED']);
  });
});
