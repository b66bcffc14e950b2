/** Rendezvous hashing: spread, minimal movement, and the same choice everywhere. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rendezvous, hashKey } from './rendezvous.ts';

const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 20 });
const half = fc.integer({ min: 0, max: 0xffffffff });

describe('rendezvous', () => {
  test('pick: -1 when there is no node', () => {
    expect(new Rendezvous([]).pick(1, 2)).toBe(-1);
  });

  test('pick: always an index of the ids, whatever the key', () => {
    fc.assert(
      fc.property(ids, half, half, (list, hi, lo) => {
        const index = new Rendezvous(list).pick(hi, lo);
        expect(list[index]).toBeDefined();
      }),
    );
  });

  test('pick: does not depend on the order of the ids, nor on the sign of the halves', () => {
    fc.assert(
      fc.property(ids, half, half, (list, hi, lo) => {
        const reversed = [...list].reverse();
        const chosen = list[new Rendezvous(list).pick(hi, lo)];
        expect(reversed[new Rendezvous(reversed).pick(hi | 0, lo | 0)]).toBe(chosen);
      }),
    );
  });

  test('a node that leaves: only its keys move', () => {
    fc.assert(
      fc.property(ids, half, half, fc.nat(), (list, hi, lo, nth) => {
        const gone = list[nth % list.length];
        const rest = list.filter((id) => id !== gone);
        const before = list[new Rendezvous(list).pick(hi, lo)];
        const after = rest[new Rendezvous(rest).pick(hi, lo)];
        if (before !== gone) expect(after).toBe(before);
      }),
    );
  });

  test('a node that joins: keys move to it or stay', () => {
    fc.assert(
      fc.property(ids, half, half, (list, hi, lo) => {
        const more = [...list, 'a new node with a long name'];
        const before = list[new Rendezvous(list).pick(hi, lo)];
        const after = more[new Rendezvous(more).pick(hi, lo)];
        expect([before, more.at(-1)]).toContain(after);
      }),
    );
  });

  test.each([
    ['sequential low halves', (i: number) => [0, i]],
    ['sequential high halves', (i: number) => [i, 0]],
    ['snowflake ids', (i: number) => [0x0a1b2c00 + (i >> 10), (i << 22) | (3 << 12)]],
  ])('spread, %s: each of ten nodes gets a tenth, within a tenth of that', (_, key) => {
    const nodes = Array.from({ length: 10 }, (_, index) => `node-${index}`);
    const chooser = new Rendezvous(nodes);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 100_000; i++) {
      const [hi, lo] = key(i) as [number, number];
      const index = chooser.pick(hi, lo);
      counts[index] = (counts[index] as number) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(9000);
    expect(Math.max(...counts)).toBeLessThan(11_000);
  });

  test('golden choices: every process and version chooses the same', () => {
    const chooser = new Rendezvous(['a', 'b', 'c', 'd', 'e']);
    const picks = Array.from({ length: 12 }, (_, i) => chooser.pick(i * 0x1000_0001, i * 0x9e37_79b9));
    expect(picks).toMatchInlineSnapshot(`
      [
        3,
        0,
        1,
        1,
        2,
        3,
        3,
        1,
        4,
        3,
        4,
        3,
      ]
    `);
    expect(hashKey('conversation-42')).toMatchInlineSnapshot(`
      {
        "hi": 1378768791,
        "lo": -1467684594,
      }
    `);
  });
});
