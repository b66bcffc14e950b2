import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { align, fitRow, paint, piece, rowWidth } from './row.ts';
import { bounded, cut, graphemes, visible, visibleLine, widthOf, wrap } from './text.ts';
import { itemRows, textRows } from './timeline-rows.ts';

/** What others may send to make a terminal obey. */
const HOSTILE = [
  '\x1b[2J\x1b[H',
  '\x1b]0;title\x07',
  '\x1b]52;c;aGk=\x07',
  '\x1bP+q544e\x1b\\',
  '\u009b2J',
  '\u009d0;x\u009c',
  '\r\nforged: yes',
  'a\x08\x08b',
  '\u202emoc.elpmaxe//:sptth',
  '\u2066\u2067\u2069',
  '\u061c\u200f',
  'z\u0300\u0301\u0302\u0303\u0304\u0305\u0306a',
  '\x7f\x00\x05',
  '\ud800',
];
// oxlint-disable-next-line no-control-regex -- What our own rows may have besides text.
const OWN = /\x1b\[[\d;]*[mG]/g;
// oxlint-disable-next-line no-control-regex -- What no row may have besides.
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200f\u2028-\u202e\u2066-\u2069]/;

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom(...HOSTILE, '写作者', '👨‍👩‍👧', 'שם', '**', '`', '\n', '> ', '- ', ' '))
    .map((parts) => parts.join('')),
);
const how = { hasColour: true, isAscii: false };

describe('what reaches a terminal', () => {
  test.each(HOSTILE)('%j: no control, no direction', (text) => {
    expect(visibleLine(text)).not.toMatch(FORBIDDEN);
  });

  test('controls are shown', () => {
    expect(visibleLine('\x1b[2J')).toBe('<1B>[2J');
    expect(visibleLine('\u202emoc')).toBe('<U+202E>moc');
    expect(visibleLine('\u009b')).toBe('<9B>');
    expect(visible('a\r\nb\tc')).toBe('a\nb    c');
  });

  test('a message of any text, with any names: rows of their width, in which nothing is obeyed', () => {
    fc.assert(
      fc.property(anyText, anyText, fc.integer({ min: 20, max: 120 }), (text, name, width) => {
        const rows = itemRows(
          {
            kind: 'message',
            key: '',
            time: '12:00',
            authorId: '1',
            author: name,
            isBot: true,
            mentionsMe: true,
            quote: { author: name, text },
            text,
            isEdited: true,
            files: [`[${name} 1 kB]`],
            reactions: [],
            note: '',
            thread: name,
            receipt: 'sent',
            refusal: { reason: text, remedy: '' },
          },
          { width, isSelected: false },
        );
        for (const row of rows) {
          expect(rowWidth(row)).toBe(width);
          expect(paint(row, how).replace(OWN, '')).not.toMatch(FORBIDDEN);
          expect(paint(row, { hasColour: false, isAscii: true }).replace(OWN, '')).toMatch(/^[\x20-\x7e]*$/);
        }
      }),
      {
        examples: [
          ['\r', '', 20],
          ['a\rb', '\r', 20],
        ],
      },
    );
  });
});

describe('cells', () => {
  test.each([
    ['abc', 3],
    ['写作者', 6],
    ['👨‍👩‍👧', 2],
    ['❤️', 2],
    ['👍🏽', 2],
    ['Möë'.normalize('NFD'), 3],
    ['שם\u200e', 2],
  ])('%s has %i', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  test('cut: never within a grapheme, and never wider', () => {
    expect(cut('写作者', 4)).toBe('写…');
    expect(cut('👨‍👩‍👧👨‍👩‍👧', 3)).toBe('👨‍👩‍👧…');
    fc.assert(
      fc.property(anyText.map(visibleLine), fc.integer({ min: 0, max: 40 }), (text, width) => {
        expect(widthOf(cut(text, width))).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('wrap: nothing is lost but blanks, and no row is wider', () => {
    fc.assert(
      // A grapheme may be wider than a few cells.
      fc.property(anyText.map(visibleLine), fc.integer({ min: 20, max: 60 }), (text, width) => {
        const rows = wrap(text, width);
        for (const row of rows) expect(widthOf(row)).toBeLessThanOrEqual(width);
        expect(rows.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
      }),
    );
  });

  test('align and fitRow: exactly the width', () => {
    fc.assert(
      fc.property(
        anyText.map(visibleLine),
        anyText.map(visibleLine),
        fc.integer({ min: 0, max: 60 }),
        (a, b, width) => {
          expect(rowWidth(align([piece(a, 100)], [piece(b, 10)], width))).toBe(width);
          expect(rowWidth(fitRow([piece(a, 100), piece(b, 100)], width))).toBe(width);
        },
      ),
    );
  });

  test('right-to-left text ends with a mark that keeps its neighbours', () => {
    expect(bounded('שם')).toBe('שם\u200e');
    expect(bounded('name')).toBe('name');
  });

  test('a cluster whose width terminals take differently: the column behind it is set', () => {
    expect(paint([{ text: 'a👍🏽b' }], how)).toBe('a  \x1b[2G👍🏽\x1b[4Gb');
  });
});

describe('colour', () => {
  test('without it bold, underline and reverse stay', () => {
    expect(paint([{ text: 'a', style: '1;31' }], { hasColour: false, isAscii: false })).toBe(
      '\x1b[0;1ma\x1b[0m',
    );
    expect(paint([{ text: 'a', style: '31' }], { hasColour: false, isAscii: false })).toBe('a');
  });
});

describe('Markdown', () => {
  const shown = (text: string, width = 30) =>
    textRows(text, width).map((row) => row.map((each) => each.text).join(''));

  test('lists, code, quotes, links with their host', () => {
    expect(shown('- one\n- two')).toEqual(['  • one', '  • two']);
    expect(shown('```\na  b\n```')).toEqual(['│ a  b']);
    expect(shown('> said')).toEqual(['│ said']);
    expect(shown('[here](https://example.org/x)')).toEqual(['here (example.org)']);
    expect(shown('**bold** text')).toEqual(['bold text']);
  });

  test('wraps by words, also where styles change', () => {
    expect(shown('one **two three** four', 9)).toEqual(['one two', 'three', 'four']);
  });

  test('graphemes: as people see them', () => {
    expect(graphemes('a👨‍👩‍👧')).toEqual(['a', '👨‍👩‍👧']);
  });
});
