/** The SDK must run in browsers: what it loads, and the globals it names, exist there. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
/** Written for browsers as well. */
const PACKAGES = new Set(['@bufbuild/protobuf/wire']);
const NODE_ONLY = /\b(?:Buffer|process|setImmediate|clearImmediate|require|__dirname|NodeJS)\b/;

/** Returns the files that are loaded with this one, itself included, and the packages. */
function closure(entry: string): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    const source = readFileSync(file, 'utf8');
    for (const [, name = ''] of source.matchAll(/^(?:import|export)\b[^;]*?from\s*['"]([^'"]+)['"]/gm)) {
      if (name.startsWith('.')) visit(resolve(dirname(file), name));
      else packages.add(name);
    }
  };
  visit(entry);
  return { files, packages };
}

test('imports: only the SDK, the protocol, and a package that browsers can load', () => {
  const { files, packages } = closure(resolve(ROOT, 'client/sdk/mod.ts'));
  expect(files.size).toBeGreaterThan(15);
  expect([...packages].filter((name) => !PACKAGES.has(name))).toEqual([]);
  const outside = [...files]
    .map((file) => relative(ROOT, file))
    .filter((file) => !/^(client\/sdk|proto)\//.test(file));
  expect(outside).toEqual([]);
  expect([...files].filter((file) => file.includes('proto/link') || !existsSync(file))).toEqual([]);
});

test('globals: none that only Node.js has', () => {
  for (const file of closure(resolve(ROOT, 'client/sdk/mod.ts')).files) {
    const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    expect({ file, found: NODE_ONLY.exec(code)?.[0] }).toEqual({ file, found: undefined });
  }
});
