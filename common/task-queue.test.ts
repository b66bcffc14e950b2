import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TaskQueue } from './task-queue.ts';

test('so many tasks run, the others begin in their order as these end', async () => {
  const queue = new TaskQueue(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  for (let i = 0; i < 5; i++) {
    queue.add(() => {
      begun.push(i);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  }
  expect(begun).toEqual([0, 1]);
  expect([queue.busy, queue.waiting]).toEqual([true, 3]);
  ends[1]?.();
  await setImmediate();
  expect(begun).toEqual([0, 1, 2]);
  for (let i = 0; i < 5; i++) {
    ends[i]?.();
    await setImmediate();
  }
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect([queue.busy, queue.waiting]).toEqual([false, 0]);
});
