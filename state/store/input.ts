/** Makes what callers pass fit the engines: a value that PostgreSQL or SQLite cannot hold must not fail a whole batch. */
import { isId } from '../../common/mod.ts';

const UNSTORABLE = /\0/g;

/** Returns whether an id fits the engines' signed 64 bits; one that does not can stand for nothing that is stored. */
export function isStorableId(id: bigint): boolean {
  return id === 0n || isId(id);
}

/** Returns the text with U+FFFD for U+0000, which PostgreSQL's text cannot hold, and for lone surrogates. */
export function storableText(text: string): string {
  const clean = text.isWellFormed() ? text : text.toWellFormed();
  return clean.includes('\0') ? clean.replace(UNSTORABLE, '\uFFFD') : clean;
}

/** Returns a seq or a count as a safe non-negative integer. */
export function storableSeq(seq: number): number {
  return seq >= 1 ? Math.min(Math.floor(seq), Number.MAX_SAFE_INTEGER) : 0;
}
