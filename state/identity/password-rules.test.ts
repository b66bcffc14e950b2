import { expect, test } from 'vitest';
import { GochatError } from '../../common/mod.ts';
import { characters, checkNewPassword } from './password-rules.ts';

const codeOf = (password: string) =>
  checkNewPassword(password, 'ann-of-green').then(
    () => 'ok',
    (error: unknown) => GochatError.from(error).code,
  );

test.each([
  ['', 'PASSWORD_WEAK'],
  ['111111', 'PASSWORD_WEAK'],
  ['7 chars', 'PASSWORD_WEAK'],
  ['🐴🐴🐴🐴🐴🐴🐴', 'PASSWORD_WEAK'],
  ['🐴🐴🐴🐴🐴🐴🐴🐴', 'ok'],
  ['x'.repeat(129), 'PASSWORD_WEAK'],
  ['x'.repeat(1 << 20), 'PASSWORD_WEAK'],
  ['password', 'PASSWORD_COMMON'],
  ['PassWord1', 'PASSWORD_COMMON'],
  ['12345678', 'PASSWORD_COMMON'],
  ['qwertyuiop', 'PASSWORD_COMMON'],
  ['Ann-Of-Green', 'PASSWORD_COMMON'],
  ['correct horse battery', 'ok'],
  ["' or 1=1 --", 'ok'],
  ['\u202e nul \0 zero\u200bwidth', 'ok'],
])('%.30j: %s', async (password, code) => {
  expect(await codeOf(password)).toBe(code);
});

test('characters: code points', () => {
  expect(characters('a🐴é')).toBe(3);
});
