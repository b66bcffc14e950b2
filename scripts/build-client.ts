/** Builds `gochat client` to dist/bundle/main.js: one file, which Node.js loads faster than many. */
import { join, resolve } from 'node:path';
import { build } from 'vite';

const ROOT = resolve(import.meta.dirname, '..');

/** Modes that are loaded from where they are. */
const SERVERS = /^\.\/(up|gateway|state|ipconf|api)\.ts$/;

await build({
  root: ROOT,
  configFile: false,
  logLevel: 'warn',
  publicDir: false,
  ssr: { noExternal: true },
  plugins: [
    {
      name: 'servers',
      enforce: 'pre',
      resolveId(source) {
        const [, mode] = SERVERS.exec(source) ?? [];
        return mode === undefined ? null : { id: `../cmd/${mode}.js`, external: true };
      },
    },
  ],
  build: {
    ssr: join(ROOT, 'cmd/main.ts'),
    outDir: join(ROOT, 'dist/bundle'),
    target: 'node24',
    sourcemap: true,
    minify: true,
    rolldownOptions: { output: { codeSplitting: false, entryFileNames: 'main.js' } },
  },
});
