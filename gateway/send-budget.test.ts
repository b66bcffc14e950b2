import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Connection } from './connection.ts';
import { SendBudget, Verdict } from './send-budget.ts';
import { fakeTransport } from './test-transport.ts';

const LIMITS = { framesPerSecond: 10, bytesPerSecond: 1000 };

function open(budget: SendBudget): Connection {
  const connection = new Connection(1, fakeTransport, new PassThrough(), { origin: undefined });
  budget.open(connection, 1);
  return connection;
}

test('frames: a burst, then refusals, then the end', () => {
  const budget = new SendBudget(LIMITS);
  const connection = open(budget);
  const verdicts = Array.from({ length: 202 }, () => budget.charge(connection, 1, 1));
  expect(verdicts.indexOf(Verdict.REFUSE)).toBe(100);
  expect(verdicts.indexOf(Verdict.CLOSE)).toBe(200);
});

test('bytes: count as well', () => {
  const budget = new SendBudget(LIMITS);
  const connection = open(budget);
  expect(budget.charge(connection, 10_000, 1)).toBe(Verdict.TAKE);
  expect(budget.charge(connection, 1, 1)).toBe(Verdict.REFUSE);
  expect(budget.charge(connection, 10_000, 1)).toBe(Verdict.CLOSE);
});

test('waitMs: after it the next frame is taken', () => {
  const budget = new SendBudget(LIMITS);
  const connection = open(budget);
  for (let i = 0; i < 110; i++) budget.charge(connection, 1, 1);
  const waitMs = budget.waitMs(connection);
  expect(waitMs).toBe(1000);
  expect(budget.charge(connection, 1, 1 + waitMs / 100)).toBe(Verdict.REFUSE);
  expect(budget.charge(connection, 1, 1 + waitMs / 100 + 2)).toBe(Verdict.TAKE);
});

test('any times: never more than the burst and the rate since the beginning', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 300 }), (gaps) => {
      const budget = new SendBudget(LIMITS);
      const connection = open(budget);
      let tick = 1;
      let taken = 0;
      for (const gap of gaps) {
        tick += gap;
        if (budget.charge(connection, 1, tick) === Verdict.TAKE) taken++;
        expect(taken).toBeLessThanOrEqual(100 + (tick - 1));
      }
    }),
  );
});
