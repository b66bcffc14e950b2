import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TurnQueue } from './turn-queue.ts';

function drain<T>(queue: TurnQueue<T>): T[] {
  const all: T[] = [];
  while (queue.size > 0) all.push(queue.shift() as T);
  return all;
}

test('lines: are served in turn, each in its own order', () => {
  const queue = new TurnQueue<string>(10);
  for (const item of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) queue.push(item.slice(0, 1), item);
  expect(drain(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  expect(queue.shift()).toBeUndefined();
});

test('a line that is added again: does not overtake waiting ones', () => {
  const queue = new TurnQueue<string>(10);
  queue.push('a', 'a1');
  queue.push('b', 'b1');
  expect(queue.shift()).toBe('a1');
  queue.push('a', 'a2');
  expect(drain(queue)).toEqual(['b1', 'a2']);
});

test('full: the newest item of the longest line is dropped, so that one flooding key keeps no other out', () => {
  const queue = new TurnQueue<string>(3);
  for (const item of ['a1', 'a2', 'a3']) expect(queue.push('a', item)).toBeUndefined();
  expect(queue.push('a', 'a4')).toBe('a4');
  expect(queue.push('b', 'b1')).toBe('a3');
  expect(queue.push('c', 'c1')).toBe('a2');
  expect(queue.push('d', 'd1')).toBe('d1');
  expect(drain(queue)).toEqual(['a1', 'b1', 'c1']);
});

test('any input: nothing is lost or doubled, and the bound holds', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 4 })), { maxLength: 100 }), (steps) => {
      const queue = new TurnQueue<number>(5);
      const out: (number | undefined)[] = [];
      steps.forEach((key, i) => {
        out.push(key === null ? queue.shift() : queue.push(String(key), i));
        expect(queue.size).toBeLessThanOrEqual(5);
      });
      const all = [...out.filter((item) => item !== undefined), ...drain(queue)];
      expect(all.sort((x, y) => x - y)).toEqual(steps.flatMap((key, i) => (key === null ? [] : [i])));
    }),
  );
});
