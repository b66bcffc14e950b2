/** Lifecycle of a server: start, drain, stop. docs/lifecycle.md gives the order in which servers close. */

/** A server of GoChat. All three calls are idempotent. */
export interface Server extends AsyncDisposable {
  readonly name: string;
  /** Listens and registers. Rejects with a GochatError that names the obstacle. */
  start(): Promise<void>;
  /** Leaves the registry, stops taking new work and finishes what it has, for at most `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
  /** Closes everything now. */
  stop(): Promise<void>;
  /** Returns why the server is not ready, or undefined if it is; shown by `/readyz`. */
  readiness(): string | undefined;
  /**
   * Returns what of the server itself is broken, or undefined if nothing is; shown by `/livez`. A process in which this
   * goes on for 30 s ends, so that its supervisor starts it anew: what depends on others does not belong here.
   *
   * @default the server lives as long as its event loop turns
   */
  liveness?(): string | undefined;
}

/** Runs `close` at most once; later calls get the same promise. */
export function once<T>(close: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= close();
    return running;
  };
}
