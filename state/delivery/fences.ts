/** Fences: after a send was refused, the connection's later ones wait until the client sends it again. */
import type { ConversationId } from '../../common/mod.ts';
import type { Downlink } from '../session/downlink.ts';

/**
 * Keeps one sender's order when a send could not be taken.
 *
 * Sends are pipelined, so behind a refused one others are on their way, and none of them may overtake it. From the
 * first refusal on, every send of the connection is refused and remembered. The worker is told to fence and to make
 * the client resynchronise; the client then sends all that is unacknowledged again, in the original order. The first
 * send that comes a second time is therefore the start of that repetition: it lifts the fence. (A send that precedes
 * it in the client's order was refused before it, so it would have been the one to come back first.)
 *
 * A client that gave up the refused ones and sends something new is refused once more, told to resynchronise again,
 * and accepted when it repeats that.
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

  /** Returns whether a send may be taken; lifts the fence when it is the repetition of one that was refused. */
  admits(link: Downlink, conn: number, conversation: ConversationId, clientMsgId: string): boolean {
    if (link.fences.size === 0) return true;
    const held = link.fences.get(conn);
    if (held === undefined) return true;
    if (!held.has(sendKey(conversation, clientMsgId))) return false;
    link.fences.delete(conn);
    return true;
  }

  /** Remembers a refused send. A connection with too many of them is closed: the client starts afresh. */
  hold(link: Downlink, conn: number, conversation: ConversationId, clientMsgId: string): void {
    if (!link.isAttached(conn)) return;
    let held = link.fences.get(conn);
    if (held === undefined) {
      held = new Set();
      link.fences.set(conn, held);
    }
    if (held.size >= this.#maxHeld) {
      link.kick(conn, 'OVERLOADED');
      return;
    }
    held.add(sendKey(conversation, clientMsgId));
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

function sendKey(conversation: ConversationId, clientMsgId: string): string {
  return `${conversation}/${clientMsgId}`;
}
