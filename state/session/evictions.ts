/** Evictions: kicks, logouts and revocations, known to every node, so that each gateway hears of them from any. */
import { type ErrorCode, GochatError, type Logger, type UserId } from '../../common/mod.ts';
import {
  type Eviction,
  type EvictionOrder,
  EvictionScope,
  type HotState,
  MAX_EVICTIONS,
  MAX_EVICTIONS_PAGE,
} from '../hot/hot-state.ts';

/** An order given on another node is known here after this at most, ms; within 1 s it must have reached everyone. */
const POLL_MS = 500;

/** What of a connection decides whether it has to go. */
export interface Evictable {
  readonly device: string;
  /** Id of its access token. */
  readonly token: bigint;
  readonly epoch: bigint;
}

export interface EvictionsOptions {
  readonly hot: Pick<HotState, 'evict' | 'evictions' | 'restoreEvictions'>;
  /** How long an order must be known: as long as a token lives, ms. */
  readonly ttlMs: number;
  readonly logger: Logger;
  /** An order is new here: connections it is about have to go. */
  readonly onEvicted: (eviction: Eviction) => void;
}

/**
 * Holds all orders that still matter in memory, so that a login or an HTTP call is checked without a round trip.
 *
 * Each node asks the hot state for new ones. Should it have lost its data, whoever remembers puts them back: orders
 * survive as long as one state node or the hot state does.
 */
export class Evictions {
  readonly #options: EvictionsOptions;
  /** In the order in which they came; with the time of this process at which they may go. */
  #known: { readonly eviction: Eviction; readonly expiresMs: number }[] = [];
  readonly #byUser = new Map<UserId, Eviction[]>();
  /** The newest order that the hot state answered: later ones of other nodes are still to be asked for. */
  #cursorUs = 0;
  #ready = false;
  #failing = false;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #stopped = false;

  constructor(options: EvictionsOptions) {
    this.#options = options;
  }

  /** All orders up to a moment ago are known; before that nobody may log in. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Begins to follow the hot state. */
  start(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setInterval(() => void this.poll(), POLL_MS).unref();
    void this.poll();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** Gives an order; it is carried out here at once. @throws GochatError HOT_UNAVAILABLE */
  async evict(order: EvictionOrder): Promise<Eviction> {
    const eviction = await this.#options.hot.evict(order, this.#options.ttlMs);
    this.#take(eviction);
    return eviction;
  }

  /** Returns the code that refuses a token; undefined when it is good. */
  refusal(user: UserId, token: bigint): ErrorCode | undefined {
    const revoked = this.#byUser.get(user)?.some((eviction) => revokes(eviction, token));
    return revoked === true ? 'TOKEN_REVOKED' : undefined;
  }

  /** Returns the order that a connection has to go by; undefined when it may stay. */
  orderFor(user: UserId, connection: Evictable): Eviction | undefined {
    return this.#byUser.get(user)?.find((eviction) => concerns(eviction, connection));
  }

  /** Asks the hot state for what is new; never rejects, what is wrong is tried again at the next turn. */
  poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  async #poll(): Promise<void> {
    try {
      this.#expire();
      for (let page = await this.#next(); page.length === MAX_EVICTIONS_PAGE; ) page = await this.#next();
      this.#ready = true;
      this.#failing = false;
    } catch (cause) {
      const error = GochatError.from(cause);
      if (!this.#failing && !this.#stopped)
        this.#options.logger.warn({ err: error, code: error.code }, 'cannot ask for evictions');
      this.#failing = true;
    }
  }

  /** Takes a page of what is new in. */
  async #next(): Promise<readonly Eviction[]> {
    const { hot } = this.#options;
    const page = await hot.evictions(this.#cursorUs);
    const isKnown = this.#known.some(({ eviction }) => eviction.atUs === this.#cursorUs);
    // The page should have begun with what was asked for.
    if (isKnown && page[0]?.atUs !== this.#cursorUs) await this.#restore();
    for (const eviction of page) this.#take(eviction);
    this.#cursorUs = page.at(-1)?.atUs ?? this.#cursorUs;
    return page;
  }

  async #restore(): Promise<void> {
    const { hot, ttlMs, logger } = this.#options;
    const lost = this.#known.map(({ eviction }) => eviction);
    logger.warn({ evictions: lost.length }, 'the hot state has lost evictions: putting them back');
    for (let at = 0; at < lost.length; at += MAX_EVICTIONS_PAGE)
      await hot.restoreEvictions(lost.slice(at, at + MAX_EVICTIONS_PAGE), ttlMs);
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
  // Ids of tokens grow with the time of their making.
  return eviction.scope === EvictionScope.TOKENS && token <= eviction.token;
}
