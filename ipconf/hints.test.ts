import { expect, test } from 'vitest';
import { backoffHint, Rate } from './hints.ts';

test('few clients: a short wait; more than the gateways can accept without queueing: longer, up to a bound', () => {
  expect(backoffHint(0, 10)).toEqual({ base_ms: 200, max_ms: 10_000, jitter: 'full' });
  expect(backoffHint(5000, 10)).toEqual(backoffHint(0, 10));
  expect(backoffHint(20_000, 10)).toEqual({ base_ms: 800, max_ms: 40_000, jitter: 'full' });
  expect(backoffHint(1e9, 1)).toEqual({ base_ms: 5000, max_ms: 60_000, jitter: 'full' });
  expect(backoffHint(1000, 0).base_ms).toBe(400);
});

test('a rate: halfway to the new one after a half-life; no time passed: unchanged', () => {
  const rate = new Rate(0);
  rate.update(200, 2000);
  expect(rate.perSecond).toBeCloseTo(50, 9);
  rate.update(500, 2000);
  expect(rate.perSecond).toBeCloseTo(50, 9);
  rate.update(200, 1_000_000);
  expect(rate.perSecond).toBeCloseTo(0, 9);
});
