import { expect, test } from 'vitest';
import { TokenBucket } from './token-bucket.ts';

test('a bucket: the burst at once, then as fast as the rate', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
  expect([bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([true, true, false]);
  expect(bucket.waitMs(0)).toBe(100);
  expect(bucket.waitMs(60)).toBe(40);
  expect([bucket.take(99), bucket.take(100), bucket.take(100)]).toEqual([false, true, false]);
});

test('a charge beyond the balance: is owed', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
  bucket.charge(5);
  expect(bucket.waitMs(0)).toBe(400);
  expect(bucket.take(400)).toBe(true);
});

test('a bucket that is full again: can be forgotten', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
  expect(bucket.isFull(0)).toBe(true);
  bucket.take(0);
  expect([bucket.isFull(99), bucket.isFull(100)]).toEqual([false, true]);
});

test('a clock that goes back: gives nothing and takes nothing', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 1 }, 1000);
  bucket.take(1000);
  expect(bucket.take(0)).toBe(false);
});
