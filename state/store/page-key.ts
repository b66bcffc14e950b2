/** Keys of pages: the place in an ordered list after which the next page begins, opaque to clients. */
import { storableId } from './input.ts';

const KEY = /^\d{1,20}(\.\d{1,20})*$/;

/** Returns the key of a list ordered by these numbers. */
export function pageKey(...parts: readonly (bigint | number)[]): string {
  return parts.join('.');
}

/** Returns the numbers of a key of `count` parts; undefined if it is none. */
export function parsePageKey(key: string, count: number): bigint[] | undefined {
  if (!KEY.test(key)) return undefined;
  const parts = key.split('.').map((part) => storableId(BigInt(part)));
  return parts.length === count ? parts : undefined;
}

/** Cuts rows, of which there is one more if the list goes on, to a page. */
export function toPage<Item>(
  items: readonly Item[],
  limit: number,
  keyOf: (last: Item) => string,
): { readonly items: readonly Item[]; readonly next: string | undefined } {
  const last = items.length > limit ? items[limit - 1] : undefined;
  return { items: items.slice(0, limit), next: last && keyOf(last) };
}
