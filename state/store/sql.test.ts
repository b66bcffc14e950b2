/** Statements made of templates: their text for each engine, and parameters that both can hold. */
import { expect, test } from 'vitest';
import { sql } from './sql.ts';

test('nested parts: parameters are numbered throughout, and never become text', () => {
  const condition = sql`b = ${2n} or c = ${"'; drop table t"}`;
  const statement = sql`select a from t where a = ${1} and (${condition}) ${sql``} limit ${3}`;
  expect(statement.text).toBe('select a from t where a = $1 and (b = $2 or c = $3)  limit $4');
  expect(statement.textWithMarks).toBe('select a from t where a = ? and (b = ? or c = ?)  limit ?');
  expect(statement.values).toEqual([1, 2n, "'; drop table t", 3]);
});

test('values that the engines cannot hold: such an id matches nothing, a text is made well-formed', () => {
  const { values } = sql`${2n ** 64n - 1n} ${2n ** 63n - 2n} ${'a\0\uD800b'} ${true} ${null}`;
  expect(values).toEqual([2n ** 63n - 1n, 2n ** 63n - 2n, 'a\uFFFD\uFFFDb', true, null]);
});
