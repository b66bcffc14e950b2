/** A balancing policy: chooses the endpoint of a call among those that the balancer offers. */
import type { Peer } from '../client/peer.ts';

export interface Policy {
  readonly peers: readonly Peer[];
  /**
   * Returns the endpoint for a call, or undefined if none is accepted.
   *
   * @param key routing key of the call, if any
   * @param accepts filter without side effects; undefined: all are accepted
   */
  choose(key: string | undefined, accepts: ((peer: Peer) => boolean) | undefined): Peer | undefined;
}

export interface PolicyKind {
  /** Name in a service config. */
  readonly name: string;
  /**
   * Whether the policy gets all endpoints, and connects when a call first needs one. Otherwise it gets the connected
   * ones of the channel's subset.
   */
  readonly isLazy: boolean;
  /** @param peers At least one. */
  make(peers: readonly Peer[]): Policy;
}
