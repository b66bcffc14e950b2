import { expect, test } from 'vitest';
import { ConnectionLimit } from './connection-limit.ts';

test('each address: as many as allowed; one that ends makes room', () => {
  const limit = new ConnectionLimit(2);
  expect([1, 2, 3].map(() => limit.enter('a'))).toEqual([true, true, false]);
  expect(limit.enter('b')).toBe(true);
  limit.leave('a');
  expect([1, 2].map(() => limit.enter('a'))).toEqual([true, false]);
});

test('0: no limit', () => {
  const limit = new ConnectionLimit(0);
  for (let i = 0; i < 100; i++) expect(limit.enter('a')).toBe(true);
});
