/** Idempotent closing. */

/** Runs `close` at most once; later calls get the same promise. */
export function once<T>(close: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= close();
    return running;
  };
}
