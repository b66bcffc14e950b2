/** Hot state in this process, for a single node; lost when it ends. */
import { GochatError, type SessionId, type UserId } from '../../common/mod.ts';
import { ExpiringMap } from './expiring-map.ts';
import {
  type Allowance,
  type Attempt,
  bucketInterval,
  type Claim,
  type DeviceSession,
  type Eviction,
  type EvictionOrder,
  HELD_TTL_MS,
  type HotState,
  MAX_EVICTIONS,
  MAX_EVICTIONS_PAGE,
  MAX_REMEMBERED,
} from './hot-state.ts';

export interface HotMemoryOptions {
  /** Bound of device sessions, rate buckets, sets and ties each; the least recently used go. @default 1_000_000 */
  readonly maxEntries?: number;
  /** Monotonic clock, ms. @default performance.now */
  readonly now?: () => number;
  /** Wall clock, Unix ms. @default Date.now */
  readonly wallNow?: () => number;
}

interface Device extends DeviceSession {
  readonly held: boolean;
  readonly attempt: Attempt | undefined;
}

/** Hot state in this process, with the semantics of HotRedis. */
export class HotMemory implements HotState {
  readonly #now: () => number;
  readonly #wallNow: () => number;
  readonly #devices: ExpiringMap<Device>;
  /** Theoretical arrival time of each bucket, monotonic µs. */
  readonly #buckets: ExpiringMap<number>;
  /** Expiry of each member of a set, ms; the latest added last. */
  readonly #sets: ExpiringMap<Map<string, number>>;
  readonly #ties: ExpiringMap<string>;
  /** By time, ascending. */
  #evictions: { readonly eviction: Eviction; readonly expiresMs: number }[] = [];
  #lastEpoch = 0n;
  #closed = false;

  constructor(options: HotMemoryOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#wallNow = options.wallNow ?? Date.now;
    const bounds = { now: this.#now, ...(options.maxEntries && { maxEntries: options.maxEntries }) };
    this.#devices = new ExpiringMap(bounds);
    this.#buckets = new ExpiringMap(bounds);
    this.#sets = new ExpiringMap(bounds);
    this.#ties = new ExpiringMap(bounds);
  }

  async claim(
    user: UserId,
    device: string,
    fresh: SessionId,
    resume: SessionId | undefined,
    after = 0n,
    attempt?: Attempt,
  ): Promise<Claim> {
    this.#checkOpen();
    const key = deviceKey(user, device);
    const before = this.#devices.get(key);
    const last = before?.attempt;
    if (last !== undefined && last.run === attempt?.run && last.number > attempt.number)
      throw new GochatError('SESSION_REPLACED');
    const epoch = this.#nextEpoch(after);
    const resumed = resume !== undefined && before?.session === resume;
    const session = resumed ? resume : fresh;
    this.#devices.set(key, { epoch, session, held: true, attempt }, HELD_TTL_MS);
    return { epoch, session, resumed };
  }

  async release(user: UserId, device: string, epoch: bigint, graceMs: number): Promise<void> {
    this.#checkOpen();
    const key = deviceKey(user, device);
    const holder = this.#devices.get(key);
    if (holder === undefined || !holder.held || holder.epoch !== epoch) return;
    if (graceMs > 0) this.#devices.set(key, { ...holder, held: false }, graceMs);
    else this.#devices.delete(key);
  }

  async holder(user: UserId, device: string): Promise<DeviceSession | undefined> {
    this.#checkOpen();
    const found = this.#devices.get(deviceKey(user, device));
    return found?.held === true ? { session: found.session, epoch: found.epoch } : undefined;
  }

  /** GCRA, see HotRedis: a bucket is the time at which it would be full again. */
  async allow(key: string, perSecond: number, burst: number): Promise<Allowance> {
    this.#checkOpen();
    const intervalUs = bucketInterval(perSecond, burst);
    const nowUs = Math.floor(this.#now() * 1000);
    const arrivalUs = Math.max(this.#buckets.get(key) ?? nowUs, nowUs) + intervalUs;
    const waitUs = arrivalUs - intervalUs * burst - nowUs;
    if (waitUs > 0) return { allowed: false, retryAfterMs: Math.ceil(waitUs / 1000) };
    this.#buckets.set(key, arrivalUs, Math.ceil((arrivalUs - nowUs) / 1000));
    return { allowed: true, retryAfterMs: 0 };
  }

  async giveBack(key: string, perSecond: number, burst: number): Promise<void> {
    this.#checkOpen();
    const nowUs = Math.floor(this.#now() * 1000);
    const arrivalUs = (this.#buckets.get(key) ?? 0) - bucketInterval(perSecond, burst);
    if (arrivalUs > nowUs) this.#buckets.set(key, arrivalUs, Math.ceil((arrivalUs - nowUs) / 1000));
    else this.#buckets.delete(key);
  }

  async remember(set: string, member: string, ttlMs: number): Promise<void> {
    this.#checkOpen();
    const members = this.#sets.get(set) ?? new Map<string, number>();
    members.delete(member);
    members.set(member, this.#now() + ttlMs);
    for (const oldest of members.keys()) {
      if (members.size <= MAX_REMEMBERED) break;
      members.delete(oldest);
    }
    this.#sets.set(set, members, ttlMs);
  }

  async remembers(set: string, member: string): Promise<boolean> {
    this.#checkOpen();
    return (this.#sets.get(set)?.get(member) ?? 0) > this.#now();
  }

  async tie(key: string, value: string, ttlMs: number): Promise<string> {
    this.#checkOpen();
    const before = this.#ties.get(key);
    if (before === undefined) this.#ties.set(key, value, ttlMs);
    return before ?? value;
  }

  async untie(key: string, value: string): Promise<void> {
    this.#checkOpen();
    if (this.#ties.get(key) === value) this.#ties.delete(key);
  }

  async evict(order: EvictionOrder, ttlMs: number, after = 0n): Promise<Eviction> {
    this.#checkOpen();
    const now = this.#now();
    const eviction = { ...order, atUs: Number(this.#nextEpoch(after)) };
    this.#evictions = this.#evictions.filter((kept) => kept.expiresMs > now).slice(1 - MAX_EVICTIONS);
    this.#evictions.push({ eviction, expiresMs: now + ttlMs });
    return eviction;
  }

  async evictions(fromUs: number): Promise<readonly Eviction[]> {
    this.#checkOpen();
    const now = this.#now();
    return this.#evictions
      .filter(({ eviction, expiresMs }) => eviction.atUs >= fromUs && expiresMs > now)
      .slice(0, MAX_EVICTIONS_PAGE)
      .map(({ eviction }) => eviction);
  }

  /** Nothing to restore: the process loses this only when it ends. */
  async restoreEvictions(evictions: readonly Eviction[], ttlMs: number): Promise<number> {
    this.#checkOpen();
    const known = new Set(this.#evictions.map(({ eviction }) => eviction.atUs));
    const nowUs = this.#wallNow() * 1000;
    let kept = 0;
    for (const eviction of evictions) {
      const leftMs = ttlMs - (nowUs - eviction.atUs) / 1000;
      if (leftMs <= 0) continue;
      kept++;
      if (known.has(eviction.atUs)) continue;
      this.#evictions.push({ eviction, expiresMs: this.#now() + leftMs });
      const atUs = BigInt(eviction.atUs);
      if (atUs > this.#lastEpoch) this.#lastEpoch = atUs;
    }
    this.#evictions.sort((a, b) => a.eviction.atUs - b.eviction.atUs);
    return kept;
  }

  async ping(): Promise<void> {
    this.#checkOpen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#devices.clear();
    this.#buckets.clear();
    this.#sets.clear();
    this.#ties.clear();
    this.#evictions = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** One sequence for all devices, which outlives expired entries and a wall clock that steps back. */
  #nextEpoch(after: bigint): bigint {
    const wallUs = BigInt(Math.floor(this.#wallNow() * 1000));
    const last = after > this.#lastEpoch ? after : this.#lastEpoch;
    this.#lastEpoch = wallUs > last ? wallUs : last + 1n;
    return this.#lastEpoch;
  }

  #checkOpen(): void {
    if (this.#closed) throw new GochatError('HOT_UNAVAILABLE', { cause: new Error('it is closed') });
  }
}

function deviceKey(user: UserId, device: string): string {
  return `${user}:${device}`;
}
