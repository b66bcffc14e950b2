import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TimingWheel, type WheelItem } from './timing-wheel.ts';

const TICK_MS = 10;

class Item implements WheelItem<Item> {
  wheelNext: Item | undefined;
  wheelPrevious: Item | undefined;
  wheelDue = 0;
  readonly name: number;

  constructor(name = 0) {
    this.name = name;
  }
}

function wheelOf(expire: (item: Item) => number, slots = 256): TimingWheel<Item> {
  return new TimingWheel({ tickMs: TICK_MS, slots, expire });
}

describe('TimingWheel', () => {
  test('a deadline: never early, at most two ticks late, once', () => {
    const expired: Item[] = [];
    const wheel = wheelOf((item) => expired.push(item) && 0);
    const item = new Item();
    wheel.schedule(item, 50);
    wheel.advance(5);
    expect(expired).toEqual([]);
    wheel.advance(2);
    expect(expired).toEqual([item]);
    wheel.advance(100);
    expect(expired).toEqual([item]);
    expect(wheel.size).toBe(0);
  });

  test('a deadline beyond the wheel: waits as many rounds as needed', () => {
    const expired: number[] = [];
    const wheel = wheelOf(() => expired.push(wheel.tick) && 0, 8);
    wheel.schedule(new Item(), 30 * TICK_MS);
    for (let i = 0; i < 30; i++) wheel.advance(1);
    expect(expired).toEqual([]);
    wheel.advance(2);
    expect(expired).toEqual([32]);
  });

  test('the return value: arms the item again', () => {
    let looks = 0;
    const wheel = wheelOf(() => (++looks < 3 ? 20 : 0));
    wheel.schedule(new Item(), 20);
    wheel.advance(100);
    expect(looks).toBe(3);
    expect(wheel.size).toBe(0);
  });

  test('cancel: the item does not expire, even if an item of the same slot cancels it', () => {
    const items = [new Item(1), new Item(2), new Item(3)];
    const expired: number[] = [];
    const wheel = wheelOf((item) => {
      expired.push(item.name);
      for (const other of items) if (other !== item) wheel.cancel(other);
      return 0;
    });
    for (const item of items) wheel.schedule(item, 30);
    wheel.advance(20);
    expect(expired).toHaveLength(1);
    const [cancelled] = items.filter((item) => item.name !== expired[0]);
    wheel.cancel(cancelled as Item);
    expect(wheel.size).toBe(0);
  });

  test('schedule within expire: the new deadline holds, not the return value', () => {
    const ticks: number[] = [];
    const wheel = wheelOf((item) => {
      ticks.push(wheel.tick);
      if (ticks.length === 1) wheel.schedule(item, 100);
      return 10;
    });
    wheel.schedule(new Item(), 10);
    wheel.advance(10);
    expect(ticks).toEqual([3]);
    wheel.advance(4);
    expect(ticks).toEqual([3, 14]);
  });

  test('hasten: brings a deadline forward and never back', () => {
    const ticks: number[] = [];
    const wheel = wheelOf(() => ticks.push(wheel.tick) && 0);
    const item = new Item();
    wheel.schedule(item, 500);
    wheel.hasten(item, 30);
    wheel.hasten(item, 300);
    wheel.advance(10);
    expect(ticks).toEqual([5]);
  });

  test('a long sleep: every item that is due expires once', () => {
    const expired = new Set<Item>();
    const wheel = wheelOf((item) => {
      expect(expired.has(item)).toBe(false);
      expired.add(item);
      return 0;
    }, 8);
    for (let i = 0; i < 100; i++) wheel.schedule(new Item(i), i * TICK_MS);
    wheel.advance(10_000);
    expect(expired.size).toBe(100);
  });

  test('a number of slots that is not a power of two: refused', () => {
    expect(() => wheelOf(() => 0, 12)).toThrow(RangeError);
  });

  test('any schedule: agrees with a plain list of deadlines', () => {
    const command = fc.oneof(
      fc.record({
        do: fc.constant('schedule' as const),
        item: fc.nat(9),
        delayMs: fc.integer({ min: 1, max: 400 }),
      }),
      fc.record({ do: fc.constant('cancel' as const), item: fc.nat(9) }),
      fc.record({ do: fc.constant('advance' as const), ticks: fc.integer({ min: 1, max: 40 }) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const items = Array.from({ length: 10 }, (_, name) => new Item(name));
        const due = new Map<number, number>();
        const wheel = wheelOf((item) => {
          // In time by the model: not early, and at most two ticks late.
          const wanted = due.get(item.name) as number;
          expect(wheel.tick).toBeGreaterThanOrEqual(wanted);
          expect(wheel.tick).toBeLessThanOrEqual(wanted + 2);
          due.delete(item.name);
          return 0;
        }, 8);
        for (const step of commands) {
          if (step.do === 'advance') {
            for (let i = 0; i < step.ticks; i++) wheel.advance(1);
            for (const wanted of due.values()) expect(wanted + 2).toBeGreaterThan(wheel.tick);
          } else if (step.do === 'cancel') {
            wheel.cancel(items[step.item] as Item);
            due.delete(step.item);
          } else {
            wheel.schedule(items[step.item] as Item, step.delayMs);
            due.set(step.item, wheel.tick + step.delayMs / TICK_MS);
          }
          expect(wheel.size).toBe(due.size);
        }
      }),
    );
  });
});
