import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Block, type Inline, parseMarkdown, plainText, safeUrl } from './mod.ts';

const text = (value: string): Inline => ({ kind: 'text', text: value });
const only = (markdown: string) => parseMarkdown(markdown)[0];
const inlines = (markdown: string) => (only(markdown) as { children: readonly Inline[] }).children;

describe('inlines', () => {
  test.each<[string, readonly Inline[]]>([
    ['plain', [text('plain')]],
    ['**a**', [{ kind: 'strong', children: [text('a')] }]],
    [
      '*a* _b_',
      [{ kind: 'emphasis', children: [text('a')] }, text(' '), { kind: 'emphasis', children: [text('b')] }],
    ],
    ['~~a~~', [{ kind: 'strike', children: [text('a')] }]],
    ['`a **b**`', [{ kind: 'code', text: 'a **b**' }]],
    ['a\nb', [text('a'), { kind: 'break' }, text('b')]],
    ['\\*a\\*', [text('*a*')]],
    ['2 * 3 * 4', [text('2 * 3 * 4')]],
    ['snake_case_name', [text('snake_case_name')]],
    ['**open', [text('**open')]],
    ['<@12>', [{ kind: 'mention', user: '12' }]],
    ['[a](https://b.example/)', [{ kind: 'link', url: 'https://b.example/', children: [text('a')] }]],
    ['[a](javascript:alert(1))', [text('[a](javascript:alert(1))')]],
    [
      'see https://a.example/x.',
      [
        text('see '),
        { kind: 'link', url: 'https://a.example/x', children: [text('https://a.example/x')] },
        text('.'),
      ],
    ],
    ['<b onclick=x>', [text('<b onclick=x>')]],
  ])('%s', (markdown, expected) => {
    expect(inlines(markdown)).toEqual(expected);
  });
});

describe('blocks', () => {
  test.each<[string, Block]>([
    ['```js\nlet a\n```', { kind: 'code', text: 'let a' }],
    ['```\nopen', { kind: 'code', text: 'open' }],
    ['> a', { kind: 'quote', children: [{ kind: 'paragraph', children: [text('a')] }] }],
    ['- a\n- b', { kind: 'list', isOrdered: false, start: 1, items: [[text('a')], [text('b')]] }],
    ['3. a\n4. b', { kind: 'list', isOrdered: true, start: 3, items: [[text('a')], [text('b')]] }],
  ])('%s', (markdown, expected) => {
    expect(only(markdown)).toEqual(expected);
  });

  test('an empty line: begins a new paragraph', () => {
    expect(parseMarkdown('a\n\nb')).toHaveLength(2);
  });
});

test('any text: every address is safe, and no letter is lost or doubled', () => {
  const piece = fc.constantFrom(
    '*',
    '**',
    '_',
    '~~',
    '`',
    '```',
    '[',
    '](',
    ')',
    'https://a.example',
    '<',
    '>',
    '<@1>',
    '\n',
    '\\',
    ' ',
    'a',
    '- ',
    '> ',
    'javascript:',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 60 }), (pieces) => {
      const markdown = pieces.join('');
      const visit = (inline: Inline): void => {
        if (inline.kind === 'link') expect(safeUrl(inline.url)).toBe(inline.url);
        if ('children' in inline) inline.children.forEach(visit);
      };
      for (const block of parseMarkdown(markdown))
        if (block.kind === 'paragraph') block.children.forEach(visit);
      const letters = (all: string) => all.split('a').length - 1;
      expect(letters(plainText(markdown, () => ''))).toBeLessThanOrEqual(letters(markdown));
    }),
  );
});

test('hostile texts: 16 KiB take linear time, however they are nested', () => {
  for (const unit of ['*a ', '**', '[', '](', '`', '_a', '<', '> ', '~~a', '(((', 'https://a.example/((((']) {
    const count = Math.floor(16_384 / unit.length);
    expect(plainText(unit.repeat(count), () => '').length).toBeLessThanOrEqual(16_384 + 100);
  }
});
