import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Credit, CREDIT_TTL_S } from './credit.ts';

describe('Credit', () => {
  test('placements: count until a report shows them', () => {
    const credit = new Credit(0);
    credit.place(5);
    credit.arrive(3);
    expect(credit.amount).toBe(2);
  });

  test('more arrivals than were sent: the credit is 0, not less', () => {
    const credit = new Credit(0);
    credit.place(2);
    credit.arrive(10);
    expect(credit.amount).toBe(0);
    expect(credit.arrived).toBe(2);
  });

  test('a client that has not arrived in time: counts as lost', () => {
    const credit = new Credit(0);
    credit.place(4);
    credit.advance(CREDIT_TTL_S);
    expect(credit.amount).toBe(4);
    credit.advance(CREDIT_TTL_S + 1);
    expect(credit.amount).toBe(0);
    expect(credit.lost).toBe(4);
  });

  test('arrivals take off the oldest first: late ones do not make later placements overdue', () => {
    const credit = new Credit(0);
    credit.place(4);
    credit.advance(10);
    credit.place(4);
    credit.arrive(4);
    credit.advance(CREDIT_TTL_S + 1);
    expect(credit.amount).toBe(4);
    expect(credit.lost).toBe(0);
  });

  test('a steady stream with late reports: exactly those on their way', () => {
    const credit = new Credit(0);
    for (let second = 1; second <= 100; second++) {
      credit.advance(second);
      credit.place(7);
      if (second > 5) credit.arrive(7);
    }
    expect(credit.amount).toBe(35);
    expect(credit.lost).toBe(0);
  });

  test('hold: no client counts as lost while no report can arrive', () => {
    const credit = new Credit(0);
    credit.place(4);
    credit.hold(1000);
    expect(credit.amount).toBe(4);
    expect(credit.lost).toBe(0);
    credit.arrive(4);
    expect(credit.amount).toBe(0);
  });

  test('any sequence: never below 0, and each client is on its way, arrived or lost', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('place' as const), by: fc.nat(100) }),
      fc.record({ kind: fc.constant('arrive' as const), by: fc.nat(100) }),
      fc.record({ kind: fc.constant('advance' as const), by: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const credit = new Credit(0);
        let [placed, second] = [0, 0];
        for (const { kind, by } of steps) {
          if (kind === 'place') {
            credit.place(by);
            placed += by;
          } else if (kind === 'arrive') credit.arrive(by);
          else credit.advance((second += by));
          const { arrived, lost } = credit;
          expect(credit.amount).toBeGreaterThanOrEqual(0);
          expect(credit.amount + arrived + lost).toBeLessThanOrEqual(placed + 1e-6);
        }
        credit.advance(second + CREDIT_TTL_S + 1);
        expect(credit.amount).toBeCloseTo(0, 6);
      }),
    );
  });
});
