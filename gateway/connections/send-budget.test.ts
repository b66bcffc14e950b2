import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FrameType } from '../../proto/mod.ts';
import { type Budget, SendBudgets } from './send-budget.ts';

const LIMITS = { framesPerSecond: 400, bytesPerSecond: 4000 };

let tick: number;
let budgets: SendBudgets;

beforeEach(() => {
  tick = 1;
  budgets = new SendBudgets(LIMITS, () => tick);
});

/** Takes frames while there is room, at most so many; returns how many. */
function take(budget: Budget, most: number, bytes = 1, type: number = FrameType.SEND): number {
  let taken = 0;
  while (taken < most && budgets.hasRoom(budget)) {
    budgets.chargeFrame(budget, type, bytes);
    taken++;
  }
  return taken;
}

describe('an account', () => {
  test('frames: a quarter of a second at once, then at the rate', () => {
    const budget = budgets.enter(1n);
    expect(take(budget, 1000)).toBe(100);
    tick += 1;
    expect(take(budget, 1000)).toBe(40);
    tick += 1000;
    expect(take(budget, 1000)).toBe(100);
  });

  test('bytes: count as well, and the last frame may be larger than what is left', () => {
    const budget = budgets.enter(1n);
    expect(take(budget, 9, 600)).toBe(2);
    expect(budgets.hasRoom(budget)).toBe(false);
    tick += 1;
    expect(budgets.hasRoom(budget)).toBe(true);
  });

  test('its connections: share one budget; other accounts have their own', () => {
    const first = budgets.enter(1n);
    const second = budgets.enter(1n);
    const other = budgets.enter(2n);
    expect(take(first, 60)).toBe(60);
    expect(take(second, 1000)).toBe(40);
    expect(take(other, 1000)).toBe(100);
  });

  test('an account that leaves and returns: has what it had left', () => {
    const budget = budgets.enter(1n);
    take(budget, 1000);
    budgets.leave(budget);
    expect(take(budgets.enter(1n), 1000)).toBe(0);
  });

  test('an account that has left: is forgotten once its budget is full again', () => {
    const idle = budgets.enter(1n);
    const busy = budgets.enter(2n);
    take(busy, 1000);
    budgets.leave(idle);
    expect(budgets.size).toBe(1);
    budgets.leave(busy);
    expect(budgets.size).toBe(1);
    tick += 10;
    budgets.leave(budgets.enter(3n));
    expect(budgets.size).toBe(0);
  });

  test('TYPING: twenty a second, whatever the rate', () => {
    expect(take(budgets.enter(1n), 1000, 0, FrameType.TYPING)).toBe(5);
  });

  test('logins: fifty a second, whatever the rate', () => {
    const budget = budgets.enter(1n);
    let taken = 0;
    for (; taken < 1000 && budgets.hasRoom(budget); taken++) budgets.chargeLogin(budget);
    expect(taken).toBe(13);
  });

  test('any arrival times: never more than the burst and the rate since the start', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 300 }), (gaps) => {
        tick = 1;
        const budget = budgets.enter(9n);
        let taken = 0;
        for (const gap of gaps) {
          tick += gap;
          taken += take(budget, 7);
          expect(taken).toBeLessThanOrEqual(100 + (tick - 1) * 40);
        }
        tick += 10;
        budgets.leave(budget);
      }),
    );
  });
});
