/** The web page that `make build` has made. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PageOptions } from '../api/mod.ts';
import { listOf } from './configuration.ts';

/**
 * Returns the page beside this program; undefined when it runs from its sources.
 *
 * @param pageGateways origins, comma-separated; empty: the page connects to `/ws` of its own server
 */
export function builtPage(pageGateways: string, demo?: PageOptions['demo']): PageOptions | undefined {
  const folder = fileURLToPath(new URL('../page', import.meta.url));
  return existsSync(folder) ? { folder, demo, gateways: listOf(pageGateways) } : undefined;
}
