import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GatewayLoad } from './gateway-sample.ts';
import { headroom } from './scorer.ts';

const load = (connections: number, maxConnections: number): GatewayLoad => ({
  connections,
  maxConnections,
  accepted: undefined,
  tick: undefined,
  used: [],
  draining: false,
  weight: 1,
});

describe('headroom', () => {
  test('an idle gateway: all of it', () => expect(headroom(load(0, 100), 0)).toBe(1));
  test('a full gateway: none', () => expect(headroom(load(100, 100), 0)).toBe(0));
  test('more connections than the limit: none, not less', () => expect(headroom(load(150, 100), 0)).toBe(0));
  test('the scarcest dimension counts', () => {
    expect(headroom(load(10, 100), 0.75)).toBe(0.25);
    expect(headroom(load(75, 100), 0.1)).toBe(0.25);
  });
  test('clients on their way count as connections', () => expect(headroom(load(50, 100), 0, 25)).toBe(0.25));

  const figure = fc.double({ min: 0, max: 1e9, noNaN: true });
  test('any figures: within 0 to 1, and less with more clients or more load', () => {
    fc.assert(
      fc.property(figure, fc.double({ min: 1, max: 1e9, noNaN: true }), figure, figure, (c, max, rate, more) => {
        const value = headroom(load(c, max), rate);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
        expect(headroom(load(c, max), rate, more)).toBeLessThanOrEqual(value);
        expect(headroom(load(c, max), rate + more)).toBeLessThanOrEqual(value);
      }),
    );
  });

  test('the same share of another capacity: the same headroom', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }), (part, times) => {
        expect(headroom(load(part * times, 1000 * times), 0)).toBeCloseTo(headroom(load(part, 1000), 0), 12);
      }),
    );
  });
});
