/** Balancing policy: of two endpoints drawn at random, the less loaded one. Mitzenmacher, 2001. */
import type { Peer } from '../client/peer.ts';
import type { Policy, PolicyKind } from './policy.ts';

/** Random draws before a linear search. */
const MAX_DRAWS = 4;

/**
 * Power of two choices on calls in flight times latency. Two draws are nearly as good as a full search, cost the same
 * for three endpoints as for a thousand, and keep many clients from choosing the same best one.
 */
class LeastLoaded implements Policy {
  readonly peers: readonly Peer[];

  constructor(peers: readonly Peer[]) {
    this.peers = peers;
  }

  choose(_key: string | undefined, accepts?: (peer: Peer) => boolean): Peer | undefined {
    const { peers } = this;
    const count = peers.length;
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const first = Math.floor(Math.random() * count);
      const a = peers[first] as Peer;
      // Any endpoint but the first.
      const b =
        count < 2 ? a : (peers[(first + 1 + Math.floor(Math.random() * (count - 1))) % count] as Peer);
      const now = performance.now();
      const [better, worse] = b.cost(now) < a.cost(now) ? [b, a] : [a, b];
      if (accepts === undefined || accepts(better)) return better;
      if (accepts(worse)) return worse;
    }
    const start = Math.floor(Math.random() * count);
    for (let i = 0; i < count; i++) {
      const peer = peers[(start + i) % count] as Peer;
      if (accepts?.(peer)) return peer;
    }
    return undefined;
  }
}

export const leastLoaded: PolicyKind = {
  name: 'crpc_least_loaded',
  isLazy: false,
  make: (peers) => new LeastLoaded(peers),
};
