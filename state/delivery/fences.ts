/** Fences: after a send that was refused for now, the connection's later sends are refused until it repeats that one. */
import type { Downlink } from '../session/downlink.ts';

/**
 * Keeps a sender's order when a send is refused that may be accepted later. One that is refused for good needs no fence.
 *
 * Sends are pipelined, so others follow a refused one, and none of them may overtake it. From the first refusal on,
 * every send of the same round is refused, and the worker is told to fence the connection and make the client
 * resynchronise. The client then repeats all unacknowledged sends in the original order, and the worker forwards them
 * as the next round. So in a later round everything comes after a repetition of the refused send, if the client still
 * wants it. It does not matter who made the client resynchronise: this node, another one or the gateway.
 */
export class Fences {
  /** Connections whose workers must be told. */
  #due = new Map<Downlink, Set<number>>();

  /** Whether a worker must be told. */
  get isDue(): boolean {
    return this.#due.size > 0;
  }

  /** Returns whether a send of this round may be accepted; if not, `hold` must follow. */
  admits(link: Downlink, conn: number, round: number): boolean {
    if (link.fences.size === 0) return true;
    const refused = link.fences.get(conn);
    if (refused === undefined) return true;
    if (round <= refused) return false;
    link.fences.delete(conn);
    return true;
  }

  /** Records a refused send of a round; the worker is told once per round. */
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

  /** Sends FENCE to the workers. */
  tell(): void {
    if (this.#due.size === 0) return;
    const due = this.#due;
    this.#due = new Map();
    for (const [link, conns] of due) link.fence(conns);
  }
}
