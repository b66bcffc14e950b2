/** What every server can be told: start, drain, stop. docs/lifecycle.md gives the order in which they close. */

/** A server of GoChat; all three calls are idempotent. */
export interface Server extends AsyncDisposable {
  readonly name: string;
  /** Listens and registers; rejects with a GochatError that says what is in the way. */
  start(): Promise<void>;
  /** Leaves the registry, stops taking new work and finishes what it has, for at most `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
  /** Closes everything now. */
  stop(): Promise<void>;
  /** Why the server cannot serve right now, or undefined when it can: `/readyz`. */
  readiness(): string | undefined;
}

/** Runs `close` at most once; later calls get the same promise. */
export function once<T>(close: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= close();
    return running;
  };
}
