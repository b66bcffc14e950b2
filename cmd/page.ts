/** The web page that `make build` has made. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PageOptions } from '../api/mod.ts';

/** Returns the page beside this program; undefined when it runs from its sources. */
export function builtPage(demo?: PageOptions['demo']): PageOptions | undefined {
  const folder = fileURLToPath(new URL('../page', import.meta.url));
  return existsSync(folder) ? { folder, demo } : undefined;
}
