/** The balancer's state of an endpoint: connection, calls in flight, latency, ejection. */
import { connectivityState, experimental } from '@grpc/grpc-js';
import { GrpcStatus } from '../errors.ts';
import { OutlierRecord } from '../balance/outlier.ts';
import type { OutlierOptions } from '../balance/outlier.ts';
import type { Endpoint } from '../registry/registry.ts';

/** A latency that no call confirms falls to 1/e in this time. */
const LATENCY_DECAY_MS = 10_000;
const KEEP_ON_RISE = 0.5;
const KEEP_ON_FALL = 0.9;
/** Differences below this are noise. */
const LATENCY_NOISE_MS = 1;
/** Assumed latency of a call on an endpoint without samples. */
const UNKNOWN_LATENCY_MS = 1000;
/** Share of its weight with which an endpoint begins. */
const MIN_RAMP = 0.1;
/** Time for which a slow endpoint is avoided, ms. */
const SLOW_MEMO_MS = 100;

export interface PeerOptions {
  readonly slowStartMs: number;
  readonly outlier: OutlierOptions | undefined;
  /** Opens the connection. */
  connect(peer: Peer): experimental.LeafLoadBalancer;
  /** Returns from which duration on a call on this endpoint is slow, ms: by what calls on the others take. */
  slowFrom(peer: Peer, now: number): number;
  /** It failed so often, or is so slow, that it should be ejected. */
  onOutlier(peer: Peer): void;
}

export class Peer {
  endpoint: Endpoint;
  readonly made: experimental.Endpoint;
  readonly outlier: OutlierRecord | undefined;
  readonly #options: PeerOptions;
  #leaf: experimental.LeafLoadBalancer | undefined;
  /** Calls that run. */
  #inFlight = 0;
  /** Calls that were given to it in this tick and have not begun yet. */
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

  /** It was taken back on trial, and the call that decides still runs: others are preferred until then. */
  get isBeingTried(): boolean {
    return this.#inFlight + this.#pending > 0 && this.outlier?.isOnTrial === true;
  }

  /** Opens the connection where there is none. */
  connect(): void {
    if (this.#leaf !== undefined) {
      if (this.state === connectivityState.IDLE) this.#leaf.exitIdle();
      return;
    }
    this.#leaf = this.#options.connect(this);
    this.#leaf.startConnecting();
  }

  /** Gives the connection up; calls on it finish. */
  disconnect(): void {
    this.#leaf?.destroy();
    this.#leaf = undefined;
  }

  /** Its calls grow from a tenth of its share to the whole within the slow-start time. */
  startSlowly(now: number): void {
    if (this.#options.slowStartMs > 0) this.#rampFrom = now;
  }

  /** Takes it in again after an ejection, as one that is new: what it was slow with then says nothing about now. */
  readmit(now: number): void {
    this.outlier?.readmit(now);
    this.#latencyAt = 0;
    this.startSlowly(now);
  }

  /** Returns its weight, less while it is new. */
  weight(now: number): number {
    const { weight } = this.endpoint;
    if (this.#rampFrom === 0) return weight;
    const share = (now - this.#rampFrom) / this.#options.slowStartMs;
    if (share >= 1) this.#rampFrom = 0;
    return weight * Math.min(1, Math.max(MIN_RAMP, share));
  }

  /** Returns what one more call would wait here: running calls times latency, by weight. The smallest is the best. */
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

  /** @param ms How long the call took; negative: that says nothing. */
  callEnded(code: number, ms: number, now: number): void {
    this.#inFlight--;
    // Whatever was given to it before this event has begun by now, or was cancelled before it could.
    this.#pending = 0;
    if (isFailure(code)) {
      if (ms > this.#latencyMs) this.#observe(ms, now);
      if (this.outlier?.failure(now)) this.#options.onOutlier(this);
    } else if (code === GrpcStatus.CANCELLED || code === GrpcStatus.RESOURCE_EXHAUSTED) {
      // Not its fault, and a refusal that comes quickly is no sign of speed.
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
   * A moving average that rises fast and falls slowly, as Finagle's peak EWMA: a call that took long counts for half,
   * so two or three show an endpoint that has become slow; a single pause is made up for by some good calls, or by time.
   */
  #observe(ms: number, now: number): void {
    const old = this.#latencyMs * Math.exp((this.#latencyAt - now) / LATENCY_DECAY_MS);
    const keep = ms > old ? KEEP_ON_RISE : KEEP_ON_FALL;
    this.#latencyMs = this.#latencyAt === 0 ? ms : ms * (1 - keep) + old * keep;
    this.#latencyAt = now;
  }
}

/** Failures that are the endpoint's; what a handler answers on purpose is not one. */
function isFailure(code: number): boolean {
  return (
    code === GrpcStatus.UNAVAILABLE ||
    code === GrpcStatus.DEADLINE_EXCEEDED ||
    code === GrpcStatus.INTERNAL ||
    code === GrpcStatus.UNKNOWN ||
    code === GrpcStatus.DATA_LOSS
  );
}

/** The answer to grpc-js: the connection to use, and what to tell about the call. */
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
