import { describe, expect, test } from 'vitest';
import { RateLimit } from './rate-limit.ts';

describe('RateLimit', () => {
  test('a burst: passes, then as many as the rate allows', () => {
    const limit = new RateLimit({ perSecond: 10, burst: 3 });
    expect([0, 0, 0, 0].map((now) => limit.take('a', now))).toEqual([0, 0, 0, 100]);
    expect(limit.take('a', 50)).toBe(50);
    expect(limit.take('a', 101)).toBe(0);
    expect(limit.take('b', 100)).toBe(0);
  });

  test('a request that costs more than one: is paid off before the next', () => {
    const limit = new RateLimit({ perSecond: 10, burst: 3 });
    expect(limit.take('a', 0)).toBe(0);
    limit.charge('a', 9);
    expect(limit.take('a', 0)).toBe(800);
    expect(limit.take('a', 800)).toBe(0);
  });

  test('a sweep: drops full buckets, and no others', () => {
    const limit = new RateLimit({ perSecond: 10, burst: 3 });
    limit.take('a', 0);
    limit.charge('a', 12);
    limit.sweep(300);
    expect(limit.take('a', 300)).toBeGreaterThan(0);
    limit.sweep(10_000);
    expect(limit.take('a', 10_000)).toBe(0);
  });

  test('more addresses than it remembers: the oldest is forgotten, and memory stays bounded', () => {
    const limit = new RateLimit({ perSecond: 0.001, burst: 1, maxAddresses: 2 });
    for (const address of ['a', 'b', 'c']) expect(limit.take(address, 0)).toBe(0);
    expect(limit.take('c', 0)).toBeGreaterThan(0);
    expect(limit.take('a', 0)).toBe(0);
  });

  test('more addresses than it remembers: one that goes on flooding is not forgotten', () => {
    const limit = new RateLimit({ perSecond: 0.001, burst: 1, maxAddresses: 2 });
    limit.take('flood', 0);
    for (const address of ['a', 'b', 'c', 'd']) {
      expect(limit.take('flood', 0)).toBeGreaterThan(0);
      limit.take(address, 0);
    }
    expect(limit.take('flood', 0)).toBeGreaterThan(0);
  });

  test('rate 0: no limit', () => {
    const limit = new RateLimit({ perSecond: 0, burst: 1 });
    for (let i = 0; i < 100; i++) expect(limit.take('a', 0)).toBe(0);
  });

  test('left: what an address has, and when it has all again', () => {
    const limit = new RateLimit({ perSecond: 10, burst: 3 });
    expect(limit.left('a', 0)).toEqual({ tokens: 3, fullInMs: 0 });
    limit.take('a', 0);
    expect(limit.left('a', 0)).toEqual({ tokens: 2, fullInMs: 100 });
    limit.charge('a', 5);
    expect(limit.left('a', 50)).toEqual({ tokens: 0, fullInMs: 550 });
  });
});
