/** Cores of the servers and of the load. */
import { availableParallelism } from 'node:os';
import { run } from './child.ts';

/** Cores as taskset's lists; undefined: all of them. */
export interface Cores {
  readonly servers: string | undefined;
  readonly load: string | undefined;
}

const CORES = availableParallelism();
const ALL = { servers: undefined, load: undefined };

/** Returns the cores of a layout: one-core gives the servers the first and the load the last, where that can be done. */
export async function coresOf(layout: 'all' | 'one-core'): Promise<Cores> {
  if (layout === 'all' || CORES < 2) return ALL;
  return await run('which', ['taskset']).then(
    () => ({ servers: '0', load: String(CORES - 1) }),
    () => ALL,
  );
}

/**
 * Starts servers on their cores: what `start` starts inherits them, so each finds as many as it may use and makes no
 * more threads than that.
 */
export async function startOn<T>(cores: string | undefined, start: () => Promise<T>): Promise<T> {
  if (cores === undefined) return await start();
  await bindSelf(cores);
  try {
    return await start();
  } finally {
    await bindSelf(`0-${CORES - 1}`);
  }
}

async function bindSelf(cores: string): Promise<void> {
  await run('taskset', ['-a', '-c', '-p', cores, String(process.pid)]);
}
