import { describe, expect, test } from 'vitest';
import { Passwords } from './passwords.ts';

const overloaded = expect.objectContaining({ code: 'OVERLOADED' });
const gone = expect.objectContaining({ code: 'DEADLINE_EXCEEDED' });

describe('Passwords', () => {
  test('verify: right, wrong, no such user, and the same characters otherwise composed', async () => {
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

  test('more than may wait: OVERLOADED with a hint, and room again later', async () => {
    const passwords = new Passwords(1, 1);
    const [first, second] = [passwords.hash('a'), passwords.hash('b')];
    await expect(passwords.hash('c')).rejects.toEqual(overloaded);
    await Promise.all([first, second]);
    await passwords.hash('d');
  });

  test('who has gone while waiting: is passed over, and who is behind has the place', async () => {
    const passwords = new Passwords(1, 10);
    const order: string[] = [];
    const note = (name: string) => (result: unknown) => {
      order.push(name);
      return result;
    };
    const first = passwords.hash('a').then(note('first'));
    const given = [passwords.hash('b', () => true), passwords.hash('c', () => true)].map((one) =>
      expect(one).rejects.toEqual(gone).then(note('gone')),
    );
    const last = passwords.hash('d', () => false).then(note('last'));
    await Promise.all([first, ...given, last]);
    expect(order.at(-1)).toBe('last');
    expect(await passwords.hash('e')).toContain('argon2id');
  });
});
