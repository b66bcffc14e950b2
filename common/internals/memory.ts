/**
 * Collects garbage and returns free memory to the system, for heap-trim.ts.
 *
 * Reaches into: V8's `gc` (`node --expose-gc`; options as of Node 24.21), and glibc's malloc_trim through malloc-trim.c.
 * Why: neither V8 nor glibc returns the memory of a peak by itself.
 * Upstream: https://github.com/nodejs/node/issues/21973 (glibc); https://github.com/nodejs/node/issues/56641 (V8; closed
 * as intended)
 * Without it: a process keeps the memory of its peak.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { getHeapStatistics } from 'node:v8';
import type { Logger } from '../logger.ts';
import { type Piece, probeNow } from './native.ts';

/** Node's `gc`, where it is exposed. */
export type Gc = (options: { type: 'major' | 'minor'; execution: 'sync' }) => unknown;

export interface Memory {
  /**
   * Collects all garbage, without memory pressure: a collection under pressure takes four times as long and discards
   * compiled code.
   */
  readonly collect: () => unknown;
  /** Makes the allocator return free memory; undefined if malloc-trim.c is not built. */
  readonly release: (() => unknown) | undefined;
}

const PIECE: Piece = { name: 'memory', without: 'the process keeps the memory that its peak took' };

/** Returns the functions that release memory; undefined if garbage cannot be collected on demand. */
export function openMemory(logger: Logger, gc: Gc | undefined = globalThis.gc): Memory | undefined {
  if (gc === undefined || !probeNow(PIECE, logger, () => collectsAtOnce(gc))) return undefined;
  return { collect: () => gc({ type: 'major', execution: 'sync' }), release: loadMallocTrim() };
}

/** Returns the size of V8's heap, used or not, plus the buffers outside it, bytes. */
export function heapBytes(): number {
  const { total_heap_size: heap, external_memory: buffers } = getHeapStatistics();
  return heap + buffers;
}

/** Tests `gc` on the young generation: if it does not know its options, it returns a promise or collects everything. */
function collectsAtOnce(gc: Gc): boolean {
  return (
    typeof gc === 'function' && gc({ type: 'minor', execution: 'sync' }) === undefined && heapBytes() > 0
  );
}

/** Returns the compiled function, which scripts/build-native.sh puts beside this module; undefined if it is not built. */
function loadMallocTrim(): (() => unknown) | undefined {
  const path = fileURLToPath(new URL('./malloc-trim.node', import.meta.url));
  return existsSync(path) ? (createRequire(import.meta.url)(path) as () => unknown) : undefined;
}
