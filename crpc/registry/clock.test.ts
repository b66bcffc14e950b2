/** Deadlines on a wall clock that is set while calls run. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fromWall, toWall } from './clock.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('a deadline that is passed on: keeps its remaining time, however the wall clock is set meanwhile', () => {
  const deadline = fromWall(Date.now() + 5000);
  vi.advanceTimersByTime(2000);
  for (const step of [-3_600_000, 7_200_000]) {
    vi.setSystemTime(Date.now() + step);
    expect(toWall(deadline) - Date.now()).toBeCloseTo(3000, 0);
  }
});

test('no deadline: none', () => {
  expect([toWall(Infinity), fromWall(Infinity)]).toEqual([Infinity, Infinity]);
});
