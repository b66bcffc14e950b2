import { describe, expect, test } from 'vitest';
import { ExpiringMap } from './expiring-map.ts';

function makeMap(maxEntries?: number) {
  const clock = { ms: 0 };
  const map = new ExpiringMap<number>({
    now: () => clock.ms,
    ...(maxEntries !== undefined && { maxEntries }),
  });
  return { map, clock };
}

describe('ExpiringMap', () => {
  test('get: returns a value until its expiry, not at it', () => {
    const { map, clock } = makeMap();
    map.set('a', 1, 10);
    clock.ms = 9;
    expect(map.get('a')).toBe(1);
    clock.ms = 10;
    expect(map.get('a')).toBeUndefined();
    expect(map.get('never')).toBeUndefined();
  });

  test('set: again replaces the value and its time', () => {
    const { map, clock } = makeMap();
    map.set('a', 1, 10);
    map.set('a', 2, 20);
    clock.ms = 15;
    expect(map.get('a')).toBe(2);
    expect(map.size).toBe(1);
  });

  test('set: removes expired entries that nobody asks for', () => {
    const { map, clock } = makeMap();
    for (let i = 0; i < 1000; i++) map.set(`old${i}`, i, 10);
    clock.ms = 10;
    for (let i = 0; i < 1100; i++) map.set('live', i, 10);
    expect(map.size).toBe(1);
    expect(map.get('live')).toBe(1099);
  });

  test('set: above the bound the entry set longest ago is dropped', () => {
    const { map } = makeMap(2);
    map.set('a', 1, 100);
    map.set('b', 2, 100);
    map.set('a', 3, 100);
    map.set('c', 4, 100);
    expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([3, undefined, 4]);
    expect(map.size).toBe(2);
  });

  test('delete and clear: remove', () => {
    const { map } = makeMap();
    map.set('a', 1, 100);
    map.set('b', 2, 100);
    map.delete('a');
    expect(map.get('a')).toBeUndefined();
    map.clear();
    expect(map.size).toBe(0);
    map.set('c', 3, 100);
    expect(map.get('c')).toBe(3);
  });
});
