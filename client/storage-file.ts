/** A storage in a folder of one's own: a file for each value, replaced as a whole. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Storage } from './sdk/mod.ts';

/** Nobody else may read what one has written. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const ENDING = '.json';

/** Makes a storage; the folder is made with the first value. */
export function fileStorage(folder: string): Storage {
  const pathOf = (key: string) => join(folder, `${encodeURIComponent(key)}${ENDING}`);
  const names = async () => {
    try {
      return await readdir(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  };
  return {
    list: async (prefix) => {
      const keys = (await names())
        .filter((name) => name.endsWith(ENDING))
        .map((name) => decodeURIComponent(name.slice(0, -ENDING.length)))
        .filter((key) => key.startsWith(prefix))
        .toSorted();
      return Promise.all(
        keys.map(async (key) => [key, JSON.parse(await readFile(pathOf(key), 'utf8')) as unknown] as const),
      );
    },
    set: async (key, value) => {
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
      const path = pathOf(key);
      await writeFile(`${path}.new`, JSON.stringify(value), { mode: FILE_MODE });
      await rename(`${path}.new`, path);
    },
    delete: (key) => rm(pathOf(key), { force: true }),
  };
}
