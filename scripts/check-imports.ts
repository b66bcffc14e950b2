/** Checks who imports what (CONTRIBUTING.md, "Where things are"): `node scripts/check-imports.ts`. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** A folder's public module besides its mod.ts: the browser-safe part of proto/. */
const BROWSER_MODULE = 'proto/client.ts';
/** Folders that each folder may import, through these modules. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  common: [],
  proto: [],
  crpc: [],
  blobs: ['common'],
  gateway: ['common', 'crpc', 'proto'],
  state: ['common', 'crpc', 'proto'],
  ipconf: ['common', 'crpc', 'proto'],
  api: ['common', 'crpc', 'proto'],
  client: ['proto'],
  cmd: ['common', 'crpc', 'proto', 'gateway', 'state', 'ipconf', 'api', 'client'],
};
/** A part that imports nothing but itself and BROWSER_MODULE: it runs in browsers, too. */
const SDK = 'client/sdk/';
/** A part that imports nothing but itself and SDK_MODULE. */
const MODEL = 'client/model/';
const SDK_MODULE = 'client/sdk/mod.ts';
/** Folders whose files run in tests, benches, examples and development only. */
const NOT_SHIPPED = /^(test|bench|scripts)\/|(^|\/)(testing|example)\//;
const TEST_FILE = /\.(test|verify|contract)\.ts$/;
/** Imports of single files that are not shipped, besides modules. */
const ALLOWED: ReadonlySet<string> = new Set([
  'bench/location-map.ts → state/session/location-map.ts',
  'bench/watch.ts → state/delivery/presence-news.ts',
  'bench/watch.ts → state/session/downlink.ts',
  'bench/watch.ts → state/session/location-map.ts',
  'bench/watch.ts → state/session/presence.ts',
  'bench/watch.ts → state/session/watch-book.ts',
  'scripts/docs/metrics.ts → api/metrics.ts',
  'scripts/docs/metrics.ts → crpc/metrics.ts',
  'scripts/docs/metrics.ts → gateway/gateway-metrics.ts',
  'scripts/docs/metrics.ts → ipconf/metrics.ts',
  'scripts/docs/metrics.ts → state/metrics.ts',
  'scripts/docs/settings.ts → cmd/configuration.ts',
  'scripts/docs/settings.ts → cmd/settings.ts',
]);
const IMPORT = /^(?:import|export)\s(?:[^'";]*?\sfrom\s)?'(\.[^']*)'|\bimport\('(\.[^']*)'\)/gm;

export interface Violation {
  readonly file: string;
  readonly what: string;
}

/** Judges the imports of files. @param sources texts by path from the root of the repository */
export function violations(sources: ReadonlyMap<string, string>): Violation[] {
  const graph = new Map([...sources].map(([file, text]) => [file, importsOf(file, text)]));
  const found: Violation[] = [];
  for (const [file, imports] of graph) {
    for (const target of imports) {
      const what = judge(file, target);
      if (what !== undefined) found.push({ file, what });
    }
  }
  for (const circle of circles(graph))
    found.push({ file: circle[0] as string, what: `a circle of imports: ${circle.join(' → ')}` });
  return found;
}

function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(IMPORT)].map(([, from, dynamic]) =>
    normalize(join(dirname(file), (from ?? dynamic) as string)),
  );
}

/** Returns what is wrong with an import, or undefined. */
function judge(file: string, target: string): string | undefined {
  const [folder, other] = [topOf(file), topOf(target)];
  const isModule = target === `${other}/mod.ts` || target === BROWSER_MODULE;
  if (TEST_FILE.test(file) || NOT_SHIPPED.test(file)) {
    if (folder === other || isModule || NOT_SHIPPED.test(target)) return undefined;
    if (ALLOWED.has(`${file} → ${target}`)) return undefined;
    return `${target}: a test imports of other folders their mod.ts and what is in testing/`;
  }
  if (NOT_SHIPPED.test(target) || TEST_FILE.test(target)) return `${target} is for tests alone`;
  if (file.startsWith(SDK)) {
    if (target.startsWith(SDK) || target === BROWSER_MODULE) return undefined;
    return `${target}: the SDK imports ${BROWSER_MODULE} alone`;
  }
  if (file.startsWith(MODEL)) {
    if (target.startsWith(MODEL) || target === SDK_MODULE) return undefined;
    return `${target}: the model imports ${SDK_MODULE} alone`;
  }
  if (folder === other) return undefined;
  if (folder === 'client' && target !== BROWSER_MODULE)
    return `${target}: client imports ${BROWSER_MODULE} alone`;
  if (MAY_IMPORT[folder]?.includes(other) !== true) return `${target}: ${folder} does not import ${other}`;
  return isModule ? undefined : `${target}: across folders only through mod.ts`;
}

function topOf(file: string): string {
  return file.slice(0, file.indexOf('/'));
}

/** Returns a circle for each strongly connected part of more than one file (Tarjan 1972). */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const lower = (file: string, to: number) => low.set(file, Math.min(low.get(file) as number, to));
  const visit = (file: string) => {
    index.set(file, index.size);
    low.set(file, index.get(file) as number);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) {
        visit(next);
        lower(file, low.get(next) as number);
      } else if (stack.includes(next)) lower(file, index.get(next) as number);
    }
    if (low.get(file) !== index.get(file)) return;
    const part = stack.splice(stack.indexOf(file));
    if (part.length > 1) found.push([...part, file]);
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}

function main(): number {
  const listed = ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts', '*.tsx'];
  const files = execFileSync('git', listed, { encoding: 'utf8' }).split('\n');
  const own = files.filter((file) => file.includes('/') && !file.includes('/gen/'));
  const found = violations(new Map(own.map((file) => [file, readFileSync(file, 'utf8')])));
  for (const { file, what } of found) console.error(`${file}: ${what}`);
  return found.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = main();
