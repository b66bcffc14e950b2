import { describe, expect, test } from 'vitest';
import type { GatewayLoad } from './gateway-report.ts';
import { RATE_HALF_LIFE_MS, Window } from './window.ts';

const load = (change: Partial<GatewayLoad>): GatewayLoad => ({
  connections: 0,
  maxConnections: 100,
  accepted: undefined,
  tick: undefined,
  used: {},
  draining: false,
  ready: true,
  weight: 1,
  ...change,
});

describe('Window', () => {
  test('connections: only the newest report', () => {
    const window = new Window(load({ connections: 90 }), 0);
    window.add(load({ connections: 10 }), 1);
    expect(window.load.connections).toBe(10);
  });

  test('rates: the scarcest, halfway to the newest after one half-life', () => {
    const window = new Window(load({ used: { cpu: 0.2, bytes: 0.1 } }), 0);
    expect(window.usedRate).toBe(0.2);
    window.add(load({ used: { cpu: 0.4, bytes: 0.8 } }), RATE_HALF_LIFE_MS);
    expect(window.usedRate).toBeCloseTo(0.5, 12);
  });

  test('age: since the newest report', () => {
    const window = new Window(load({}), 100);
    expect(window.age(150)).toBe(50);
    window.add(load({}), 160);
    expect(window.age(150)).toBe(0);
  });

  test('arrivals: from the counter, whoever left meanwhile', () => {
    const window = new Window(load({ accepted: 10, connections: 10 }), 0);
    expect(window.add(load({ accepted: 15, connections: 8 }), 1)).toBe(5);
  });

  test('arrivals without a counter: net growth, never below 0', () => {
    const window = new Window(load({ connections: 10 }), 0);
    expect(window.add(load({ connections: 12 }), 1)).toBe(2);
    expect(window.add(load({ connections: 3 }), 2)).toBe(0);
  });
});
