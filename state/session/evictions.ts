/**
 * Evictions: kicks, logouts and revocations. Every node knows all of them, so any node can enforce them on all
 * gateways.
 */
import {
  type PlainErrorCode,
  GochatError,
  type Logger,
  NODE_BITS,
  SEQUENCE_BITS,
  type UserId,
} from '../../common/mod.ts';
import {
  type Eviction,
  type EvictionOrder,
  EvictionScope,
  type HotState,
  MAX_EVICTIONS,
  MAX_EVICTIONS_PAGE,
} from '../hot/hot-state.ts';
import { CLOCK_SKEW_MS } from '../limits.ts';
import type { RevocationStore } from '../store/store.ts';

/** Poll interval: an order must have reached every connection within 1 s. ms. */
const POLL_MS = 500;
/** Growth of ids during the largest clock skew. */
const SKEW_IDS = BigInt(CLOCK_SKEW_MS) << BigInt(NODE_BITS + SEQUENCE_BITS);
/** Growth of ids in 16 s. Ids of one node stay distinct modulo this while its clock is behind an order. */
const AHEAD_IDS = 1n << 36n;

/** The fields of a connection that an eviction matches. */
export interface Evictable {
  readonly device: string;
  /** Id of its access token. */
  readonly token: bigint;
  readonly epoch: bigint;
}

export interface EvictionsOptions {
  readonly hot: Pick<HotState, 'evict' | 'evictions' | 'restoreEvictions'>;
  /** Stores revocations; undefined: they are lost with the hot state and all nodes. */
  readonly store: RevocationStore | undefined;
  /** Lifetime of an order: that of a token, ms. */
  readonly ttlMs: number;
  readonly logger: Logger;
  /** Makes ids that grow with time. @throws GochatError STATE_UNAVAILABLE */
  readonly nextId: () => bigint;
  /** Returns the connections of a user on all gateways. */
  readonly connectionsOf: (user: UserId) => readonly Pick<Evictable, 'token' | 'epoch'>[];
  /** Called with each new order: its connections must end. */
  readonly onEvicted: (eviction: Eviction) => void;
}

/**
 * Keeps all valid orders in memory, so that a login or an HTTP call is checked without a round trip.
 *
 * Each node polls the hot state for new ones. If the hot state has lost its data, the nodes write their orders back:
 * orders survive as long as one state node or the hot state does. Revocations also survive in the store.
 */
export class Evictions {
  readonly #options: EvictionsOptions;
  /** In order of arrival, each with the time on this process's clock at which it expires. */
  #known: { readonly eviction: Eviction; readonly expiresMs: number }[] = [];
  readonly #byUser = new Map<UserId, Eviction[]>();
  /** Time of the newest order read from the hot state; the next poll starts from it. */
  #cursorUs = 0;
  /** Whether the hot state may no longer have the order at the cursor: there is none, or it has expired there. */
  #isCursorExpired = true;
  #ready = false;
  #isLoaded = false;
  #failing = false;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #stopped = false;

  constructor(options: EvictionsOptions) {
    this.#options = options;
  }

  /** Whether all orders up to a moment ago are known; until then logins are refused. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Starts polling the hot state. */
  start(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setInterval(() => void this.poll(), POLL_MS).unref();
    void this.poll();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /**
   * Gives an order. It takes effect here at once, even if it then cannot be stored.
   *
   * @throws GochatError HOT_UNAVAILABLE, STORE_UNAVAILABLE
   */
  async evict(order: EvictionOrder): Promise<Eviction> {
    const { hot, store, ttlMs } = this.#options;
    const eviction = await hot.evict(order, ttlMs, max(this.newest(order.user), BigInt(this.#cursorUs)));
    this.#take(eviction);
    const { device: _, scope, ...kept } = eviction;
    if (scope !== EvictionScope.DEVICE)
      await store?.revoke({ ...kept, scope, expiresAtMs: Date.now() + ttlMs });
    return eviction;
  }

  /** Revokes all tokens of a user so far, from all nodes. @throws GochatError HOT_UNAVAILABLE, STORE_UNAVAILABLE */
  async revokeAll(order: Pick<EvictionOrder, 'user' | 'code' | 'reason'>): Promise<Eviction> {
    const { nextId, connectionsOf } = this.#options;
    await this.#pollAnew();
    const { user } = order;
    let token = max(nextId() + SKEW_IDS, this.#lastRevoked(user) + AHEAD_IDS);
    for (const connection of connectionsOf(user)) token = max(token, connection.token);
    return this.evict({ ...order, scope: EvictionScope.TOKENS, token, device: '' });
  }

  /**
   * Makes a token id for a user, greater than all revoked ones. While the clock here is behind the last order, the id is
   * one of the AHEAD_IDS after that order, all of which the next order includes.
   */
  async tokenId(user: UserId): Promise<bigint> {
    await this.#pollAnew();
    const [id, last] = [this.#options.nextId(), this.#lastRevoked(user)];
    return id > last ? id : last + 1n + (id % AHEAD_IDS);
  }

  /** Returns the newest epoch or time of the user's orders known here; later ones must exceed it. */
  newest(user: UserId): bigint {
    let newest = 0n;
    for (const { atUs } of this.#byUser.get(user) ?? []) newest = max(newest, BigInt(atUs));
    for (const { epoch } of this.#options.connectionsOf(user)) newest = max(newest, epoch);
    return newest;
  }

  /** Returns the code that refuses a token; undefined if it is valid. */
  refusal(user: UserId, token: bigint): PlainErrorCode | undefined {
    const revoked = this.#byUser.get(user)?.some((eviction) => revokes(eviction, token));
    return revoked === true ? 'TOKEN_REVOKED' : undefined;
  }

  /** Returns the order that ends a connection; undefined if there is none. */
  orderFor(user: UserId, connection: Evictable): Eviction | undefined {
    return this.#byUser.get(user)?.find((eviction) => concerns(eviction, connection));
  }

  /** Polls the hot state. Never rejects; errors are retried at the next poll. */
  poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  /** Polls for all orders up to now; a poll already in flight may be too early. */
  async #pollAnew(): Promise<void> {
    await this.#polling;
    await this.poll();
  }

  #lastRevoked(user: UserId): bigint {
    let last = 0n;
    for (const { scope, token } of this.#byUser.get(user) ?? [])
      if (scope === EvictionScope.TOKENS) last = max(last, token);
    return last;
  }

  async #poll(): Promise<void> {
    try {
      this.#expire();
      if (!this.#isLoaded) await this.#load();
      for (let page = await this.#next(); page.length === MAX_EVICTIONS_PAGE; ) page = await this.#next();
      this.#ready = true;
      this.#failing = false;
    } catch (cause) {
      const error = GochatError.from(cause);
      if (!this.#failing && !this.#stopped)
        this.#options.logger.warn({ err: error, code: error.code }, 'cannot read evictions');
      this.#failing = true;
    }
  }

  /** Loads the revocations from before this node's start. */
  async #load(): Promise<void> {
    const kept = await this.#options.store?.revocations(MAX_EVICTIONS);
    for (const { expiresAtMs: _, ...revocation } of kept ?? []) this.#take({ ...revocation, device: '' });
    this.#isLoaded = true;
  }

  /** Reads and applies a page of new orders. */
  async #next(): Promise<readonly Eviction[]> {
    const { hot } = this.#options;
    const page = await hot.evictions(this.#cursorUs);
    // The page should begin with the order at the cursor.
    if (page[0]?.atUs !== this.#cursorUs && !this.#isCursorExpired) await this.#restore();
    for (const eviction of page) this.#take(eviction);
    const last = page.at(-1);
    if (last !== undefined) {
      this.#cursorUs = last.atUs;
      this.#isCursorExpired = false;
    }
    return page;
  }

  /** Writes all known orders back. A node that learned of an order late keeps it longer than the hot state does. */
  async #restore(): Promise<void> {
    const { hot, ttlMs, logger } = this.#options;
    const known = this.#known.map(({ eviction }) => eviction);
    let lost = 0;
    for (let at = 0; at < known.length; at += MAX_EVICTIONS_PAGE)
      lost += await hot.restoreEvictions(known.slice(at, at + MAX_EVICTIONS_PAGE), ttlMs);
    if (lost > 0) logger.warn({ evictions: lost }, 'the hot state had lost evictions: restored them');
    else this.#isCursorExpired = true;
  }

  #take(eviction: Eviction): void {
    const orders = this.#byUser.get(eviction.user);
    if (orders?.some(({ atUs }) => atUs === eviction.atUs) === true) return;
    if (orders === undefined) this.#byUser.set(eviction.user, [eviction]);
    else orders.push(eviction);
    this.#known.push({ eviction, expiresMs: performance.now() + this.#options.ttlMs });
    if (this.#known.length > MAX_EVICTIONS) this.#forget(this.#known.shift()?.eviction);
    this.#options.onEvicted(eviction);
  }

  #expire(): void {
    const now = performance.now();
    while (this.#known[0] !== undefined && this.#known[0].expiresMs <= now)
      this.#forget(this.#known.shift()?.eviction);
  }

  #forget(eviction: Eviction | undefined): void {
    if (eviction === undefined) return;
    const left = this.#byUser.get(eviction.user)?.filter((order) => order !== eviction) ?? [];
    if (left.length > 0) this.#byUser.set(eviction.user, left);
    else this.#byUser.delete(eviction.user);
  }
}

/** Returns whether an order ends a connection of its user. */
export function concerns(eviction: Eviction, connection: Evictable): boolean {
  if (eviction.scope !== EvictionScope.DEVICE) return revokes(eviction, connection.token);
  const { device, atUs } = eviction;
  return (device === '' || device === connection.device) && connection.epoch <= BigInt(atUs);
}

function revokes(eviction: Eviction, token: bigint): boolean {
  if (eviction.scope === EvictionScope.TOKEN) return token === eviction.token;
  // See revokeAll and tokenId.
  return eviction.scope === EvictionScope.TOKENS && token <= eviction.token;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
