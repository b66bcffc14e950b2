import { describe, expect, test } from 'vitest';
import { parseDisplayName } from './display-names.ts';

const FAMILY = '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}';

describe('a display name', () => {
  test.each([
    ['none', '', ''],
    ['letters of any script', 'Ana María Ψ 李雷 محمد', 'Ana María Ψ 李雷 محمد'],
    ['composed', 'Rene\u0301', 'Ren\u00e9'],
    ['white space around and inside', ' \t Ann \u00a0\n  Lee\u3000', 'Ann Lee'],
    ['emoji of several code points', FAMILY, FAMILY],
    ['as long as can be', 'x'.repeat(64), 'x'.repeat(64)],
    ['characters, not code points, are counted', 'e\u0323\u0302'.repeat(64), '\u1ec7'.repeat(64)],
  ])('%s', (_, input, stored) => expect(parseDisplayName(input)).toBe(stored));

  test.each([
    ['white space alone', ' \t\u2003'],
    ['a control character', 'a\u0007b'],
    ['an override of direction', 'abc\u202etxt'],
    ['an isolate of direction', '\u2066abc'],
    ['a mark of direction', 'abc\u200f'],
    ['an unassigned character', 'a\u0378'],
    ['a private-use character', 'a\ue000'],
    ['half a surrogate pair', 'a\ud800'],
    ['nothing that can be seen', '\u200d\u200b'],
    ['a space without width', 'ad\u200bmin'],
    ['a soft hyphen', 'ad\u00admin'],
    ['a mark of byte order', 'admin\ufeff!'],
    ['fillers', '\u3164\u115f\u2800'],
    ['65 characters', 'x'.repeat(65)],
    ['one character of very many code points', `a${'\u0300'.repeat(200)}`],
    ['a very long text', 'x'.repeat(100_000)],
  ])('is not %s', (_, input) => {
    expect(() => parseDisplayName(input)).toThrow(expect.objectContaining({ code: 'DISPLAY_NAME_INVALID' }));
  });
});
