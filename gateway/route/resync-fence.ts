/** Keeps each sender's order when the way to the log changes: RESYNC, and no message passes until RESYNCED. */
import { encodeFrame, FrameType } from '../../proto/mod.ts';
import { type Connection, Fence, Phase } from '../connections/connection.ts';
import { RESYNC_HOLD_MS, RESYNC_SPREAD_MS } from '../limits.ts';

const STEP_MS = 50;
const STEPS = RESYNC_SPREAD_MS / STEP_MS;
/** As many are told at once; pacing is for crowds. */
const MIN_STEP = 64;
const MAX_MARK = 0xffff;

export interface ResyncFenceEvents {
  /** Whether there is a state node to synchronise with. */
  isReachable(): boolean;
  send(connection: Connection, frame: Uint8Array): void;
}

/**
 * Fences connections.
 *
 * A client pipelines its messages. If an earlier one is lost with a stream and a later one takes the new way, they
 * would be stored in the wrong order. So all that a client sends is refused until it has confirmed that it begins
 * again with its oldest unacknowledged message. Each RESYNC has a new mark, and only the newest one's answer counts:
 * a client that answers an older one does not know yet that things have changed again. With that answer a round begins:
 * state nodes are told the number with each frame, so that one that has refused a message knows when it is repeated.
 */
export class ResyncFence {
  readonly #events: ResyncFenceEvents;
  #queue: Connection[] = [];
  #step = MIN_STEP;
  #pacer: NodeJS.Timeout | undefined;
  readonly #holds = new Set<NodeJS.Timeout>();

  constructor(events: ResyncFenceEvents) {
    this.#events = events;
  }

  /** Fences them all because the set of state nodes has changed. */
  fenceAll(connections: Iterable<Connection>): void {
    const queue: Connection[] = [];
    for (const connection of connections) {
      if (connection.phase !== Phase.LIVE) continue;
      connection.fence = Fence.DUE;
      queue.push(connection);
    }
    this.#queue = queue;
    this.#start();
  }

  /** Fences those whose messages state could not take; RESYNC waits a little, so that state is not hit at once again. */
  hold(connections: readonly Connection[]): void {
    const held = connections.filter((connection) => {
      if (connection.phase !== Phase.LIVE || connection.fence === Fence.HELD) return false;
      connection.fence = Fence.HELD;
      return true;
    });
    if (held.length === 0) return;
    const timer = setTimeout(
      () => {
        this.#holds.delete(timer);
        for (const connection of held) if (connection.fence === Fence.HELD) this.#resync(connection);
      },
      RESYNC_HOLD_MS * (1 + Math.random()),
    );
    this.#holds.add(timer);
  }

  /** Some of what the connection was to get is lost: RESYNC now, or as soon as there is a node to synchronise with. */
  lost(connection: Connection): void {
    if (connection.phase !== Phase.LIVE || connection.fence === Fence.HELD) return;
    connection.fence = Fence.DUE;
    if (this.#events.isReachable()) this.#resync(connection);
  }

  /** The same for those who may be many: RESYNC is spread as for all. */
  lostMany(connections: readonly Connection[]): void {
    for (const connection of connections) {
      if (connection.phase !== Phase.LIVE || connection.fence === Fence.HELD) continue;
      connection.fence = Fence.DUE;
      this.#queue.push(connection);
    }
    this.#start();
  }

  /** The client has sent something: a RESYNC that is due goes out now. Returns whether its messages may pass. */
  pass(connection: Connection): boolean {
    if (connection.fence === Fence.OPEN) return true;
    if (connection.fence === Fence.DUE && this.#events.isReachable()) this.#resync(connection);
    return false;
  }

  /** The client has answered a RESYNC. */
  onResynced(connection: Connection, mark: number): void {
    if (connection.fence !== Fence.SENT || mark !== connection.mark) return;
    connection.fence = Fence.OPEN;
    connection.round++;
    connection.head = undefined;
  }

  close(): void {
    clearTimeout(this.#pacer);
    for (const timer of this.#holds) clearTimeout(timer);
    this.#holds.clear();
    this.#queue = [];
  }

  /** Begins to go through the queue, which has changed. */
  #start(): void {
    clearTimeout(this.#pacer);
    // With nobody to synchronise with they stay fenced: the next change of the set of nodes fences all.
    if (!this.#events.isReachable()) this.#queue = [];
    this.#step = Math.max(MIN_STEP, Math.ceil(this.#queue.length / STEPS));
    this.#pace();
  }

  #pace(): void {
    for (const connection of this.#queue.splice(-this.#step))
      if (connection.fence === Fence.DUE) this.#resync(connection);
    this.#pacer = this.#queue.length === 0 ? undefined : setTimeout(() => this.#pace(), STEP_MS);
  }

  #resync(connection: Connection): void {
    if (connection.phase !== Phase.LIVE) return;
    connection.mark = connection.mark === MAX_MARK ? 1 : connection.mark + 1;
    connection.fence = Fence.SENT;
    this.#events.send(connection, encodeFrame(FrameType.RESYNC, connection.mark, 0n));
  }
}
