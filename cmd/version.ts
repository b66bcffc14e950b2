/** The version of this build, from package.json. */
import { readFileSync } from 'node:fs';

const file = [
  new URL('../package.json', import.meta.url),
  new URL('../../package.json', import.meta.url),
].find((candidate) => {
  try {
    return readFileSync(candidate).length > 0;
  } catch {
    return false; // From source the file is one folder up, from dist/ two.
  }
});
export const VERSION: string = file
  ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
  : 'unknown';
