/**
 * Writes the pages and pictures that are made from the code: `node scripts/docs/main.ts`; with --check only compares.
 * Either way it checks links between documents, the paths that they name, and the glossary's names.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { renderDiagrams } from './diagrams.ts';
import { renderErrors } from './errors.ts';
import { missingNames } from './glossary.ts';
import { brokenLinks } from './links.ts';
import { renderMetrics } from './metrics.ts';
import { isTypedBy, renderOpenApi, renderTypes } from './openapi.ts';
import { renderSettings } from './settings.ts';

const ROOT = join(import.meta.dirname, '../..');
/** The types of docs/openapi.json. */
const TYPES = 'api/testing/gen/openapi.ts';

/** Returns the generated files by path from the root. */
async function generated(): Promise<Map<string, string>> {
  const files = new Map([
    ['docs/errors.md', renderErrors()],
    ['docs/settings.md', renderSettings()],
    ['docs/metrics.md', renderMetrics()],
    ['docs/openapi.json', await renderOpenApi()],
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

/** Returns the texts of what is in production: not tests, benchmarks or tools. */
function productionCode(): string[] {
  const ours = [
    '*.ts',
    '*.proto',
    '*.sql',
    ':!*.test.ts',
    ':!*.verify.ts',
    ':!*.contract.ts',
    ':!*/testing/*',
  ];
  const folders = [':!bench', ':!test', ':!scripts'];
  const listed = execFileSync('git', ['ls-files', '--', ...ours, ...folders], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return listed.trim().split('\n').map(read);
}

/** Checks the documents, generated ones as they should be. What Git ignores (data, dist) does not count as a file. */
function wrongLinks(generated: ReadonlyMap<string, string>): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const files = new Set(listed.split('\n'));
  const folders = new Set<string>();
  for (const file of files)
    for (let folder = dirname(file); folder !== '.'; folder = dirname(folder)) folders.add(folder);
  const pages = [...files].filter((file) => file.endsWith('.md'));
  const texts = new Map(pages.map((page) => [page, generated.get(page) ?? read(page)]));
  return brokenLinks(texts, (path) => files.has(path) || folders.has(path));
}

function read(path: string): string {
  try {
    return readFileSync(join(ROOT, path), 'utf8');
  } catch {
    return ''; // Never made: as stale as can be.
  }
}

const files = await generated();
const isCheck = process.argv.includes('--check');
const stale = [...files].filter(([path, text]) => read(path) !== text);
const document = files.get('docs/openapi.json') as string;
if (!isTypedBy(read(TYPES), document)) stale.push([TYPES, isCheck ? '' : renderTypes(document)]);
const problems = [
  ...missingMetrics(files.get('docs/metrics.md') as string).map(
    (name) => `${name}: not in scripts/docs/metrics.ts, so not in docs/metrics.md`,
  ),
  ...missingNames(read('docs/glossary.md'), productionCode()).map(
    (name) => `docs/glossary.md: ${name}: not in the code`,
  ),
  ...wrongLinks(files),
];
if (isCheck) problems.push(...stale.map(([path]) => `${path}: not what the code says; run make docs`));
else for (const [path, text] of stale) writeFileSync(join(ROOT, path), text);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
