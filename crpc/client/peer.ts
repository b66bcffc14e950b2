/** The balancer's state of an endpoint: connection, calls in flight, latency, ejection. */
import { connectivityState, experimental } from '@grpc/grpc-js';
import { GrpcStatus } from '../errors.ts';
import { OutlierRecord } from '../balance/outlier.ts';
import type { OutlierOptions } from '../balance/outlier.ts';
import type { Endpoint } from '../registry/registry.ts';

/** Time constant by which an unconfirmed latency decays. */
const LATENCY_DECAY_MS = 10_000;
const KEEP_ON_RISE = 0.5;
const KEEP_ON_FALL = 0.9;
/** Latency differences below this are noise. */
const LATENCY_NOISE_MS = 1;
/** Assumed latency of a call on an endpoint without samples. */
const UNKNOWN_LATENCY_MS = 1000;
/** Initial share of its weight in slow start. */
const MIN_RAMP = 0.1;
/** Time for which a slow endpoint is avoided, ms. */
const SLOW_MEMO_MS = 100;

export interface PeerOptions {
  readonly slowStartMs: number;
  readonly outlier: OutlierOptions | undefined;
  /** Opens the connection. */
  connect(peer: Peer): experimental.LeafLoadBalancer;
  /** Returns the duration from which a call on this endpoint is slow, ms, compared with the others. */
  slowFrom(peer: Peer, now: number): number;
  /** The endpoint is an outlier and should be ejected. */
  onOutlier(peer: Peer): void;
}

export class Peer {
  endpoint: Endpoint;
  readonly made: experimental.Endpoint;
  readonly outlier: OutlierRecord | undefined;
  readonly #options: PeerOptions;
  #leaf: experimental.LeafLoadBalancer | undefined;
  /** Calls in flight. */
  #inFlight = 0;
  /** Calls given to it in this tick that have not started yet. */
  #pending = 0;
  #latencyMs = 0;
  #latencyAt = 0;
  #rampFrom = 0;
  #slowFromMs = Infinity;
  #slowAskedAt = -Infinity;

  constructor(endpoint: Endpoint, made: experimental.Endpoint, options: PeerOptions) {
    this.endpoint = endpoint;
    this.made = made;
    this.#options = options;
    this.outlier = options.outlier === undefined ? undefined : new OutlierRecord(options.outlier);
  }

  get state(): connectivityState {
    return this.#leaf?.getConnectivityState() ?? connectivityState.IDLE;
  }

  get isReady(): boolean {
    return this.state === connectivityState.READY;
  }

  get isEjected(): boolean {
    return this.outlier !== undefined && this.outlier.ejectedUntil !== 0;
  }

  /** Whether it is on trial and the deciding call is in flight: others are preferred until then. */
  get isBeingTried(): boolean {
    return this.#inFlight + this.#pending > 0 && this.outlier?.isOnTrial === true;
  }

  /** Connects unless connected. */
  connect(): void {
    if (this.#leaf !== undefined) {
      if (this.state === connectivityState.IDLE) this.#leaf.exitIdle();
      return;
    }
    this.#leaf = this.#options.connect(this);
    this.#leaf.startConnecting();
  }

  /** Disconnects; calls in flight finish. */
  disconnect(): void {
    this.#leaf?.destroy();
    this.#leaf = undefined;
  }

  /** Starts the slow start: its share grows from a tenth to the whole. */
  startSlowly(now: number): void {
    if (this.#options.slowStartMs > 0) this.#rampFrom = now;
  }

  /** Readmits it after an ejection as a new endpoint: its old latency means nothing now. */
  readmit(now: number): void {
    this.outlier?.readmit(now);
    this.#latencyAt = 0;
    this.startSlowly(now);
  }

  /** Returns its weight, reduced during the slow start. */
  weight(now: number): number {
    const { weight } = this.endpoint;
    if (this.#rampFrom === 0) return weight;
    const share = (now - this.#rampFrom) / this.#options.slowStartMs;
    if (share >= 1) this.#rampFrom = 0;
    return weight * Math.min(1, Math.max(MIN_RAMP, share));
  }

  /** Returns the expected wait of one more call: calls in flight times latency, by weight. The smallest is the best. */
  cost(now: number): number {
    const running = this.#inFlight + this.#pending;
    const latencyMs = this.latencyMs(now) ?? (running > 0 ? UNKNOWN_LATENCY_MS : 0);
    return ((running + 1) * Math.max(latencyMs, LATENCY_NOISE_MS)) / this.weight(now);
  }

  /** Latency of calls here, ms; undefined without samples. */
  latencyMs(now: number): number | undefined {
    if (this.#latencyAt === 0) return undefined;
    return this.#latencyMs * Math.exp((this.#latencyAt - now) / LATENCY_DECAY_MS);
  }

  /** Gives it a call. */
  pick(args: experimental.PickArgs, isStream: boolean): experimental.PickResult {
    if (this.#leaf === undefined) this.connect();
    const result = (this.#leaf as experimental.LeafLoadBalancer).getPicker().pick(args);
    if (result.pickResultType !== experimental.PickResultType.COMPLETE) return result;
    this.#pending++;
    return new TrackedPick(result.subchannel, this, isStream);
  }

  callStarted(): void {
    if (this.#pending > 0) this.#pending--;
    this.#inFlight++;
  }

  /** @param ms duration of the call; negative: unknown */
  callEnded(code: number, ms: number, now: number): void {
    this.#inFlight--;
    // Calls given to it before this event have started or been cancelled by now.
    this.#pending = 0;
    if (isFailure(code)) {
      if (ms > this.#latencyMs) this.#observe(ms, now);
      if (this.outlier?.failure(now)) this.#options.onOutlier(this);
    } else if (code === GrpcStatus.CANCELLED || code === GrpcStatus.RESOURCE_EXHAUSTED) {
      // Not its fault; and a quick refusal is no sign of speed.
      if (ms > this.#latencyMs) this.#observe(ms, now);
    } else {
      if (ms >= 0) this.#observe(ms, now);
      if (this.outlier?.success(now, this.#isSlow(ms, now))) this.#options.onOutlier(this);
    }
  }

  #isSlow(ms: number, now: number): boolean {
    if (ms < (this.#options.outlier?.slowMs ?? Infinity)) return false;
    if (now - this.#slowAskedAt > SLOW_MEMO_MS) {
      this.#slowAskedAt = now;
      this.#slowFromMs = this.#options.slowFrom(this, now);
    }
    return ms >= this.#slowFromMs;
  }

  /**
   * A moving average that rises fast and falls slowly, like Finagle's peak EWMA: a slow call counts for half, so two or
   * three reveal an endpoint that has become slow, while a single pause is made up for by some good calls or by time.
   */
  #observe(ms: number, now: number): void {
    const old = this.#latencyMs * Math.exp((this.#latencyAt - now) / LATENCY_DECAY_MS);
    const keep = ms > old ? KEEP_ON_RISE : KEEP_ON_FALL;
    this.#latencyMs = this.#latencyAt === 0 ? ms : ms * (1 - keep) + old * keep;
    this.#latencyAt = now;
  }
}

/** Returns whether a failure is the endpoint's; a handler's deliberate error is not. */
function isFailure(code: number): boolean {
  return (
    code === GrpcStatus.UNAVAILABLE ||
    code === GrpcStatus.DEADLINE_EXCEEDED ||
    code === GrpcStatus.INTERNAL ||
    code === GrpcStatus.UNKNOWN ||
    code === GrpcStatus.DATA_LOSS
  );
}

/** The pick for grpc-js: the connection to use, and the tracking of the call. */
class TrackedPick implements experimental.PickResult {
  readonly pickResultType = experimental.PickResultType.COMPLETE;
  readonly subchannel;
  readonly status = null;
  readonly onCallStarted;
  readonly onCallEnded;

  constructor(subchannel: experimental.PickResult['subchannel'], peer: Peer, isStream: boolean) {
    this.subchannel = subchannel;
    let startedAt = 0;
    this.onCallStarted = (): void => {
      startedAt = performance.now();
      peer.callStarted();
    };
    this.onCallEnded = (code: number): void => {
      const now = performance.now();
      peer.callEnded(code, isStream ? -1 : now - startedAt, now);
    };
  }
}
