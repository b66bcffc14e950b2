import { expect, test } from 'vitest';
import { violations } from './check-imports.ts';

/** The checker's findings for files with these imports. */
function judge(imports: Readonly<Record<string, string>>): string[] {
  const sources = new Map(
    Object.entries(imports).map(([file, from]) => [file, `import { x } from '${from}';\n`]),
  );
  return violations(sources).map(({ file, what }) => `${file}: ${what}`);
}

test.each([
  ['upward', 'common/x.ts', '../crpc/mod.ts', 'common does not import crpc'],
  ['between siblings', 'gateway/x.ts', '../state/mod.ts', 'gateway does not import state'],
  [
    'between siblings, from a folder below',
    'gateway/push/x.ts',
    '../../state/mod.ts',
    'does not import state',
  ],
  ['of common by proto', 'proto/x.ts', '../common/mod.ts', 'proto does not import common'],
  ['of common by crpc', 'crpc/x.ts', '../common/mod.ts', 'crpc does not import common'],
  [
    'of common by the client',
    'client/plain/x.ts',
    '../../common/mod.ts',
    'client imports proto/client.ts alone',
  ],
  ['of the server side of proto by the client', 'client/x.ts', '../proto/mod.ts', 'client imports'],
  ['past mod.ts', 'cmd/x.ts', '../state/store/store.ts', 'across folders only through mod.ts'],
  ['of the server side of proto by the SDK', 'client/sdk/x.ts', '../../proto/mod.ts', 'the SDK imports'],
  ['of the line client by the model', 'client/model/x.ts', '../plain/lines.ts', 'the model imports'],
  ['of the line client by the SDK', 'client/sdk/x.ts', '../plain/lines.ts', 'the SDK imports'],
  ['of test helpers by what is shipped', 'gateway/x.ts', './testing/test-node.ts', 'for tests alone'],
  ['of the harness by what is shipped', 'cmd/x.ts', '../test/harness/gochat.ts', 'for tests alone'],
  ['of a contract by what is shipped', 'state/x.ts', './store.contract.ts', 'for tests alone'],
  ['past mod.ts by a test', 'test/e2e/x.test.ts', '../../state/limits.ts', 'a test imports'],
])('an import %s: is told', (_, file, from, what) => {
  expect(judge({ [file]: from })).toEqual([expect.stringContaining(what)]);
});

test.each([
  ['cmd/x.ts', '../state/mod.ts'],
  ['gateway/push/x.ts', '../../crpc/mod.ts'],
  ['gateway/push/x.ts', '../wire/transport.ts'],
  ['client/sdk/x.ts', '../../proto/client.ts'],
  ['gateway/x.test.ts', '../crpc/testing/certificates.ts'],
  ['state/store/x.contract.ts', '../../test/harness/services.ts'],
  ['bench/x.ts', '../gateway/mod.ts'],
])('%s may import %s', (file, from) => {
  expect(judge({ [file]: from })).toEqual([]);
});

test('a cycle: is reported once, also one of types only', () => {
  const sources = new Map([
    ['state/a.ts', "import type { B } from './b.ts';\n"],
    ['state/b.ts', "import {\n  c,\n} from './c.ts';\n"],
    ['state/c.ts', "export * from './a.ts';\n"],
    ['state/d.ts', "import { a } from './a.ts';\n"],
  ]);
  expect(violations(sources).map(({ what }) => what)).toEqual([
    'a circle of imports: state/a.ts → state/b.ts → state/c.ts → state/a.ts',
  ]);
});
