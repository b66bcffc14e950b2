import { expect, test } from 'vitest';
import { bearerToken } from './http.ts';

test.each([
  ['Bearer a.b-c_d.e', 'a.b-c_d.e'],
  ['bearer a', 'a'],
  ['BEARER  a', 'a'],
  ['Bearer a==', 'a=='],
  [undefined, undefined],
  ['', undefined],
  ['Bearer', undefined],
  ['Bearer ', undefined],
  [' Bearer a', undefined],
  ['Bearer\ta', undefined],
  ['Bearer a b', undefined],
  ['Bearer a ', undefined],
  ['Bearer a=b', undefined],
  ['Bearer a,Bearer b', undefined],
  ['Basic a', undefined],
])('%j: the token %j', (header, token) => {
  expect(bearerToken(header)).toBe(token);
});
