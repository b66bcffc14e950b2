/** Links between documents, and the paths of files that they name. */
import { dirname, normalize } from 'node:path';

const LINK = /\]\(([^)\s]+)\)/g;
/** A file in backticks: `folder/name.ext`. */
const PATH = /`([a-z]+\/[\w./-]+\.\w+)`/g;
const HEADING = /^#+ (.*)$/gm;
const ANCHOR = /\bid="([^"]+)"/g;

/**
 * Returns what links and paths lead nowhere.
 *
 * @param pages texts by path from the root
 * @param exists whether there is a file or folder at a path from the root
 */
export function brokenLinks(pages: ReadonlyMap<string, string>, exists: (path: string) => boolean): string[] {
  const found: string[] = [];
  for (const [page, text] of pages) {
    for (const [, link] of text.matchAll(LINK)) {
      const [path = '', anchor] = (link as string).split('#');
      if (/^[a-z]+:/.test(path)) continue;
      const target = path === '' ? page : normalize(`${dirname(page)}/${path}`);
      if (!exists(target)) found.push(`${page}: ${link}: no such file`);
      else if (
        anchor !== undefined &&
        pages.has(target) &&
        !anchorsOf(pages.get(target) as string).has(anchor)
      )
        found.push(`${page}: ${link}: no such heading`);
    }
    for (const [, path] of text.matchAll(PATH)) {
      // Only in folders that we have: text/html is no file.
      if (!exists((path as string).split('/')[0] as string)) continue;
      if (!exists(path as string)) found.push(`${page}: ${path}: no such file`);
    }
  }
  return found;
}

/** Returns the anchors that headings get on GitHub, and those that are written out. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(HEADING)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...[...text.matchAll(ANCHOR)].map(([, id]) => id as string)]);
}
