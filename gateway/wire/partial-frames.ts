/** Bound on the memory of a worker's unfinished frames. */
import type { Connection } from '../connections/connection.ts';
import type { WorkerStats } from '../supervisor/worker-stats.ts';

export interface PartialFramesOptions {
  /** Most memory of all unfinished frames, bytes. */
  readonly maxBytes: number;
  /** Updated on each change. */
  readonly stats: Pick<WorkerStats, 'partial'>;
  /** Closes a connection because there is no room. */
  readonly evict: (connection: Connection) => void;
}

/**
 * Counts the memory of unfinished frames. When it exceeds the bound, connections are closed, those whose frame began
 * first: they are the likeliest to have stalled, and their deadline is the next anyway.
 */
export class PartialFrames {
  readonly #options: PartialFramesOptions;
  /** The oldest frame first. */
  readonly #holders = new Set<Connection>();

  constructor(options: PartialFramesOptions) {
    this.#options = options;
  }

  /** Sets the memory of a connection's unfinished frame. @param isNew whether the frame has just begun */
  hold(connection: Connection, bytes: number, isNew: boolean): void {
    const { maxBytes, evict, stats } = this.#options;
    if (isNew) this.#holders.delete(connection);
    this.#holders.add(connection);
    this.#count(connection, bytes);
    for (const oldest of this.#holders) {
      if (stats.partial.bytes <= maxBytes) return;
      this.release(oldest);
      evict(oldest);
    }
  }

  /** The frame is complete, or the connection is gone. */
  release(connection: Connection): void {
    if (this.#holders.delete(connection)) this.#count(connection, 0);
  }

  #count(connection: Connection, bytes: number): void {
    const { partial } = this.#options.stats;
    partial.frames = this.#holders.size;
    partial.bytes += bytes - connection.partialBytes;
    connection.partialBytes = bytes;
  }
}
