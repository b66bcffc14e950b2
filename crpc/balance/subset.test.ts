/** Subsets: even cover, few moves. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rank, subset } from './subset.ts';

const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 2, maxLength: 40 });
const seeds = fc.integer({ min: 0, max: 0xffffffff });
const self = (id: string): string => id;
const works = (): boolean => false;

describe('rank and subset', () => {
  test('one endpoint leaves: the others keep their order, so at most one connection moves', () => {
    fc.assert(
      fc.property(ids, seeds, fc.nat(), fc.integer({ min: 1, max: 10 }), (all, seed, nth, size) => {
        const gone = all[nth % all.length];
        const before = subset(rank(all, self, seed), size, works);
        const rest = all.filter((id) => id !== gone);
        const after = subset(rank(rest, self, seed), size, works);
        expect(after.filter((id) => !before.includes(id)).length).toBeLessThanOrEqual(
          before.includes(gone as string) ? 1 : 0,
        );
      }),
    );
  });

  test('a thousand channels with 8 of 100 each: every endpoint has its share', () => {
    const all = Array.from({ length: 100 }, (_, i) => `node-${i}`);
    const counts = new Map(all.map((id) => [id, 0]));
    for (let seed = 0; seed < 1000; seed++)
      for (const id of subset(rank(all, self, seed * 2_654_435_761), 8, works))
        counts.set(id, (counts.get(id) ?? 0) + 1);
    // 80 each, standard deviation below 9.
    expect(Math.min(...counts.values())).toBeGreaterThan(40);
    expect(Math.max(...counts.values())).toBeLessThan(120);
  });

  test('failing endpoints: stay, and others are added, up to twice the size', () => {
    const all = ['a', 'b', 'c', 'd', 'e', 'f'];
    expect(subset(all, 2, (id) => id === 'a')).toEqual(['a', 'b', 'c']);
    expect(subset(all, 2, () => true)).toEqual(['a', 'b', 'c', 'd']);
    expect(subset(all, 9, works)).toEqual(all);
  });
});
