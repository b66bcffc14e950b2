/** Drain of a worker: closes all connections, paced, so that they do not reconnect at once. */
import { type Connection, Phase } from './connection.ts';

const STEP_MS = 50;

/** Closes all connections, spread over a time, and waits for the sockets to end. */
export class Drain {
  readonly #connections: Iterable<Connection> & { readonly size: number };
  readonly #close: (connection: Connection) => void;
  #pacer: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #finish: (() => void) | undefined;

  constructor(
    connections: Iterable<Connection> & { readonly size: number },
    close: (connection: Connection) => void,
  ) {
    this.#connections = connections;
    this.#close = close;
  }

  /** Resolves when no socket is left, or at the deadline. A second call gets the first one's promise. */
  run(deadlineMs: number, spreadMs: number): Promise<void> {
    this.#running ??= new Promise((resolve) => {
      this.#finish = resolve;
      this.#deadline = setTimeout(() => this.cancel(), deadlineMs);
      const queue = [...this.#connections];
      const step = Math.max(1, Math.ceil((queue.length * STEP_MS) / Math.max(STEP_MS, spreadMs)));
      this.#pace(queue, step);
      if (this.#connections.size === 0) this.cancel();
    });
    return this.#running;
  }

  /** The last socket is closed. */
  onEmpty(): void {
    this.cancel();
  }

  /** Stops pacing and waiting. Idempotent. */
  cancel(): void {
    clearTimeout(this.#pacer);
    clearTimeout(this.#deadline);
    this.#finish?.();
  }

  #pace(queue: Connection[], step: number): void {
    for (const connection of queue.splice(-step))
      if (connection.phase < Phase.CLOSING) this.#close(connection);
    if (queue.length > 0) this.#pacer = setTimeout(() => this.#pace(queue, step), STEP_MS);
  }
}
