/** Writes the pages and pictures that are made from the code: `node scripts/docs/main.ts`; with --check only compares. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderDiagrams } from './diagrams.ts';
import { renderErrors } from './errors.ts';
import { renderMetrics } from './metrics.ts';
import { renderSettings } from './settings.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Returns the generated files by path from the root. */
async function generated(): Promise<Map<string, string>> {
  const files = new Map([
    ['docs/errors.md', renderErrors()],
    ['docs/settings.md', renderSettings()],
    ['docs/metrics.md', renderMetrics()],
  ]);
  for (const [name, svg] of await renderDiagrams(join(ROOT, 'docs/diagrams')))
    files.set(`docs/diagrams/${name}`, svg);
  return files;
}

/** Returns metrics that the servers' sources name and the page does not; names in state/store are SQL's. */
function missingMetrics(page: string): string[] {
  const search = [
    'grep',
    '-hoE',
    "'gochat_[a-z_]+'",
    '--',
    '*.ts',
    ':!*.test.ts',
    ':!bench',
    ':!test',
    ':!scripts',
    ':!state/store',
  ];
  const names = execFileSync('git', search, { cwd: ROOT, encoding: 'utf8' }).match(/\w+/g) ?? [];
  return [...new Set(names)].filter((name) => !page.includes(`\`${name}\``));
}

function read(path: string): string {
  try {
    return readFileSync(join(ROOT, path), 'utf8');
  } catch {
    return ''; // Never made: as stale as can be.
  }
}

const files = await generated();
const stale = [...files].filter(([path, text]) => read(path) !== text);
const missing = missingMetrics(files.get('docs/metrics.md') as string);
for (const name of missing)
  console.error(`${name}: not in scripts/docs/metrics.ts, so not in docs/metrics.md`);
if (process.argv.includes('--check')) {
  for (const [path] of stale) console.error(`${path}: not what the code says; run make docs`);
} else {
  for (const [path, text] of stale) writeFileSync(join(ROOT, path), text);
}
if (missing.length > 0 || (stale.length > 0 && process.argv.includes('--check'))) process.exitCode = 1;
