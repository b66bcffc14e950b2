/** Messages between the store's thread and its SQLite worker. */
import type { Method } from './engine.ts';

export interface WorkerSettings {
  readonly path: string;
  /** Longest wait of a statement for another process's lock, ms. */
  readonly busyTimeoutMs: number;
}

export interface Call {
  readonly id: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

/** Calls of one tick, in order; an empty batch makes the worker close the file and end. */
export type CallBatch = readonly Call[];

export interface Failure {
  /** Whether the file or its disk failed, not the statement. */
  readonly unavailable: boolean;
  readonly message: string;
}

export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: Failure;
}

export type FromWorker =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly reason: string; readonly schema: boolean }
  | { readonly kind: 'replies'; readonly replies: readonly Reply[] };
