/** Outlier detection on a clock of the test's own. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_OUTLIER, OutlierRecord, mayEject } from './outlier.ts';

const record = (more = {}): OutlierRecord => new OutlierRecord({ ...DEFAULT_OUTLIER, ...more });

describe('OutlierRecord', () => {
  test('failures in a row: the fifth ejects; a success resets the count', () => {
    const one = record();
    const verdicts = [1, 2, 3, 4].map((now) => one.failure(now));
    expect(verdicts).toEqual([false, false, false, false]);
    one.success(5);
    expect([6, 7, 8, 9, 10].map((now) => one.failure(now))).toEqual([false, false, false, false, true]);
  });

  test('failure rate: half of at least twenty calls within the window', () => {
    const one = record({ consecutiveFailures: 1000 });
    for (let i = 0; i < 10; i++) one.success(i);
    for (let i = 0; i < 9; i++) expect(one.failure(10 + i)).toBe(false);
    expect(one.failure(20)).toBe(true);
  });

  test('failures older than the window: do not count', () => {
    const one = record({ consecutiveFailures: 1000, windowMs: 1000 });
    for (let i = 0; i < 18; i++) one.failure(i);
    one.success(5000);
    expect(one.failure(5001)).toBe(false);
    expect(one.failure(5002)).toBe(false);
  });

  test('ejections in a row: each is longer by the first, up to the maximum', () => {
    const one = record({ ejectMs: 100, maxEjectMs: 250 });
    expect(one.eject(1000)).toBe(1100);
    one.readmit(1100);
    expect(one.eject(1200)).toBe(1400);
    one.readmit(1400);
    expect(one.eject(1500)).toBe(1750);
  });

  test('no ejection for ten times its length: the next one is short again', () => {
    const one = record({ ejectMs: 100 });
    one.eject(1000);
    one.readmit(1100);
    one.eject(1200);
    one.readmit(1400);
    expect(one.eject(1400 + 2001)).toBe(3401 + 100);
  });

  test('slow calls: five in a row over a tenth of the window eject; a fast one resets the count', () => {
    const one = record({ windowMs: 10_000 });
    for (let i = 0; i < 100; i++) expect(one.success(1, true)).toBe(false);
    expect(one.success(1000, true)).toBe(false);
    expect(one.success(1001, true)).toBe(true);
    one.success(1002);
    expect([2000, 2500, 3000, 4000].map((now) => one.success(now, true))).toEqual(Array(4).fill(false));
    expect(one.success(4001, true)).toBe(true);
  });

  test('readmitted: on trial, one failure or slow call ejects; a good one ends the trial', () => {
    for (const bad of [
      (one: OutlierRecord) => one.failure(6001),
      (one: OutlierRecord) => one.success(6001, true),
    ]) {
      const one = record();
      one.eject(0);
      one.readmit(6000);
      expect(bad(one)).toBe(true);
      one.readmit(6000);
      expect(one.success(6000)).toBe(false);
      expect(bad(one)).toBe(false);
    }
  });

  test('readmitted after a good call: earlier failures do not count', () => {
    const one = record();
    for (let i = 0; i < 5; i++) one.failure(i);
    one.eject(5);
    expect(one.ejectedUntil).toBeGreaterThan(0);
    one.readmit(6000);
    expect(one.ejectedUntil).toBe(0);
    one.success(6000);
    expect(one.failure(6001)).toBe(false);
  });
});

describe('mayEject', () => {
  test.each([
    [0, 1, false],
    [0, 2, true],
    [1, 2, false],
    [0, 3, true],
    [1, 3, false],
    [4, 10, true],
    [5, 10, false],
  ])('%i of %i are out: one more: %s', (ejected, connected, expected) => {
    expect(mayEject(ejected, connected, 0.5)).toBe(expected);
  });
});
