/** Balancing policy: calls with the same key go to the same endpoint as long as it exists. */
import { connectivityState } from '@grpc/grpc-js';
import type { Peer } from '../client/peer.ts';
import type { Policy, PolicyKind } from './policy.ts';
import { Rendezvous, hashKey } from './rendezvous.ts';

/** Metadata key of the call's routing key. */
export const KEY_METADATA = 'crpc-key';
/** Cached owners; a power of two. */
const MEMO_SIZE = 4096;

/**
 * The owner is chosen among all endpoints and connected to when a key first needs it. While it is unreachable or
 * ejected, its keys belong to the next in their order; other keys stay.
 *
 * Finding a key's owner costs a check of each endpoint; owners of recent keys are cached.
 */
class RendezvousPolicy implements Policy {
  readonly peers: readonly Peer[];
  readonly #chooser: Rendezvous;
  readonly #memoHi = new Int32Array(MEMO_SIZE);
  readonly #memoLo = new Int32Array(MEMO_SIZE);
  readonly #memoIndex = new Int32Array(MEMO_SIZE).fill(-1);

  constructor(peers: readonly Peer[]) {
    this.peers = peers;
    this.#chooser = new Rendezvous(peers.map(({ endpoint }) => endpoint.id));
  }

  choose(key: string | undefined, accepts?: (peer: Peer) => boolean): Peer | undefined {
    const { hi, lo } = key === undefined ? { hi: random32(), lo: random32() } : hashKey(key);
    const owner = this.peers[this.#ownerOf(hi, lo)] as Peer;
    const fits = (peer: Peer): boolean => isUsable(peer) && (accepts === undefined || accepts(peer));
    if (fits(owner)) return owner;
    return this.peers[this.#chooser.pickWhere(hi, lo, (index) => fits(this.peers[index] as Peer))];
  }

  #ownerOf(hi: number, lo: number): number {
    const place = (hi ^ lo) & (MEMO_SIZE - 1);
    const known = this.#memoIndex[place] as number;
    if (known >= 0 && this.#memoHi[place] === (hi | 0) && this.#memoLo[place] === (lo | 0)) return known;
    const owner = this.#chooser.pick(hi, lo);
    this.#memoHi[place] = hi;
    this.#memoLo[place] = lo;
    this.#memoIndex[place] = owner;
    return owner;
  }
}

/** Endpoints not yet tried count as usable. */
function isUsable(peer: Peer): boolean {
  return !peer.isEjected && peer.state !== connectivityState.TRANSIENT_FAILURE;
}

function random32(): number {
  return Math.floor(Math.random() * 0x1_0000_0000);
}

export const rendezvous: PolicyKind = {
  name: 'crpc_rendezvous',
  isLazy: true,
  make: (peers) => new RendezvousPolicy(peers),
};
