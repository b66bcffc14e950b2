import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TaskQueue } from './task-queue.ts';

test('a bound on running tasks: the others start in order as these end', async () => {
  const queue = new TaskQueue(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  for (let i = 0; i < 5; i++) {
    void queue.run(() => {
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

test('a task: settles with its own result, and one that fails frees its place for the next', async () => {
  const queue = new TaskQueue(1);
  const failed = queue.run(() => Promise.reject(new Error('the first')));
  const fine = queue.run(() => Promise.resolve('the second'));
  await expect(failed).rejects.toThrow('the first');
  expect(await fine).toBe('the second');
  expect([queue.busy, queue.waiting]).toEqual([false, 0]);
});
