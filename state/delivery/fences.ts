/** Fences: after a send was refused, the connection's later ones wait until the client sends it again. */
import type { Downlink } from '../session/downlink.ts';

/**
 * Keeps one sender's order when a send could not be taken.
 *
 * Sends are pipelined, so behind a refused one others are on their way, and none of them may overtake it. From the
 * first refusal on, every send of the same round is refused, and the worker is told to fence and to make the client
 * resynchronise. The client then sends all that is unacknowledged again, in the original order, and the worker forwards
 * that as the next round: whatever a later round brings is behind a repetition of the refused send, if the client still
 * wants it. Who made the client resynchronise does not matter, this node, another one or the gateway.
 */
export class Fences {
  /** Connections whose worker is still to be told. */
  #due = new Map<Downlink, Set<number>>();

  /** Returns whether a worker is still to be told. */
  get isDue(): boolean {
    return this.#due.size > 0;
  }

  /** Returns whether a send of this round may be taken; where it may not, `hold` follows. */
  admits(link: Downlink, conn: number, round: number): boolean {
    if (link.fences.size === 0) return true;
    const refused = link.fences.get(conn);
    if (refused === undefined) return true;
    if (round <= refused) return false;
    link.fences.delete(conn);
    return true;
  }

  /** A send of this round is refused; the worker is to be told once a round. */
  hold(link: Downlink, conn: number, round: number): void {
    const refused = link.fences.get(conn);
    if ((refused !== undefined && refused >= round) || !link.isAttached(conn)) return;
    link.fences.set(conn, round);
    let conns = this.#due.get(link);
    if (conns === undefined) {
      conns = new Set();
      this.#due.set(link, conns);
    }
    conns.add(conn);
  }

  /** Tells the workers. */
  tell(): void {
    if (this.#due.size === 0) return;
    const due = this.#due;
    this.#due = new Map();
    for (const [link, conns] of due) link.fence(conns);
  }
}
