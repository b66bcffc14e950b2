/** Fences: after a send was refused, the connection's later ones wait until the client sends it again. */
import type { ConversationId } from '../../common/mod.ts';
import type { Downlink, Fence } from '../session/downlink.ts';

/**
 * Keeps one sender's order when a send could not be taken.
 *
 * Sends are pipelined, so behind a refused one others are on their way, and none of them may overtake it. From the
 * first refusal on, every send of the connection is refused and remembered. The worker is told to fence and to make
 * the client resynchronise; the client then sends all that is unacknowledged again, in the original order. What
 * arrives is thus a sequence of such repetitions, the first of which may have begun before the refusal. The oldest
 * refused send marks the beginning of a whole one: it alone lifts the fence.
 *
 * A client may give a message up. A send that comes a second time without the oldest one in between tells that: what
 * is older and did not come either is then forgotten, and the oldest of the rest lifts the fence.
 */
export class Fences {
  readonly #maxHeld: number;
  /** Connections whose worker is still to be told. */
  #due = new Map<Downlink, Set<number>>();

  constructor(maxHeld: number) {
    this.#maxHeld = maxHeld;
  }

  /** Returns whether a worker is still to be told. */
  get isDue(): boolean {
    return this.#due.size > 0;
  }

  /** Returns whether an arriving send may be taken; where it may not, `hold` follows. */
  admits(link: Downlink, conn: number, conversation: ConversationId, clientMsgId: string): boolean {
    if (link.fences.size === 0) return true;
    const fence = link.fences.get(conn);
    if (fence === undefined) return true;
    const key = sendKey(conversation, clientMsgId);
    if (fence.seen.has(key)) forgetGivenUp(fence, key);
    if (fence.oldest === key) {
      link.fences.delete(conn);
      return true;
    }
    fence.seen.add(key);
    return false;
  }

  /**
   * Remembers a refused send that was the `arrival`-th. A connection with too many of them is closed: the client
   * starts afresh on another one.
   */
  hold(
    link: Downlink,
    conn: number,
    conversation: ConversationId,
    clientMsgId: string,
    arrival: number,
  ): void {
    if (!link.isAttached(conn)) return;
    let fence = link.fences.get(conn);
    if (fence === undefined) {
      fence = { held: new Map(), seen: new Set(), oldest: '', oldestArrival: Number.POSITIVE_INFINITY };
      link.fences.set(conn, fence);
    }
    const key = sendKey(conversation, clientMsgId);
    const known = fence.held.get(key);
    if (known === undefined && fence.held.size >= this.#maxHeld) {
      link.kick(conn, 'OVERLOADED');
      return;
    }
    fence.held.set(key, known === undefined ? arrival : Math.min(known, arrival));
    noteOldest(fence, key, arrival);
    let conns = this.#due.get(link);
    if (conns === undefined) {
      conns = new Set();
      this.#due.set(link, conns);
    }
    conns.add(conn);
  }

  /** Sends that had been taken are refused after all: only a repetition that begins from now on counts. */
  restart(link: Downlink, conn: number): void {
    link.fences.get(conn)?.seen.clear();
  }

  /** Tells the workers. */
  tell(): void {
    if (this.#due.size === 0) return;
    const due = this.#due;
    this.#due = new Map();
    for (const [link, conns] of due) link.fence(conns);
  }
}

/** The repetition that `key` belongs to is whole: what is older and not in it was given up. */
function forgetGivenUp(fence: Fence, key: string): void {
  const arrival = fence.held.get(key) as number;
  for (const [other, otherArrival] of fence.held) {
    if (otherArrival < arrival && !fence.seen.has(other)) fence.held.delete(other);
  }
  fence.seen.clear();
  fence.oldestArrival = Number.POSITIVE_INFINITY;
  for (const [other, otherArrival] of fence.held) noteOldest(fence, other, otherArrival);
}

function noteOldest(fence: Fence, key: string, arrival: number): void {
  if (arrival >= fence.oldestArrival) return;
  fence.oldest = key;
  fence.oldestArrival = arrival;
}

function sendKey(conversation: ConversationId, clientMsgId: string): string {
  return `${conversation}/${clientMsgId}`;
}
