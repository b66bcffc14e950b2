/**
 * Collects garbage, and has the allocator give back what is free, when heap-trim.ts says so.
 *
 * Reaches into: V8's `gc` (`node --expose-gc`; options as of Node 24.21), and glibc's malloc_trim through malloc-trim.c.
 * Why: neither V8 nor glibc gives back by itself what a peak has left.
 * Upstream: https://github.com/nodejs/node/issues/21973 (glibc); https://github.com/nodejs/node/issues/56641 (V8; closed
 * as intended)
 * Without it: a process keeps what its peak took.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { getHeapStatistics } from 'node:v8';
import type { Logger } from '../logger.ts';
import { type Piece, probeNow } from './native.ts';

/** What Node has under the name `gc` where it is exposed. */
export type Gc = (options: { type: 'major' | 'minor'; execution: 'sync' }) => unknown;

export interface Memory {
  /**
   * Collects all garbage. Not as if memory were short: that takes four times as long, and throws away what V8 has
   * compiled.
   */
  readonly collect: () => unknown;
  /** Has the allocator give back what is free; undefined: malloc-trim.c is not built. */
  readonly release: (() => unknown) | undefined;
}

const PIECE: Piece = { name: 'memory', without: 'the process keeps the memory that its peak took' };

/** Returns what gives memory back; undefined: the garbage cannot be collected on demand. */
export function openMemory(logger: Logger, gc: Gc | undefined = globalThis.gc): Memory | undefined {
  if (gc === undefined || !probeNow(PIECE, logger, () => collectsAtOnce(gc))) return undefined;
  return { collect: () => gc({ type: 'major', execution: 'sync' }), release: loadMallocTrim() };
}

/** Bytes that V8 holds for objects, in use or not, and that buffers hold beside it. */
export function heapBytes(): number {
  const { total_heap_size: heap, external_memory: buffers } = getHeapStatistics();
  return heap + buffers;
}

/** Tries it on the young generation: where `gc` does not know its options, it returns a promise or collects everything. */
function collectsAtOnce(gc: Gc): boolean {
  return (
    typeof gc === 'function' && gc({ type: 'minor', execution: 'sync' }) === undefined && heapBytes() > 0
  );
}

/** Returns the compiled function, which scripts/build-native.sh puts beside this module; undefined: it is not built. */
function loadMallocTrim(): (() => unknown) | undefined {
  const path = fileURLToPath(new URL('./malloc-trim.node', import.meta.url));
  return existsSync(path) ? (createRequire(import.meta.url)(path) as () => unknown) : undefined;
}
