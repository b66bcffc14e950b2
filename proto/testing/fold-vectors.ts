/** The golden vectors of the fold: logs, and what readers see of them. The client's fold and every store are tried on them. */
import { readFileSync } from 'node:fs';

/** Reads proto/vectors/fold.json. */
export function readFoldVectors(): readonly FoldVector[] {
  const file = new URL('../vectors/fold.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as FoldVectors).vectors;
}

export interface FoldVectors {
  /** How to read the file, for implementers in other languages. */
  readonly format: readonly string[];
  readonly vectors: readonly FoldVector[];
}

export interface FoldVector {
  readonly name: string;
  /** Entry n has seq n. */
  readonly log: readonly FoldDraft[];
  readonly pages: readonly FoldPage[];
  readonly clients: readonly FoldClient[];
}

/** An entry as its author sends it; alice and bob are members, mona is a moderator. */
export interface FoldDraft {
  /** @default 'message' */
  readonly kind?: 'message' | 'edit' | 'retract' | 'pin' | 'unpin';
  readonly by: string;
  readonly text?: string;
  readonly reply_to?: number;
  readonly target?: number;
  readonly range?: FoldRange;
  readonly reason?: string;
}

export interface FoldRange {
  readonly sender: string;
  readonly from_seq: number;
  readonly to_seq: number;
}

/** All that a reader gets of the log when it has `as_of` entries. */
export interface FoldPage {
  readonly as_of: number;
  /** Entries up to this seq were before the reader's time. @default 0 */
  readonly visible_after?: number;
  /** The reader left after this seq. @default never */
  readonly left_at?: number;
  /** Entries up to this seq are no longer kept. @default 0 */
  readonly floor?: number;
  readonly entries: readonly FoldEntry[];
  /** Seqs of the pinned messages, the newest pin first. Not given for former members. */
  readonly pins?: readonly number[];
  readonly pins_version?: number;
}

/** An entry in a page. What is not given is zero, empty or missing. */
export interface FoldEntry {
  readonly seq: number;
  /** @default 'message' */
  readonly kind?: FoldDraft['kind'];
  readonly by: string;
  readonly text?: string;
  readonly version?: number;
  readonly target?: number;
  readonly range?: FoldRange;
  readonly reason?: string;
  readonly quote?: {
    readonly seq: number;
    readonly by?: string;
    readonly text?: string;
    readonly version?: number;
    readonly cut?: true;
    readonly retracted?: true;
    readonly expired?: true;
  };
  readonly retraction?: { readonly seq: number; readonly by: string; readonly reason?: string };
  readonly bare?: true;
}

/** What a client gets, in this order, and the messages that it shows in the end. */
export interface FoldClient {
  readonly gets: readonly FoldStep[];
  readonly shows: readonly FoldEntry[];
  /** Missing: they are not known. */
  readonly pins?: readonly number[];
}

export type FoldStep =
  /** An entry, as it is pushed. */
  | { readonly push: number }
  /** It asks for a page; the answer comes later. */
  | { readonly ask: string }
  /** The answer to `ask`: these entries of the page with this index. @default all; refused: it is too old to be used */
  | {
      readonly answer: string;
      readonly page: number;
      readonly from?: number;
      readonly to?: number;
      readonly refused?: true;
    }
  /** The answer to `ask`: the pins of the page with this index. */
  | { readonly pins: string; readonly page: number; readonly refused?: true }
  /** Entries of the page with this index, one after another, as a synchronisation brings them. */
  | { readonly sync: number; readonly from: number; readonly to: number }
  /** Entries up to this one are jumped over. */
  | { readonly skip: number };
