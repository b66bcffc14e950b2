/** A storage of the browser, on IndexedDB. */
import { openDB } from 'idb';
import type { Storage } from '../sdk/mod.ts';

const STORE = 'values';
const VERSION = 1;
/** Greater than every character of a key. */
const LAST = '\uffff';

/** Makes a storage; the database is made with the first use. */
export function indexedDbStorage(name: string): Storage {
  const database = openDB(name, VERSION, {
    upgrade: (opened) => {
      opened.createObjectStore(STORE);
    },
  });
  // Each use tells why it cannot be opened.
  database.catch(() => undefined);
  return {
    list: async (prefix) => {
      const range = IDBKeyRange.bound(prefix, prefix + LAST);
      const { store, done } = (await database).transaction(STORE);
      const [keys, values] = await Promise.all([store.getAllKeys(range), store.getAll(range), done]);
      return keys.map((key, i) => [key as string, values[i] as unknown] as const);
    },
    set: async (key, value) => void (await (await database).put(STORE, value, key)),
    delete: async (key) => (await database).delete(STORE, key),
  };
}
