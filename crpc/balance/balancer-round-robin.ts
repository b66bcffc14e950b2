/** Balancing policy: each endpoint in turn, in proportion to its weight. */
import type { Peer } from '../client/peer.ts';
import type { Policy, PolicyKind } from './policy.ts';

/** An endpoint and the virtual time of its next turn. */
interface Turn {
  readonly peer: Peer;
  at: number;
}

/**
 * Earliest deadline first: an endpoint's turns are 1/weight apart, and the earliest is next. With equal weights that is
 * plain round robin; with others the turns of a heavy endpoint are spread between those of light ones. The endpoints
 * are a heap, so a pick costs the logarithm of their number.
 */
class RoundRobin implements Policy {
  readonly peers: readonly Peer[];
  readonly #heap: Turn[];

  constructor(peers: readonly Peer[]) {
    this.peers = peers;
    // Each with a random phase, or every client would start with the same endpoint.
    const now = performance.now();
    this.#heap = peers.map((peer) => ({ peer, at: Math.random() / peer.weight(now) }));
    this.#heap.sort((a, b) => a.at - b.at);
  }

  choose(_key: string | undefined, accepts?: (peer: Peer) => boolean): Peer | undefined {
    const now = performance.now();
    for (let tries = this.#heap.length; tries > 0; tries--) {
      const { peer } = this.#next(now);
      if (accepts === undefined || accepts(peer)) return peer;
    }
    return this.peers.find((peer) => accepts?.(peer));
  }

  #next(now: number): Turn {
    const heap = this.#heap;
    const turn = heap[0] as Turn;
    turn.at += 1 / turn.peer.weight(now);
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Turn).at < (heap[child] as Turn).at) child++;
      if ((heap[child] as Turn).at >= turn.at) break;
      heap[place] = heap[child] as Turn;
      place = child;
    }
    heap[place] = turn;
    return turn;
  }
}

export const roundRobin: PolicyKind = {
  name: 'crpc_round_robin',
  isLazy: false,
  make: (peers) => new RoundRobin(peers),
};
