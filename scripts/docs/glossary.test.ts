import { expect, test } from 'vitest';
import { missingNames } from './glossary.ts';

const CODE = [
  'class GroupCommit { #spare; run() {} }',
  'const MAX_ROWS = 1, idleTimeoutMs = 2;',
  'enum { SENT = 6; }',
];
const check = (cell: string) =>
  missingNames(
    `| term | meaning | in the code |\n|---|---|---|\n| a | \`Nowhere\` NOWHERE | ${cell} |\n`,
    CODE,
  );

test('names of the last column: identifiers, private ones, calls, beginnings, ends, folders', () => {
  expect(check('`GroupCommit`, `#spare`, `run()`, `MAX_…`, `…TimeoutMs`; SENT, `state/` –')).toEqual([]);
});

test('names that the code does not have: are reported', () => {
  expect(check('`Group`, `MIN_…`, `…Seconds`, NACK')).toEqual(['Group', 'MIN_…', '…Seconds', 'NACK']);
});
