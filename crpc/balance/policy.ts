/** A balancing policy: chooses the endpoint of a call among those that the balancer offers. */
import type { Peer } from '../client/peer.ts';

export interface Policy {
  readonly peers: readonly Peer[];
  /**
   * Returns the endpoint for a call, or undefined when none is accepted.
   *
   * @param key The call's routing key, where it has one.
   * @param accepts Without side effects; undefined: all are.
   */
  choose(key: string | undefined, accepts: ((peer: Peer) => boolean) | undefined): Peer | undefined;
}

export interface PolicyKind {
  /** Name in a service config. */
  readonly name: string;
  /**
   * Whether the policy knows all endpoints and connections are made when a call first needs one. Otherwise it gets
   * those of the channel's subset that are connected.
   */
  readonly isLazy: boolean;
  /** @param peers At least one. */
  make(peers: readonly Peer[]): Policy;
}
