/** The resync fence keeps each sender's order when routes to state change: no message passes between RESYNC and RESYNCED. */
import { encodeFrame, FrameType } from '../../proto/mod.ts';
import { type Connection, Fence, Phase } from '../connections/connection.ts';
import { RESYNC_HOLD_MS, RESYNC_SPREAD_MS } from '../limits.ts';

const STEP_MS = 50;
const STEPS = RESYNC_SPREAD_MS / STEP_MS;
/** Connections that get RESYNC at once; more are paced. */
const MIN_STEP = 64;
const MAX_MARK = 0xffff;

export interface ResyncFenceEvents {
  /** Whether a state node is ready. */
  isReachable(): boolean;
  send(connection: Connection, frame: Uint8Array): void;
}

/**
 * Fences connections.
 *
 * A client pipelines its messages. If an earlier one is lost with a stream and a later one takes the new route, they
 * would be stored in the wrong order. So messages are refused until the client has confirmed that it starts again with
 * its oldest unacknowledged one. Each RESYNC has a new mark, and only the answer to the newest counts: a client that
 * answers an older one does not know yet that the route has changed again. The answer begins a round. Its number goes to
 * state with each frame, so that a node that has refused a message knows when it is repeated.
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

  /** Fences connections because the set of state nodes has changed. */
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

  /** Fences connections whose messages state could not take. RESYNC is delayed, to give state time. */
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

  /** The connection has missed pushes: sends RESYNC now, or as soon as a node is ready. */
  lost(connection: Connection): void {
    if (connection.phase !== Phase.LIVE || connection.fence === Fence.HELD) return;
    connection.fence = Fence.DUE;
    if (this.#events.isReachable()) this.#resync(connection);
  }

  /** The same for many connections: RESYNC is paced. */
  lostMany(connections: readonly Connection[]): void {
    for (const connection of connections) {
      if (connection.phase !== Phase.LIVE || connection.fence === Fence.HELD) continue;
      connection.fence = Fence.DUE;
      this.#queue.push(connection);
    }
    this.#start();
  }

  /** The client has sent something: sends a RESYNC that is due. Returns whether its messages may pass. */
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

  /** Starts working off the queue. */
  #start(): void {
    clearTimeout(this.#pacer);
    // Without a ready node they stay fenced; the next change of the set of nodes fences all again.
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
