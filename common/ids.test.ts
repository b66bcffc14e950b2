import { describe, expect, test } from 'vitest';
import { ID_EPOCH_MS, MAX_NODE, Snowflake, isId, parseId } from './ids.ts';

describe('Snowflake', () => {
  test('layout: ms since the epoch, node, sequence', () => {
    const ids = new Snowflake(5, () => ID_EPOCH_MS + 7);
    expect(ids.next()).toBe((7n << 22n) | (5n << 12n));
    expect(ids.next()).toBe((7n << 22n) | (5n << 12n) | 1n);
  });

  test.each([1023, 1024, 2 ** 32 + 5, 2 ** 41 - 1])('layout %s ms after the epoch', (ms) => {
    const ids = new Snowflake(MAX_NODE, () => ID_EPOCH_MS + ms);
    expect(ids.next()).toBe((BigInt(ms) << 22n) | (BigInt(MAX_NODE) << 12n));
  });

  test('growth: ids grow even if the clock stands still beyond the sequence or steps back', () => {
    let now = ID_EPOCH_MS + 1000;
    const ids = new Snowflake(1, () => now);
    let last = -1n;
    for (let i = 0; i < 10_000; i++) {
      if (i === 9000) now -= 500;
      const id = ids.next();
      expect(id > last).toBe(true);
      last = id;
    }
  });

  test('nodes: two never make the same id', () => {
    const clock = () => ID_EPOCH_MS + 1;
    const [a, b] = [new Snowflake(0, clock), new Snowflake(MAX_NODE, clock)];
    const seen = new Set<bigint>();
    for (let i = 0; i < 5000; i++) seen.add(a.next()).add(b.next());
    expect(seen.size).toBe(10_000);
  });

  test.each([-1, MAX_NODE + 1, 1.5, Number.NaN])('node %s: RangeError', (node) => {
    expect(() => new Snowflake(node)).toThrow(RangeError);
  });
});

test.each<[bigint, boolean]>([
  [-1n, false],
  [0n, false],
  [1n, true],
  [2n ** 63n - 1n, true],
  [2n ** 63n, false],
])('isId(%s): %s', (value, expected) => {
  expect(isId(value)).toBe(expected);
});

test.each<[unknown, bigint | undefined]>([
  ['1', 1n],
  ['9223372036854775807', 2n ** 63n - 1n],
  ['9223372036854775808', undefined],
  ['0', undefined],
  ['01', undefined],
  ['-1', undefined],
  ['1e3', undefined],
  [' 1', undefined],
  ['', undefined],
  [1, undefined],
  [undefined, undefined],
])('parseId(%j): %s', (text, expected) => {
  expect(parseId(text)).toBe(expected);
});
