import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  COMFORT,
  EJECT_AFTER_MS,
  freshness,
  headroom,
  adjustForWeight,
  slowStartShare,
  SLOW_START_MS,
  STALE_AFTER_MS,
  STALE_HALF_LIFE_MS,
  SUSPICION_HALF_LIFE_MS,
  suspicion,
  trust,
  TRUST_FLOOR,
} from './scorer.ts';

const figure = fc.double({ min: 0, max: 1e9, noNaN: true });

describe('headroom', () => {
  test('an idle gateway: 1', () => expect(headroom(0, 0, 100, 0)).toBe(1));
  test('a full gateway: 0', () => expect(headroom(100, 0, 100, 0)).toBe(0));
  test('more connections than the limit: 0, not less', () => expect(headroom(150, 0, 100, 0)).toBe(0));
  test('an exhausted rate: 0', () => expect(headroom(0, 0, 100, 1)).toBe(0));

  test('several dimensions: the scarcest counts', () => {
    expect(headroom(10, 0, 100, 0.875)).toBe(0.25);
    expect(headroom(75, 0, 100, 0.6)).toBe(0.25);
  });

  test('a rate below comfort: does not count', () => {
    expect(headroom(10, 0, 100, COMFORT)).toBe(headroom(10, 0, 100, 0));
  });

  test('clients on their way, up to half of what is free: count like those that have arrived', () => {
    expect(headroom(40, 30, 100, 0)).toBeCloseTo(headroom(70, 0, 100, 0), 12);
  });

  test('any number of clients on their way: less and less headroom, but never 0', () => {
    let before = headroom(40, 30, 100, 0);
    for (const credit of [31, 60, 100, 1e9]) {
      const value = headroom(40, credit, 100, 0);
      expect(value).toBeLessThan(before);
      expect(value).toBeGreaterThan(0);
      before = value;
    }
  });

  test('any figures: within 0 to 1, and never more with more clients or more load', () => {
    const capacity = fc.double({ min: 1, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(figure, figure, capacity, figure, figure, (connections, credit, max, rate, more) => {
        const value = headroom(connections, credit, max, rate);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
        expect(headroom(connections + more, credit, max, rate)).toBeLessThanOrEqual(value);
        expect(headroom(connections, credit + more, max, rate)).toBeLessThanOrEqual(value);
        expect(headroom(connections, credit, max, rate + more)).toBeLessThanOrEqual(value);
      }),
    );
  });

  test('the same share of another capacity: the same headroom', () => {
    const count = fc.integer({ min: 1, max: 1000 });
    fc.assert(
      fc.property(count, count, (part, times) => {
        expect(headroom(part * times, times, 1000 * times, 0)).toBeCloseTo(headroom(part, 1, 1000, 0), 12);
      }),
    );
  });
});

describe('adjustForWeight', () => {
  test('one weight for all: the headroom itself', () => expect(adjustForWeight(0.3, 1)).toBe(0.3));
  test('twice the weight: ranks like a gateway with half as many clients, while there is room', () =>
    expect(adjustForWeight(headroom(20, 0, 1000, 0), 2)).toBeCloseTo(headroom(10, 0, 1000, 0), 3));
  test('full: full at any weight', () =>
    expect([1, 2, 1000].map((weight) => adjustForWeight(0, weight))).toEqual([0, 0, 0]));
});

describe('freshness', () => {
  test('a report of the usual age: counts fully', () => expect(freshness(STALE_AFTER_MS)).toBe(1));
  test('one half-life later: half', () =>
    expect(freshness(STALE_AFTER_MS + STALE_HALF_LIFE_MS)).toBeCloseTo(0.5, 12));
  test('too old: does not count', () => expect(freshness(EJECT_AFTER_MS)).toBe(0));
  test('an older report: never counts more', () => {
    fc.assert(
      fc.property(fc.nat(60_000), fc.nat(60_000), (age, more) => {
        expect(freshness(age + more)).toBeLessThanOrEqual(freshness(age));
      }),
    );
  });
});

describe('slowStartShare', () => {
  test('from 0 for a new gateway to 1 for one that has started', () => {
    expect([0, SLOW_START_MS / 2, SLOW_START_MS, Infinity].map(slowStartShare)).toEqual([0, 0.5, 1, 1]);
  });
});

describe('suspicion', () => {
  test('none while the registry is there, then growing towards 1', () => {
    expect([0, SUSPICION_HALF_LIFE_MS, 2 * SUSPICION_HALF_LIFE_MS].map(suspicion)).toEqual([0, 0.5, 0.75]);
  });
});

describe('trust', () => {
  const all = { arrived: 1000, lost: 0 };
  test('a gateway that all its clients reach: full trust', () =>
    expect(trust({ arrived: 50, lost: 0 }, all)).toBe(1));
  test('too few clients to tell: full trust', () => expect(trust({ arrived: 0, lost: 5 }, all)).toBe(1));
  test('a gateway that nobody reaches: the lowest trust', () =>
    expect(trust({ arrived: 0, lost: 50 }, all)).toBe(TRUST_FLOOR));
  test('half of its clients lost, none at others: half trust', () =>
    expect(trust({ arrived: 50, lost: 50 }, all)).toBe(0.5));
  test('a loss that all gateways share: lowers no trust', () =>
    expect(trust({ arrived: 50, lost: 50 }, { arrived: 500, lost: 500 })).toBe(1));
  test('no client reaches any gateway: lowers no trust', () =>
    expect(trust({ arrived: 0, lost: 50 }, { arrived: 0, lost: 5000 })).toBe(1));
});
