/** The picker of crpc's balancers: first zone, then policy, then the call's own constraints. */
import { experimental } from '@grpc/grpc-js';
import { KEY_METADATA } from '../balance/balancer-rendezvous.ts';
import type { Peer } from './peer.ts';
import type { PickContext } from './pick-context.ts';
import { pickContextOf } from './pick-context.ts';
import type { Policy } from '../balance/policy.ts';
import { hashId } from '../balance/rendezvous.ts';
import { toStatus } from './status.ts';

/** The call waits for the next picker. */
const QUEUED: experimental.PickResult = Object.freeze({
  pickResultType: experimental.PickResultType.QUEUE,
  subchannel: null,
  status: null,
  onCallStarted: null,
  onCallEnded: null,
});

export class EndpointPicker implements experimental.Picker {
  readonly #own: Policy | undefined;
  readonly #other: Policy | undefined;
  readonly #ownShare: number;
  readonly #fits: (peer: Peer) => boolean;
  readonly #fitsBest: (peer: Peer) => boolean;

  /**
   * @param own endpoints of the channel's zone, or all if it has none; undefined: none can take calls
   * @param other endpoints of other zones; undefined: none can take calls
   * @param ownShare share of calls for `own`, 0 to 1
   * @param fits returns whether an endpoint can take calls at the moment of the pick, as its connection may have broken
   */
  constructor(
    own: Policy | undefined,
    other: Policy | undefined,
    ownShare: number,
    fits: (peer: Peer) => boolean,
  ) {
    this.#own = own;
    this.#other = other;
    this.#ownShare = ownShare;
    this.#fits = fits;
    this.#fitsBest = (peer) => fits(peer) && !peer.isBeingTried;
  }

  pick(args: experimental.PickArgs): experimental.PickResult {
    const [key] = args.metadata.get(KEY_METADATA);
    const keyText = typeof key === 'string' ? key : undefined;
    const context = pickContextOf(args.metadata);
    const [first, second] = this.#zones(keyText);
    if (context === undefined || (context.tried === undefined && context.admit === undefined)) {
      const peer =
        first?.choose(keyText, this.#fitsBest) ??
        second?.choose(keyText, this.#fitsBest) ??
        first?.choose(keyText, this.#fits) ??
        second?.choose(keyText, this.#fits);
      if (peer === undefined) return QUEUED;
      if (context !== undefined) context.endpoint = peer.endpoint;
      return peer.pick(args, context?.isStream ?? false);
    }
    return this.#pickFor(context, keyText, args, first, second);
  }

  /** The same as `pick`, for a retried call or one with conditions. */
  #pickFor(
    context: PickContext,
    key: string | undefined,
    args: experimental.PickArgs,
    first: Policy | undefined,
    second: Policy | undefined,
  ): experimental.PickResult {
    const { tried, admit } = context;
    const refused = new Set<Peer>();
    const fits = (peer: Peer): boolean => this.#fits(peer) && !refused.has(peer);
    const fitsAndIsNew = (peer: Peer): boolean =>
      fits(peer) && !peer.isBeingTried && !tried?.has(peer.endpoint.id);
    for (;;) {
      const peer =
        first?.choose(key, fitsAndIsNew) ??
        second?.choose(key, fitsAndIsNew) ??
        first?.choose(key, fits) ??
        second?.choose(key, fits);
      if (peer === undefined) break;
      if (admit === undefined || admit(peer.endpoint)) {
        context.endpoint = peer.endpoint;
        return peer.pick(args, context.isStream);
      }
      refused.add(peer);
    }
    if (refused.size === 0 || context.refusal === undefined) return QUEUED;
    return {
      pickResultType: experimental.PickResultType.TRANSIENT_FAILURE,
      subchannel: null,
      status: toStatus(context.refusal()),
      onCallStarted: null,
      onCallEnded: null,
    };
  }

  /** Returns the first and the second choice of zone. A key spills over or stays as long as the share is the same. */
  #zones(key: string | undefined): readonly [Policy | undefined, Policy | undefined] {
    if (this.#other === undefined || this.#ownShare >= 1) return [this.#own, this.#other];
    const draw = key === undefined ? Math.random() : (hashId(key) >>> 0) / 0x1_0000_0000;
    return draw < this.#ownShare ? [this.#own, this.#other] : [this.#other, this.#own];
  }
}
