import { expect, test } from 'vitest';
import { cutQuote, MAX_QUOTE_CHARACTERS } from './quote.ts';

const FAMILY = '👨‍👩‍👧'; // 5 code points, one grapheme.

test.each([
  ['nothing', '', ''],
  ['as many characters as fit', 'x'.repeat(280), 'x'.repeat(280)],
  ['as many characters of two units as fit', '𝒳'.repeat(280), '𝒳'.repeat(280)],
])('a quote: %s stays whole', (_, text, kept) => expect(cutQuote(text)).toEqual({ text: kept, cut: false }));

test.each([
  ['at a character', 'x'.repeat(281), 'x'.repeat(280)],
  ['never inside of a grapheme', `${'x'.repeat(277)}${FAMILY}`, 'x'.repeat(277)],
  ['before a mark that belongs to the last character', `${'x'.repeat(280)}\u0301`, 'x'.repeat(279)],
  ['inside of a grapheme that alone is too long', `x${'\u0301'.repeat(400)}`, `x${'\u0301'.repeat(279)}`],
])('a quote: a longer text is cut %s', (_, text, kept) => {
  expect(cutQuote(text)).toEqual({ text: kept, cut: true });
  expect(Array.from(cutQuote(text).text).length).toBeLessThanOrEqual(MAX_QUOTE_CHARACTERS);
});

test('a quote: the beginning that a store reads gives the same as the whole text', () => {
  const text = FAMILY.repeat(500);
  expect(cutQuote(Array.from(text).slice(0, 400).join(''))).toEqual(cutQuote(text));
});
