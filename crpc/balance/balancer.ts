/** crpc's load balancer for grpc-js: chooses the endpoints to connect to and the ones that may take calls. */
import { connectivityState, experimental } from '@grpc/grpc-js';
import type { ChannelOptions } from '@grpc/grpc-js';
import { POLICIES, parseBalancerConfig } from './balancer-config.ts';
import type { BalancerConfig } from './balancer-config.ts';
import { crpcMetrics } from '../metrics.ts';
import { mayEject } from './outlier.ts';
import { Peer } from '../client/peer.ts';
import type { PeerOptions } from '../client/peer.ts';
import { EndpointPicker } from '../client/picker.ts';
import type { Policy, PolicyKind } from './policy.ts';
import { factsOf } from '../client/resolver.ts';
import { ownShare, rank, subset } from './subset.ts';

let isSetUp = false;

/** Registers the balancers with grpc-js; `loadBalancingConfig` of a service config then selects one. Idempotent. */
export function setupBalancers(): void {
  if (isSetUp) return;
  isSetUp = true;
  for (const kind of Object.values(POLICIES)) register(kind);
}

function register(kind: PolicyKind): void {
  class Config implements experimental.TypedLoadBalancingConfig {
    readonly values: BalancerConfig;
    constructor(values: BalancerConfig) {
      this.values = values;
    }
    getLoadBalancerName(): string {
      return kind.name;
    }
    toJsonObject(): object {
      return { [kind.name]: this.values };
    }
    static createFromJson(value: unknown): Config {
      return new Config(parseBalancerConfig(value));
    }
  }
  class Balancer extends EndpointBalancer<Config> {
    constructor(helper: experimental.ChannelControlHelper) {
      super(kind, helper);
    }
  }
  experimental.registerLoadBalancerType(kind.name, Balancer, Config);
}

/** The endpoints of the own zone, or of all others. */
interface Group {
  /** In the channel's order of preference. */
  readonly ranked: readonly Peer[];
  /** Endpoints that it keeps connections to. */
  wanted: readonly Peer[];
  policy: Policy | undefined;
}

/** Keeps endpoints, connections and figures across updates. */
class EndpointBalancer<C extends experimental.TypedLoadBalancingConfig & { readonly values: BalancerConfig }>
  implements experimental.LoadBalancer
{
  readonly #kind: PolicyKind;
  readonly #helper: experimental.ChannelControlHelper;
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000);
  readonly #peers = new Map<string, Peer>();
  #config: BalancerConfig | undefined;
  #own: Group = { ranked: [], wanted: [], policy: undefined };
  #other: Group = { ranked: [], wanted: [], policy: undefined };
  readonly #ejected = new Set<Peer>();
  #returnTimer: NodeJS.Timeout | undefined;
  #lastError = '';
  #isScheduled = false;
  #isDestroyed = false;

  constructor(kind: PolicyKind, helper: experimental.ChannelControlHelper) {
    this.#kind = kind;
    this.#helper = helper;
  }

  updateAddressList(
    list: experimental.StatusOr<experimental.Endpoint[]>,
    { values }: C,
    options: ChannelOptions,
    note: string,
  ): boolean {
    this.#config = values;
    if (list.ok) this.#replace(list.value, values, options, note);
    else {
      // The registry has no endpoint: unlike a failed resolver, this is an answer.
      this.#lastError = list.error.details;
      this.#replace([], values, options, note);
    }
    this.#report();
    return true;
  }

  exitIdle(): void {
    if (this.#kind.isLazy) return;
    for (const { wanted } of [this.#own, this.#other]) for (const peer of wanted) peer.connect();
  }

  resetBackoff(): void {
    // The connections have their own backoff.
  }

  destroy(): void {
    this.#isDestroyed = true;
    clearTimeout(this.#returnTimer);
    for (const peer of this.#peers.values()) peer.disconnect();
    this.#peers.clear();
  }

  getTypeName(): string {
    return this.#kind.name;
  }

  #replace(
    list: readonly experimental.Endpoint[],
    config: BalancerConfig,
    options: ChannelOptions,
    note: string,
  ): void {
    const gone = new Set(this.#peers.keys());
    const isAtWork = [...this.#peers.values()].some((peer) => peer.isReady);
    const peerOptions: PeerOptions = {
      slowStartMs: config.slowStartMs,
      outlier: config.outlier === false ? undefined : config.outlier,
      connect: (peer) => this.#connect(peer, isAtWork, options, note),
      slowFrom: (peer, now) => this.#slowFrom(peer, now),
      onOutlier: (peer) => this.#eject(peer),
    };
    for (const made of list) {
      const endpoint = factsOf(made);
      if (endpoint === undefined) continue;
      const known = this.#peers.get(endpoint.address);
      if (known?.endpoint.id === endpoint.id) {
        known.endpoint = endpoint;
        gone.delete(endpoint.address);
        continue;
      }
      // A restarted process at the same address starts without its predecessor's record.
      if (known !== undefined) this.#drop(known);
      gone.delete(endpoint.address);
      this.#peers.set(endpoint.address, new Peer(endpoint, made, peerOptions));
    }
    for (const address of gone) {
      this.#drop(this.#peers.get(address) as Peer);
      this.#peers.delete(address);
    }
    const all = [...this.#peers.values()];
    const isOwn = ({ endpoint }: Peer): boolean => config.zone === '' || endpoint.zone === config.zone;
    this.#own = this.#group(this.#own, all.filter(isOwn), config);
    this.#other = this.#group(
      this.#other,
      config.zone === '' ? [] : all.filter((peer) => !isOwn(peer)),
      config,
    );
  }

  #group(before: Group, peers: readonly Peer[], { maxEndpoints }: BalancerConfig): Group {
    const ranked =
      this.#kind.isLazy || peers.length <= maxEndpoints
        ? peers
        : rank(peers, ({ endpoint }) => endpoint.id, this.#seed);
    // Weights may have changed, so the policy is rebuilt.
    return { ranked, wanted: before.wanted, policy: undefined };
  }

  #drop(peer: Peer): void {
    peer.disconnect();
    this.#ejected.delete(peer);
  }

  #connect(peer: Peer, isNew: boolean, options: ChannelOptions, note: string): experimental.LeafLoadBalancer {
    let last: connectivityState = connectivityState.IDLE;
    let isLate = isNew;
    const helper = experimental.createChildChannelControlHelper(this.#helper, {
      updateState: (state, _picker, error) => {
        if (error !== null) this.#lastError = error;
        if (state === last) return;
        last = state;
        if (state === connectivityState.READY) {
          if (isLate) peer.startSlowly(performance.now());
          // An endpoint that comes back may just have been started.
          isLate = true;
        }
        this.#schedule();
      },
    });
    return new experimental.LeafLoadBalancer(peer.made, helper, options, note);
  }

  /** Many endpoints change at once when a channel starts or a rack fails: one new picker covers them all. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#isDestroyed) this.#report();
    });
  }

  /** By the median of the others, so that another slow one does not hide this one. */
  #slowFrom(peer: Peer, now: number): number {
    const { outlier } = this.#config ?? {};
    if (outlier === undefined || outlier === false) return Infinity;
    const others: number[] = [];
    for (const other of this.#peers.values()) {
      const latencyMs =
        other === peer || !other.isReady || other.isEjected ? undefined : other.latencyMs(now);
      if (latencyMs !== undefined) others.push(latencyMs);
    }
    if (others.length === 0) return Infinity;
    const median = others.sort((a, b) => a - b)[others.length >> 1] as number;
    return Math.max(outlier.slowMs, outlier.slowFactor * median);
  }

  #eject(peer: Peer): void {
    const { outlier } = peer;
    if (outlier === undefined || peer.isEjected || !this.#config || this.#config.outlier === false) return;
    if (this.#peers.get(peer.endpoint.address) !== peer) return;
    let connected = 0;
    for (const { isReady } of this.#peers.values()) if (isReady) connected++;
    if (!mayEject(this.#ejected.size, connected, this.#config.outlier.maxEjectedShare)) return;
    outlier.eject(performance.now());
    this.#ejected.add(peer);
    crpcMetrics().ejections.add(1, { endpoint: peer.endpoint.address });
    this.#awaitReturn();
    this.#report();
  }

  #awaitReturn(): void {
    clearTimeout(this.#returnTimer);
    if (this.#ejected.size === 0) return;
    const next = Math.min(...[...this.#ejected].map(({ outlier }) => outlier?.ejectedUntil ?? 0));
    this.#returnTimer = setTimeout(() => this.#takeBack(), Math.max(1, next - performance.now()));
    this.#returnTimer.unref();
  }

  #takeBack(): void {
    const now = performance.now();
    for (const peer of this.#ejected) {
      if ((peer.outlier?.ejectedUntil ?? 0) > now) continue;
      this.#ejected.delete(peer);
      peer.readmit(now);
    }
    this.#awaitReturn();
    this.#schedule();
  }

  /** Connects to the wanted endpoints, and reports to gRPC which can take calls. */
  #report(): void {
    const { isLazy } = this.#kind;
    let isConnecting = false;
    for (const group of [this.#own, this.#other]) {
      if (!isLazy) this.#choose(group);
      this.#renew(group);
      isConnecting ||= group.wanted.some(
        ({ state }) => state === connectivityState.CONNECTING || state === connectivityState.IDLE,
      );
    }
    const [own, other] = [this.#own.policy, this.#other.policy];
    if (own !== undefined || other !== undefined) {
      const share =
        other === undefined
          ? 1
          : ownShare(weightOf(this.#own.wanted.filter(isWorking)), weightOf(this.#own.wanted), true);
      const picker = new EndpointPicker(own, other, own === undefined ? 0 : share, isLazy ? always : isReady);
      this.#helper.updateState(connectivityState.READY, picker, null);
    } else if (isConnecting) {
      this.#helper.updateState(connectivityState.CONNECTING, new experimental.QueuePicker(this), null);
    } else {
      const details = `${this.#kind.name}: no connection. ${this.#lastError}`;
      const picker = new experimental.UnavailablePicker({ details });
      this.#helper.updateState(connectivityState.TRANSIENT_FAILURE, picker, details);
    }
  }

  /** Limits the connections of a group to its subset. */
  #choose(group: Group): void {
    const size = this.#config?.maxEndpoints ?? Infinity;
    const wanted = subset(group.ranked, size, ({ state }) => state === connectivityState.TRANSIENT_FAILURE);
    if (group.wanted.length > 0) {
      const kept = new Set(wanted);
      for (const peer of group.wanted) if (!kept.has(peer)) peer.disconnect();
    }
    group.wanted = wanted;
    for (const peer of wanted) peer.connect();
  }

  /** Gives a group a policy over its usable endpoints; unchanged as long as they are the same. */
  #renew(group: Group): void {
    let peers: readonly Peer[];
    if (this.#kind.isLazy) {
      group.wanted = group.ranked;
      const canTake = group.ranked.some(({ state }) => state !== connectivityState.TRANSIENT_FAILURE);
      peers = canTake ? group.ranked : [];
    } else {
      const ready = group.wanted.filter(isReady);
      const admitted = ready.filter(({ isEjected }) => !isEjected);
      peers = admitted.length > 0 ? admitted : ready;
    }
    if (peers.length === 0) group.policy = undefined;
    else if (!isSame(group.policy?.peers, peers)) group.policy = this.#kind.make(peers);
  }
}

function isSame(a: readonly Peer[] | undefined, b: readonly Peer[]): boolean {
  if (a === b) return true;
  return a !== undefined && a.length === b.length && a.every((peer, index) => peer === b[index]);
}

function isReady(peer: Peer): boolean {
  return peer.isReady;
}

function isWorking(peer: Peer): boolean {
  return !peer.isEjected && peer.state !== connectivityState.TRANSIENT_FAILURE;
}

function always(): boolean {
  return true;
}

function weightOf(peers: readonly Peer[]): number {
  return peers.reduce((sum, { endpoint }) => sum + endpoint.weight, 0);
}
