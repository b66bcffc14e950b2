/** The frames of a worker's clients that have begun and not ended: what they hold in all is bounded. */
import type { Connection } from '../connections/connection.ts';
import type { WorkerStats } from '../supervisor/worker-stats.ts';

export interface PartialFramesOptions {
  /** What all of them may hold, bytes. */
  readonly maxBytes: number;
  /** Kept up to date. */
  readonly stats: Pick<WorkerStats, 'partial'>;
  /** Tells the client that there is no room, and cuts it. */
  readonly evict: (connection: Connection) => void;
}

/**
 * Counts the memory of unfinished frames. When they hold too much in all, the client whose frame began first is cut, and
 * then the next: one that stalls gives way to those that go on, and its deadline would come first in any case.
 */
export class PartialFrames {
  readonly #options: PartialFramesOptions;
  /** The oldest frame first. */
  readonly #holders = new Set<Connection>();

  constructor(options: PartialFramesOptions) {
    this.#options = options;
  }

  /** The connection's unfinished frame holds so many bytes now. @param isNew no byte of it had come before */
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

  /** Its frame is whole, or the connection is gone. */
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
