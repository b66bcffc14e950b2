/** Slow consumers: drops pushes to clients that do not read, and makes them resynchronise once they have caught up. */
import { type Connection, Phase } from './connection.ts';
import { type GatewayLimits, EPHEMERAL_QUEUE_SHARE, WHEEL_TICK_MS } from '../limits.ts';
import type { WorkerStats } from '../supervisor/worker-stats.ts';

export interface SlowConsumersContext {
  readonly stats: Pick<WorkerStats, 'slow'>;
  /** Most bytes queued for all of them. */
  readonly maxBytes: number;
  /** Coarse clock, in units of WHEEL_TICK_MS. */
  tick(): number;
  /** The client has read most of its queue: resume reading from it, and make it resynchronise. */
  onCaughtUp(connection: Connection): void;
  /** The client has not caught up in time, or too much is queued for all: close it. */
  onTimeout(connection: Connection): void;
}

/**
 * Watches the connections whose queue has passed the bound.
 *
 * Frames for a marked connection are dropped, so its queue only shrinks: a worker holds at most the bound and one tick's
 * last frame for each, however long it is stuck. It is not read either, so that it cannot ask for more. When too much is
 * queued for all of them, those that were marked first are closed.
 */
export class SlowConsumers {
  readonly #limits: Pick<GatewayLimits, 'maxOutboundBytes' | 'slowTimeoutMs'>;
  readonly #context: SlowConsumersContext;
  /** Bytes queued for each at the last check. */
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

  /** Marks a connection and stops reading from it. Idempotent. */
  mark(connection: Connection): void {
    if (connection.slowSince !== 0) return;
    connection.slowSince = this.#context.tick();
    connection.transport.pause(connection);
    this.#slow.set(connection, connection.socket.writableLength);
    this.#timer ??= setInterval(() => this.look(), WHEEL_TICK_MS);
  }

  /** Checks the marked connections; called by the timer. */
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
        // A connection with a short queue may have been marked because of one large frame, and still not read.
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
