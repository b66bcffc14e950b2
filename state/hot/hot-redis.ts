/** Hot state in Redis 6.2 or newer: shared by all state nodes. */
import { GochatError, type Logger, type SessionId, type UserId } from '../../common/mod.ts';
import { CallGatherer } from './call-gatherer.ts';
import {
  CONNECT_TIMEOUT_MS,
  createRedisClient,
  type HotRedisClient,
  type RedisAddress,
  type RedisTls,
} from './hot-redis-client.ts';
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

export interface HotRedisOptions {
  readonly logger: Logger;
  /** Timeout of a call. @default 1000 ms */
  readonly timeoutMs?: number;
  /** Most calls in flight; further ones are rejected at once. @default 10_000 */
  readonly maxPending?: number;
  readonly tls?: RedisTls | undefined;
}

/** Most claims or releases per script call, which blocks Redis for less than a millisecond. */
const MAX_TOGETHER = 64;

/**
 * Hot state in Redis. Each method is one round trip; while there is no connection every call is rejected at once, and
 * the connection comes back by itself. Claims that are made together are one call, as releases are.
 *
 * Keys: `gochat:session:{USER:DEVICE}`, a hash of epoch, session and held; `gochat:rate:{KEY}`, a time in µs;
 * `gochat:set:{SET}`, a sorted set of members by the time in ms at which they are forgotten;
 * `gochat:evictions`, a sorted set. On a Redis Cluster each script touches one key.
 */
export class HotRedis implements HotState {
  readonly #redis: HotRedisClient;
  readonly #logger: Logger;
  readonly #maxPending: number;
  readonly #claims: CallGatherer<[epoch: string, session: string, resumed: number]>;
  readonly #releases: CallGatherer<number>;
  #pending = 0;
  #health: 'new' | 'up' | 'down' = 'new';
  #closing: Promise<void> | undefined;

  private constructor(address: RedisAddress, options: HotRedisOptions) {
    this.#logger = options.logger;
    this.#maxPending = options.maxPending ?? 10_000;
    this.#redis = createRedisClient(address, options.timeoutMs ?? 1000, options.tls);
    // Keys of a Cluster may be on different nodes.
    const most = address.isCluster ? 1 : MAX_TOGETHER;
    this.#claims = new CallGatherer(most, (keys, args) =>
      this.#call((redis) => redis.gochatClaim(keys, HELD_TTL_MS, ...args), keys.length),
    );
    this.#releases = new CallGatherer(most, (keys, args) =>
      this.#call((redis) => redis.gochatRelease(keys, ...args), keys.length),
    );
    this.#redis.on('ready', () => {
      if (this.#health === 'down') this.#logger.info('Redis answers again');
      this.#health = 'up';
    });
    this.#redis.on('error', (error: Error) => this.#lost(error));
    this.#redis.on('close', () => this.#lost(undefined));
  }

  /** Connects. Rejects with the cause if the first connection fails. */
  static async connect(address: RedisAddress, options: HotRedisOptions): Promise<HotRedis> {
    const hot = new HotRedis(address, options);
    // The client retries by itself and reports the first attempt only by events.
    const { promise: failed, reject } = Promise.withResolvers<never>();
    const late = setTimeout(() => reject(new Error('it does not answer')), CONNECT_TIMEOUT_MS);
    hot.#redis.once('error', reject);
    // Only this event tells that no Sentinel answers or knows the name.
    let sentinelError: Error | undefined;
    hot.#redis.on('sentinelError', (error) => {
      sentinelError = error;
    });
    try {
      await Promise.race([hot.#redis.connect(), failed]);
      return hot;
    } catch (error) {
      hot.#closing = Promise.resolve();
      hot.#redis.disconnect();
      throw sentinelError ?? error;
    } finally {
      clearTimeout(late);
      hot.#redis.off('error', reject);
    }
  }

  async claim(
    user: UserId,
    device: string,
    fresh: SessionId,
    resume: SessionId | undefined,
    after = 0n,
    attempt?: Attempt,
  ): Promise<Claim> {
    const [epoch, session, resumed] = await this.#claims.call(
      deviceKey(user, device),
      `${fresh}`,
      `${resume ?? ''}`,
      `${after + 1n}`,
      `${attempt?.run ?? ''}`,
      attempt?.number ?? 0,
    );
    if (epoch === '') throw new GochatError('SESSION_REPLACED');
    return { epoch: BigInt(epoch), session: BigInt(session) as SessionId, resumed: resumed === 1 };
  }

  async release(user: UserId, device: string, epoch: bigint, graceMs: number): Promise<void> {
    await this.#releases.call(deviceKey(user, device), `${epoch}`, Math.ceil(graceMs));
  }

  async holder(user: UserId, device: string): Promise<DeviceSession | undefined> {
    const [epoch, session, held] = await this.#call((redis) =>
      redis.hmget(deviceKey(user, device), 'epoch', 'session', 'held'),
    );
    if (epoch == null || session == null || held !== '1') return undefined;
    return { session: BigInt(session) as SessionId, epoch: BigInt(epoch) };
  }

  async allow(key: string, perSecond: number, burst: number): Promise<Allowance> {
    const intervalUs = bucketInterval(perSecond, burst);
    const waitUs = await this.#call((redis) => redis.gochatAllow(`gochat:rate:{${key}}`, intervalUs, burst));
    return { allowed: waitUs === 0, retryAfterMs: Math.ceil(waitUs / 1000) };
  }

  async giveBack(key: string, perSecond: number, burst: number): Promise<void> {
    const intervalUs = bucketInterval(perSecond, burst);
    await this.#call((redis) => redis.gochatGiveBack(`gochat:rate:{${key}}`, intervalUs));
  }

  async remember(set: string, member: string, ttlMs: number): Promise<void> {
    await this.#call((redis) =>
      redis.gochatRemember(`gochat:set:{${set}}`, member, Math.ceil(ttlMs), MAX_REMEMBERED),
    );
  }

  async remembers(set: string, member: string): Promise<boolean> {
    return (await this.#call((redis) => redis.gochatRemembers(`gochat:set:{${set}}`, member))) === 1;
  }

  async tie(key: string, value: string, ttlMs: number): Promise<string> {
    return this.#call((redis) => redis.gochatTie(`gochat:tie:{${key}}`, value, Math.ceil(ttlMs)));
  }

  async untie(key: string, value: string): Promise<void> {
    await this.#call((redis) => redis.gochatUntie(`gochat:tie:{${key}}`, value));
  }

  async evict(order: EvictionOrder, ttlMs: number, after = 0n): Promise<Eviction> {
    const text = encodeOrder(order);
    const at = await this.#call((redis) =>
      redis.gochatEvict(EVICTIONS_KEY, Math.ceil(ttlMs), MAX_EVICTIONS, text, `${after + 1n}`),
    );
    return { ...order, atUs: Number(at) };
  }

  async evictions(fromUs: number): Promise<readonly Eviction[]> {
    const members = await this.#call((redis) =>
      redis.zrangebyscore(EVICTIONS_KEY, fromUs, '+inf', 'LIMIT', 0, MAX_EVICTIONS_PAGE),
    );
    return members.map(decodeEviction);
  }

  async restoreEvictions(evictions: readonly Eviction[], ttlMs: number): Promise<number> {
    if (evictions.length === 0) return 0;
    const members = evictions.map((eviction) => `${eviction.atUs}:${encodeOrder(eviction)}`);
    return this.#call((redis) => redis.gochatRestore(EVICTIONS_KEY, Math.ceil(ttlMs), ...members));
  }

  async ping(): Promise<void> {
    await this.#call((redis) => redis.ping());
  }

  /** Waits for calls in flight, then disconnects. */
  close(): Promise<void> {
    this.#closing ??= this.#redis.quit().then(
      () => undefined,
      // Not connected or no answer: nothing to wait for.
      () => this.#redis.disconnect(),
    );
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @param calls number of our calls in it */
  async #call<T>(send: (redis: HotRedisClient) => Promise<T>, calls = 1): Promise<T> {
    if (this.#closing !== undefined) throw unavailable(new Error('it is closed'));
    if (this.#pending >= this.#maxPending)
      throw unavailable(new Error(`${this.#pending} calls wait for Redis`));
    this.#pending += calls;
    try {
      return await send(this.#redis);
    } catch (error) {
      throw unavailable(error);
    } finally {
      this.#pending -= calls;
    }
  }

  /** Logs the start of an outage, not each failed reconnect. */
  #lost(error: Error | undefined): void {
    if (this.#health !== 'up' || this.#closing !== undefined) return;
    this.#health = 'down';
    this.#logger.warn({ err: error }, 'lost the connection to Redis; connecting again');
  }
}

function unavailable(cause: unknown): GochatError {
  return new GochatError('HOT_UNAVAILABLE', { cause });
}

function deviceKey(user: UserId, device: string): string {
  return `gochat:session:{${user}:${device}}`;
}

const EVICTIONS_KEY = 'gochat:evictions';

function encodeOrder({ user, scope, token, device, code, reason }: EvictionOrder): string {
  return JSON.stringify([`${user}`, scope, `${token}`, device, code, reason]);
}

function decodeEviction(member: string): Eviction {
  const colon = member.indexOf(':');
  const [user, scope, token, device, code, reason] = JSON.parse(member.slice(colon + 1)) as [
    string,
    Eviction['scope'],
    string,
    string,
    Eviction['code'],
    string,
  ];
  const atUs = Number(member.slice(0, colon));
  return { user: BigInt(user) as UserId, scope, token: BigInt(token), device, code, reason, atUs };
}
