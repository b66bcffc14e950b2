import { expect, test } from 'vitest';
import { brokenLinks } from './links.ts';

const FILES = new Set(['README.md', 'docs', 'docs/a.md', 'docs/b.md', 'state', 'state/node.ts']);

function check(page: string): string[] {
  const pages = new Map([
    ['docs/a.md', page],
    ['docs/b.md', '# `gochat ctl`, drains\n<a id="CODE"></a>\n'],
  ]);
  return brokenLinks(pages, (path) => FILES.has(path));
}

test('links: to files, headings and anchors, also of the same page', () => {
  expect(
    check('# Here\n[1](b.md) [2](../README.md) [3](b.md#gochat-ctl-drains) [4](b.md#CODE) [5](#here)'),
  ).toEqual([]);
  expect(check('[1](https://example.org/none.md#none)')).toEqual([]);
});

test('links: broken ones are reported', () => {
  expect(check('[1](c.md)')).toEqual(['docs/a.md: c.md: no such file']);
  expect(check('[1](b.md#none)')).toEqual(['docs/a.md: b.md#none: no such heading']);
  expect(check('[1](#none)')).toEqual(['docs/a.md: #none: no such heading']);
});

test('paths in backticks: must exist if they are in one of our folders', () => {
  expect(check('`state/node.ts` `elsewhere/node.ts` `text/html`')).toEqual([]);
  expect(check('`state/none.ts`')).toEqual(['docs/a.md: state/none.ts: no such file']);
});
