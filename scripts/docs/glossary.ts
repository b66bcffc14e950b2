/** The glossary's names of things in the code: each must be there. */

const NAME = /`([^`]+)`|\b([A-Z][A-Z_]{2,})\b/g;
const IDENTIFIER = /[\p{L}\p{N}_$]+/gu;

/**
 * Returns the names in the last column of the glossary's tables that are no identifiers of the code. Folders are left
 * to the check of links; a name that ends in … stands for those that begin with it.
 *
 * @param code texts of the servers and clients, without tests
 */
export function missingNames(glossary: string, code: Iterable<string>): string[] {
  const known = new Set<string>();
  for (const text of code) for (const [word] of text.matchAll(IDENTIFIER)) known.add(word);
  const isKnown = (name: string): boolean => {
    if (name.endsWith('/')) return true;
    if (name.endsWith('…')) return [...known].some((word) => word.startsWith(name.slice(0, -1)));
    if (name.startsWith('…')) return [...known].some((word) => word.endsWith(name.slice(1)));
    return known.has(name.replace(/^#|\(\)$/g, ''));
  };
  const rows = [...glossary.matchAll(/^\|.*\| ([^|]+) \|$/gm)].map(([, cell]) => cell as string);
  const names = rows.flatMap((cell) => [...cell.matchAll(NAME)].map(([, quoted, plain]) => quoted ?? plain));
  return names.filter((name): name is string => name !== undefined && !isKnown(name));
}
