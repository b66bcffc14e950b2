/** Where a client keeps what must outlive it: a port, and the implementation in memory. */

/** Keeps values by key; JSON can write them. One client uses it at a time. Methods reject when it cannot be read or written. */
export interface Storage {
  /** Returns the values whose keys begin so, ascending by key. */
  list(prefix: string): Promise<readonly (readonly [key: string, value: unknown])[]>;
  set(key: string, value: unknown): Promise<void>;
  /** Without such a key it does nothing. */
  delete(key: string): Promise<void>;
}

/** Makes a storage that ends with the program. */
export function memoryStorage(): Storage {
  const values = new Map<string, string>();
  return {
    list: async (prefix) =>
      [...values]
        .filter(([key]) => key.startsWith(prefix))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, text]) => [key, JSON.parse(text) as unknown] as const),
    set: async (key, value) => void values.set(key, JSON.stringify(value)),
    delete: async (key) => void values.delete(key),
  };
}
