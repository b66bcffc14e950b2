import { describe, expect, test } from 'vitest';
import { estimate, isSettled, measurePairs } from './paired.ts';

/** Ratios whose logarithms lie `spread` to each side of that of `middle`. */
const around = (middle: number, spread: number, count: number) =>
  Array.from({ length: count }, (_, i) => middle * Math.exp(i % 2 === 0 ? spread : -spread));

describe('estimate', () => {
  test('the ratio: is the geometric mean, so a half and a double cancel out', () => {
    expect(estimate([0.5, 2]).ratio).toBeCloseTo(1, 12);
  });

  // Half the width in logarithms is t × s ÷ √n; t from a printed table.
  test.each([
    [2, 12.7062],
    [3, 4.30265],
    [4, 3.18245],
    [10, 2.26216],
    [15, 2.14479],
    [16, 2.13145],
    [60, 2.000_995],
  ])('of %i ratios the interval is that of Student, t = %f', (count, t) => {
    const ratios = Array.from({ length: count }, (_, i) => Math.exp((i % 3) / 100));
    const logs = ratios.map(Math.log);
    const mean = logs.reduce((sum, each) => sum + each) / count;
    const deviation = Math.sqrt(logs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (count - 1));
    const { ratio, lower, upper } = estimate(ratios);
    const found = (Math.log(upper / lower) / 2 / deviation) * Math.sqrt(count);
    expect(Math.abs(found / t - 1)).toBeLessThan(count === 4 ? 0.01 : 0.0005);
    expect(lower * upper).toBeCloseTo(ratio ** 2, 12);
  });

  test('a single ratio: has no interval', () => {
    expect(estimate([1.1])).toMatchObject({ lower: 0, upper: Number.POSITIVE_INFINITY });
  });

  test('intervals: more than nine in ten contain the true ratio', () => {
    let seed = 1;
    const uniform = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    let held = 0;
    for (let run = 0; run < 1000; run++) {
      const { lower, upper } = estimate(Array.from({ length: 15 }, () => 0.9 * Math.exp(0.05 * normal())));
      if (lower <= 0.9 && 0.9 <= upper) held++;
    }
    expect(held).toBeGreaterThan(930);
    expect(held).toBeLessThan(970);
  });
});

describe('stopping', () => {
  const rule = { leastPairs: 15, mostPairs: 60, width: 0.05 };

  test('not before the minimum number of pairs, however alike they are', () => {
    expect(isSettled(around(1, 0, 14), rule)).toBe(false);
    expect(isSettled(around(1, 0, 15), rule)).toBe(true);
  });

  test('not while the interval is wide', () => {
    expect(isSettled(around(1, 0.1, 15), rule)).toBe(false);
    expect(isSettled(around(1, 0.1, 60), rule)).toBe(false);
    expect(isSettled(around(1, 0.09, 60), rule)).toBe(true);
  });

  const measured = async (ratios: (pair: number) => number) => {
    const order: string[] = [];
    const seen: number[] = [];
    const pairs = await measurePairs(
      async (which) => {
        order.push(which);
        return which === 'before' ? 1 : ratios((order.length - 1) >> 1);
      },
      ({ now, before }) => now / before,
      rule,
      (each) => seen.push(each.length),
    );
    return { order, pairs, seen };
  };

  test('pairs: are added until the interval is narrow', async () => {
    const wide = await measured((pair) => (pair % 2 === 0 ? 1.06 : 0.94));
    expect(wide.pairs.length).toBeGreaterThan(15);
    expect(wide.pairs.length).toBeLessThan(60);
    const ratios = wide.pairs.map(({ now, before }) => now / before);
    expect(isSettled(ratios, rule)).toBe(true);
    expect(isSettled(ratios.slice(0, -1), rule)).toBe(false);
    expect(wide.seen).toEqual(wide.pairs.map((_, i) => i + 1));
  });

  test('pairs: end at the maximum, conclusive or not', async () => {
    const { pairs } = await measured((pair) => (pair % 2 === 0 ? 1.5 : 0.7));
    expect(pairs).toHaveLength(60);
  });

  test('order: the first one alternates', async () => {
    const { order, pairs } = await measured(() => 0.98);
    expect(pairs).toHaveLength(15);
    expect(order.slice(0, 8)).toEqual(['now', 'before', 'before', 'now', 'now', 'before', 'before', 'now']);
    expect(pairs.every(({ now, before }) => now === 0.98 && before === 1)).toBe(true);
  });
});
