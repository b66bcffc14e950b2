import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PasteGuard, unmark } from './paste-guard.ts';

const START = '\x1b[200~';
const END = '\x1b[201~';

/** Returns what readline would get of these reads. */
function passed(...reads: (string | Buffer)[]): string {
  const guard = new PasteGuard();
  for (const read of reads) guard.write(read);
  guard.end();
  return String(guard.read() ?? '');
}

test.each([
  ['typed text', ['héllo\r'], 'héllo\r'],
  ['keys', ['\x1b[A\x1b[1;5D\t\x03'], '\x1b[A\x1b[1;5D\t\x03'],
  ['a lone escape', ['\x1b'], '\x1b'],
  ['a paste of one line', [`${START}/delete${END}`], '/delete'],
  ['a paste of one line with its end', [`${START}/delete\r${END}`], '/delete'],
  ['a paste of lines', [`${START}a\r/delete\r\nb\n${END}\r`], 'a␤/delete␤b\r'],
  ['empty lines in a paste', [`${START}a\r\r\rb${END}`], 'a␤␤␤b'],
  ['controls in a paste', [`${START}a\tb\x03\x1b[A\x7f${END}`], 'a␉b[A'],
  ['a start within a paste', [`${START}a${START}b\r\rc${END}\r`], 'a[200~b␤␤c\r'],
  ['several line ends in one read', ['a\r/delete\rb\r'], 'a␤/delete␤b'],
  ['a line a read', ['a\r', '/who\r'], 'a\r/who\r'],
])('%s: passes on what may act', (_, reads, expected) => {
  expect(passed(...reads)).toBe(expected);
});

test('split reads: a paste is the same wherever it is split', () => {
  const bytes = Buffer.from(`x${START}/a\r\nß\r/delete\r${END}y\r`);
  const whole = passed(bytes);
  expect(whole).toBe('x/a␤ß␤/deletey\r');
  for (let first = 1; first < bytes.length; first++)
    for (let second = first; second < bytes.length; second++)
      expect(
        passed(bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)),
        `cut at ${first} and ${second}`,
      ).toBe(whole);
});

test('any paste: keeps its text and loses its control characters', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[\w /]{1,8}$/), { minLength: 1 }), (lines) => {
      const text = passed(`${START}${lines.join('\r')}${END}`);
      // oxlint-disable-next-line no-control-regex -- It is about them.
      expect(text).not.toMatch(/[\u0000-\u001f]/);
      expect(unmark(text)).toBe(lines.join('\n'));
    }),
  );
});
