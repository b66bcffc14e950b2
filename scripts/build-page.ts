/** Builds the web page from client/web to dist/page: files named by their content, each also compressed. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'vite';

const ROOT = resolve(import.meta.dirname, '..');
const OUT = join(ROOT, 'dist/page');
/** What a browser fetches before it shows the first screen, compressed by gzip, bytes. */
const FIRST_SCREEN_LIMIT = 100_000;
/** Smaller files are sent as they are. */
const MIN_COMPRESSED_BYTES = 512;

await build({
  root: join(ROOT, 'client/web'),
  configFile: false,
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: 'es2024',
    // No inline data in the page: its policy forbids it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // What the page does not use of the protocol is left out.
    rolldownOptions: { treeshake: { moduleSideEffects: (id) => !id.startsWith(join(ROOT, 'proto')) } },
  },
});

const sizes = new Map<string, number>();
for (const file of readdirSync(OUT, { recursive: true, encoding: 'utf8' })) {
  const path = join(OUT, file);
  if (!statSync(path).isFile()) continue;
  const bytes = readFileSync(path);
  const gzip = gzipSync(bytes, { level: 9 });
  sizes.set(file, gzip.length);
  if (bytes.length < MIN_COMPRESSED_BYTES) continue;
  writeFileSync(`${path}.gz`, gzip);
  writeFileSync(
    `${path}.br`,
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  );
}

const page = readFileSync(join(OUT, 'index.html'), 'utf8');
const first = [
  'index.html',
  ...[...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, file]) => file as string),
];
const total = first.reduce((sum, file) => sum + (sizes.get(file) ?? Number.NaN), 0);
console.log(`The page's first screen: ${total} bytes in ${first.length} files, compressed by gzip.`);
if (!(total <= FIRST_SCREEN_LIMIT)) {
  console.error(`It is to be at most ${FIRST_SCREEN_LIMIT}: load what is not shown at first by import().`);
  process.exitCode = 1;
}
