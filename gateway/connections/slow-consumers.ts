/** Clients that do not read: they are not read either, miss what comes, and are told so once they have caught up. */
import { type Connection, Phase } from './connection.ts';
import { type GatewayLimits, EPHEMERAL_QUEUE_SHARE, WHEEL_TICK_MS } from '../limits.ts';
import type { WorkerStats } from '../supervisor/worker-stats.ts';

export interface SlowConsumersContext {
  readonly stats: Pick<WorkerStats, 'slow'>;
  /** What may wait for all of them, bytes. */
  readonly maxBytes: number;
  /** The coarse clock, in WHEEL_TICK_MS. */
  tick(): number;
  /** It has read, and most of what waited: it is to be read again and to resynchronise. */
  onCaughtUp(connection: Connection): void;
  /** It was given its time, or so much waits for all that it must go. */
  onTimeout(connection: Connection): void;
}

/**
 * Watches the connections whose queue has passed the bound.
 *
 * What a marked connection would get is dropped, so its queue only shrinks: a worker holds at most the bound and one
 * tick's last frame for each, however long they are stuck. It is not read meanwhile either, so that it cannot go on
 * asking for what it does not take. When too much waits for all of them, those that are marked for longest go.
 */
export class SlowConsumers {
  readonly #limits: Pick<GatewayLimits, 'maxOutboundBytes' | 'slowTimeoutMs'>;
  readonly #context: SlowConsumersContext;
  /** With what waited for each when it was marked, bytes. */
  readonly #slow = new Map<Connection, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    limits: Pick<GatewayLimits, 'maxOutboundBytes' | 'slowTimeoutMs'>,
    context: SlowConsumersContext,
  ) {
    this.#limits = limits;
    this.#context = context;
  }

  get size(): number {
    return this.#slow.size;
  }

  /** Marks a connection and stops reading from it; idempotent. */
  mark(connection: Connection): void {
    if (connection.slowSince !== 0) return;
    connection.slowSince = this.#context.tick();
    connection.transport.pause(connection);
    this.#slow.set(connection, connection.socket.writableLength);
    this.#timer ??= setInterval(() => this.look(), WHEEL_TICK_MS);
  }

  /** Looks at those that are marked; the timer does it. */
  look(): void {
    const { maxOutboundBytes, slowTimeoutMs } = this.#limits;
    const tick = this.#context.tick();
    let bytes = 0;
    for (const [connection, before] of this.#slow) {
      const { writableLength } = connection.socket;
      if (connection.phase >= Phase.CLOSING) {
        this.#slow.delete(connection);
      } else if (
        writableLength < Math.max(before, 1) &&
        writableLength <= maxOutboundBytes * EPHEMERAL_QUEUE_SHARE
      ) {
        // A large frame may be what was too much for one that has little waiting and takes none of it.
        this.#slow.delete(connection);
        connection.slowSince = 0;
        this.#context.onCaughtUp(connection);
      } else if ((tick - connection.slowSince) * WHEEL_TICK_MS > slowTimeoutMs) {
        this.#slow.delete(connection);
        this.#context.onTimeout(connection);
      } else bytes += writableLength;
    }
    for (const connection of this.#slow.keys()) {
      if (bytes <= this.#context.maxBytes) break;
      bytes -= connection.socket.writableLength;
      this.#slow.delete(connection);
      this.#context.onTimeout(connection);
    }
    const { slow } = this.#context.stats;
    slow.connections = this.#slow.size;
    slow.bytes = bytes;
    if (this.#slow.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
