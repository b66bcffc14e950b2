import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

test('next: doubles its bound up to the maximum, reset begins again', () => {
  const backoff = new Backoff({ baseMs: 100, maxMs: 500, random: () => 1 });
  expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([100, 200, 400, 500, 500]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
});

test('jitter: spreads over the whole range and is never 0', () => {
  expect(new Backoff({ baseMs: 100, random: () => 0 }).next()).toBe(1);
  expect(new Backoff({ baseMs: 100, random: () => 0.5 }).next()).toBe(50);
});

test('many failures: stay finite', () => {
  const backoff = new Backoff({ random: () => 1 });
  let wait = 0;
  for (let i = 0; i < 2000; i++) wait = backoff.next();
  expect(wait).toBe(10_000);
});
