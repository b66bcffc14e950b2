import { expect, test } from 'vitest';
import { Repeaters } from './repeaters.ts';

test('a repeater: is kept for ten minutes from the last repetition', () => {
  let now = 0;
  const repeaters = new Repeaters<string>(() => now);
  repeaters.add('ann');
  now = 300_000;
  repeaters.add('ann');
  now = 899_999;
  expect(repeaters.has('ann')).toBe(true);
  expect(repeaters.has('bob')).toBe(false);
  now = 900_000;
  expect(repeaters.has('ann')).toBe(false);
  expect(repeaters.size).toBe(0);
});

test('more than 10,000: the earliest repeater is dropped', () => {
  const repeaters = new Repeaters<number>(() => 0);
  for (let i = 0; i < 10_000; i++) repeaters.add(i);
  repeaters.add(0);
  repeaters.add(10_000);
  expect([repeaters.size, repeaters.has(0), repeaters.has(1), repeaters.has(2)]).toEqual([
    10_000,
    true,
    false,
    true,
  ]);
});
